"""A call as it happens, one line a fact, fit for a terminal and for a file.

Rule 1: a line says when, who, and what; colour is used on a terminal only.  Times
count from the first word of a call, and from its pick-up on anew.
Rule 2: the steps of a turn are not lines of their own; the line of its end has their figures.

Used by cli/demo.py and cli/call.py as an observer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from voicecore import facts

_COLOURS: Mapping[str, str] = {"caller": "\033[34m", "agent": "\033[32m", "barge-in": "\033[31m", "problem": "\033[33m"}
_PLAIN = "\033[0m"


class LivePrinter:
    """An observer that prints."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._unheard: set[str] = set()  # calls whose agent began to speak, and no mark came back yet

    def __call__(self, call_id: str, fact: facts.Fact) -> None:
        if isinstance(fact, facts.AgentAudible):
            self._unheard.add(call_id)
        if isinstance(fact, facts.MarkReturned) and fact.heard and call_id not in self._unheard:
            return  # the first mark of an utterance says that it is heard; the rest are alike
        if isinstance(fact, facts.MarkReturned | facts.CallEnded):
            self._unheard.discard(call_id)
        if (tell := _LINES.get(type(fact))) is not None:
            self._print(fact.at_s, *tell(fact))

    def _print(self, at_s: float, who: str, what: str) -> None:
        shown = f"{who:<9}"
        if self._terminal and who in _COLOURS:
            shown = f"{_COLOURS[who]}{shown}{_PLAIN}"
        print(f"{at_s:8.2f} s  {shown} {what}", file=self._out, flush=True)


def _session(fact: facts.SessionReady) -> tuple[str, str]:
    path = fact.audio_path
    opened = "adopted: it was parked while the phone rang" if fact.source == "adopted" else "opened cold"
    how = "passed through" if path.passthrough else f"converted ({path.session_caller} in, {path.session_agent} out)"
    return "session", f"{opened}; its opening took {fact.open_s * 1000:.0f} ms; audio {path.leg}, {how}"


def _audible(fact: facts.AgentAudible) -> tuple[str, str]:
    after = "" if fact.after_caller_s is None else f", {fact.after_caller_s * 1000:.0f} ms after the caller's turn"
    return "agent", f"begins to speak{after}"


def _caller_said(fact: facts.CallerSaid) -> tuple[str, str]:
    return "caller", "(no words were recognised)" if fact.text is None else f"“{fact.text}”"


def _agent_said(fact: facts.AgentSaid) -> tuple[str, str]:
    if fact.text is None:
        return "agent", "was not heard" if fact.interrupted else "was heard"
    return "agent", f"“{fact.text}”" + (" — cut there: the rest was never heard" if fact.interrupted else "")


def _mark(fact: facts.MarkReturned) -> tuple[str, str]:
    return "mark", f"{fact.name} came back: {'the caller hears the agent' if fact.heard else 'flushed by the clear'}"


def _barged_in(fact: facts.BargedIn) -> tuple[str, str]:
    took_s = fact.at_s - fact.overlap_at_s
    decided = f"{_ms(took_s)} after the onset ({fact.decided_by})" if took_s else "by the onset"
    return "barge-in", f"the agent is stopped {decided}; {fact.heard_s:.2f} s of it were heard"


def _turn_ended(fact: facts.TurnEnded) -> tuple[str, str]:
    turn, overlap = fact.turn, fact.turn.overlap
    figures = {"pause": turn.reply_s}
    if overlap is not None:
        figures |= {"clear": overlap.clear_s, "silence at the ear": overlap.silence_s}
    known = [f"{name} {_ms(took_s)}" for name, took_s in figures.items() if took_s is not None]
    ended = turn.end.value + (f" ({turn.why})" if turn.why else "")
    return "turn", "; ".join([ended, *known])


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _message(fact: facts.MessageDone) -> tuple[str, str]:
    return "message", f"{fact.fate.value}{f': {fact.detail}' if fact.detail else ''}"


def _began(fact: facts.CallBegan) -> tuple[str, str]:
    return "call", f"picked up after {fact.ringing_s:.2f} s: {fact.caller} and {fact.callee} ({fact.call_id})"


_LINES: Mapping[type, Callable[[Any], tuple[str, str]]] = {
    facts.Dialling: lambda fact: ("call", f"dialling {fact.callee} ({fact.call_id})"),
    facts.Ringing: lambda _fact: ("call", "it rings"),
    facts.Answered: lambda _fact: ("call", "answered"),
    facts.SessionParked: lambda fact: ("session", f"parked: opened and configured in {fact.open_s * 1000:.0f} ms"),
    facts.MachineHeard: lambda fact: ("call", f"the carrier heard: {fact.answered_by}"),
    facts.MessageDone: _message,
    facts.ProtectionEnded: lambda _fact: ("message", "its protection is over: the caller is heard again"),
    facts.CallBegan: _began,
    facts.SessionReady: _session,
    facts.CallerStarted: lambda _fact: ("caller", "begins to speak"),
    facts.CallerTurn: lambda _fact: ("caller", "ends the turn"),
    facts.TurnsSettled: lambda fact: ("caller", f"gets no answer: {fact.why}"),
    facts.KeysPressed: lambda fact: ("caller", f"presses {fact.count} {'key' if fact.count == 1 else 'keys'}"),
    facts.CallerSaid: _caller_said,
    facts.AgentAudible: _audible,
    facts.AgentSaid: _agent_said,
    facts.MarkReturned: _mark,
    facts.IdlePrompted: lambda fact: ("agent", f"is asked to break the silence (prompt {fact.times})"),
    facts.BargeInDoubted: lambda _fact: ("barge-in", "perhaps: the caller speaks over the agent"),
    facts.BargeInDeclined: lambda fact: ("barge-in", f"no: the agent talks on ({fact.why})"),
    facts.BargedIn: _barged_in,
    facts.ClearWritten: lambda fact: (
        "barge-in",
        f"clear on the carrier's wire {fact.delay_s * 1000:.2f} ms after the decision",
    ),
    facts.TurnEnded: _turn_ended,
    facts.ProblemSeen: lambda fact: ("problem", f"{fact.code}: {fact.message}"),
    facts.CallEnded: lambda fact: ("call", f"over: {fact.report.outcome.value.replace('_', ' ')}"),
}
