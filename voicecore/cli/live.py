"""The live view of a call: prints one line for each fact, to a terminal or a file.

Rule 1: a line says when, who and what; colour is used on a terminal only. Times count
from pickup; before pickup they count from dialling, in brackets.
Rule 2: a transcript arrives later than its speech: its line has the time at which it
was spoken.
Rule 3: the steps of a turn have no lines of their own; the last line of the turn has
its times.
Rule 4: if the reader of the output has gone (`| head`), printing stops and `gone` is
set; the call is not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TextIO

import attrs
import trio

from voicecore import facts

_COLOURS: Mapping[str, str] = {"user": "\033[34m", "agent": "\033[32m", "barge-in": "\033[31m", "problem": "\033[33m"}
_PLAIN = "\033[0m"
_BUFFERED_S = 0.3  #: user audio that is this much older than the end of a protection was buffered
HEAD = "(seconds since dialling) before pickup, then seconds since pickup; [when the following words were spoken]"


@attrs.define
class _Seen:
    """State from earlier facts of a call that later lines need."""

    picked_up: bool = False
    unheard: bool = False
    """Whether the agent has begun to speak and no mark was returned yet."""
    spoke_over_at_s: float | None = None
    """When the user spoke over a protected message and was buffered."""
    freed_at_s: float | None = None
    """When that protection ended."""
    buffered: str | None = None
    """The item that the buffered speech became."""
    spoken: dict[str, tuple[float, float | None]] = attrs.field(factory=dict)
    """When each item was spoken, start and end; bounded by the items of the call."""


class LivePrinter:
    """An observer that prints a call's facts."""

    def __init__(self, out: TextIO) -> None:
        self.gone = trio.Event()
        """Set when the reader of the output has gone."""
        self._out = out
        self._terminal = out.isatty()
        self._calls: dict[str, _Seen] = {}  # bounded by the running calls
        self._head: str | None = HEAD

    def __call__(self, call_id: str, fact: facts.Fact) -> None:
        if self._head is not None:
            self._write(self._head)
            self._head = None
        seen = self._calls.setdefault(call_id, _Seen())
        line = _line(fact, seen)
        if line is not None:
            self._print(fact.at_s, seen.picked_up, *line)
        if isinstance(fact, facts.CallEnded):
            del self._calls[call_id]

    def _print(self, at_s: float, picked_up: bool, who: str, what: str) -> None:
        shown = f"{who:<9}"
        if self._terminal and who in _COLOURS:
            shown = f"{_COLOURS[who]}{shown}{_PLAIN}"
        self._write(f"{f'{at_s:.2f} ' if picked_up else f'({at_s:.2f})':>9}  {shown} {what}")

    def _write(self, line: str) -> None:
        if self.gone.is_set():
            return
        try:
            print(line, file=self._out, flush=True)
        except OSError:  # the pipe's reader has left, or the terminal was closed
            self.gone.set()


def _line(fact: facts.Fact, seen: _Seen) -> tuple[str, str] | None:
    """Return who did what; None for facts without a line."""
    notify = _LINES.get(type(fact))
    return None if notify is None else notify(fact, seen)


# --- before and at pick-up ----------------------------------------------------------------


def _began(fact: facts.CallBegan, seen: _Seen) -> tuple[str, str]:
    seen.picked_up = True
    return "call", f"picked up after {fact.ringing_s:.2f} s: {fact.caller} and {fact.callee} ({fact.call_id})"


def _session(fact: facts.SessionReady, _seen: _Seen) -> tuple[str, str]:
    path = fact.audio_path
    opened = "adopted: it was parked while the phone rang" if fact.source == "adopted" else "opened cold"
    how = "passed through" if path.passthrough else f"converted ({path.session_user} in, {path.session_agent} out)"
    return "session", f"{opened}, opened in {fact.open_s * 1000:.0f} ms; audio {path.leg}, {how}"


# --- the first message ----------------------------------------------------------------------


def _message(fact: facts.MessageDone, _seen: _Seen) -> tuple[str, str]:
    return "message", f"{fact.outcome.value}{f': {fact.detail}' if fact.detail else ''}"


def _spoke_over(fact: facts.SpokeOverMessage, seen: _Seen) -> tuple[str, str]:
    if not fact.kept:
        return "user", "speaks over the message: ignored, the message goes on"
    if seen.spoke_over_at_s is None:
        seen.spoke_over_at_s = fact.at_s
    return "user", "speaks over the message: buffered, the message goes on"


def _protection_ended(fact: facts.ProtectionEnded, seen: _Seen) -> tuple[str, str]:
    if seen.spoke_over_at_s is None:
        return "message", "protection ended: the agent listens again"
    seen.freed_at_s = fact.at_s
    said = f"the agent now gets what was said at {seen.spoke_over_at_s:.2f}"
    return "message", f"protection ended: {said}"


# --- the user -------------------------------------------------------------------------------


def _user_started(fact: facts.UserStarted, seen: _Seen) -> tuple[str, str] | None:
    if seen.spoke_over_at_s is not None and seen.buffered is None and _was_buffered(fact, seen):
        seen.buffered = fact.item_id
        seen.spoken[fact.item_id] = (seen.spoke_over_at_s, None)
        return None  # its line was printed when it was spoken
    seen.spoken[fact.item_id] = (fact.at_s, None)
    return "user", "begins to speak"


def _was_buffered(fact: facts.UserStarted, seen: _Seen) -> bool:
    """Whether the speech was sent to the session long after it was spoken."""
    if fact.audio_at_s is None or seen.freed_at_s is None:
        return False
    return fact.audio_at_s < seen.freed_at_s - _BUFFERED_S


def _user_stopped(fact: facts.UserStopped, seen: _Seen) -> None:
    if fact.item_id != seen.buffered and fact.item_id in seen.spoken:
        began_at_s, _ = seen.spoken[fact.item_id]
        seen.spoken[fact.item_id] = (began_at_s, max(began_at_s, fact.at_s - (fact.silence_s or 0.0)))


def _user_turn(fact: facts.UserTurn, seen: _Seen) -> tuple[str, str]:
    began_at_s, ended_at_s = seen.spoken.get(fact.item_id, (0.0, None))
    if fact.item_id == seen.buffered:
        return "user", f"what was said at {began_at_s:.2f} is a turn"
    return "user", "ends the turn" + ("" if ended_at_s is None else f": silent since {ended_at_s:.2f}")


def _user_said(fact: facts.UserSaid, seen: _Seen) -> tuple[str, str]:
    words = "no words were recognised" if fact.text is None else f"“{fact.text}”"
    return "user", f"{_when(seen.spoken.pop(fact.item_id, None))}{words}"


def _keys(fact: facts.KeysPressed, _seen: _Seen) -> tuple[str, str]:
    return "user", f"presses {fact.count} {'key' if fact.count == 1 else 'keys'}"


# --- the agent --------------------------------------------------------------------------------


def _audible(fact: facts.FirstAudioSent, seen: _Seen) -> tuple[str, str]:
    seen.unheard = True
    seen.spoken[fact.item_id] = (fact.at_s, None)
    after = "" if fact.after_user_s is None else f", {fact.after_user_s * 1000:.0f} ms after the user's turn"
    return "agent", f"begins to speak{after}"


def _agent_said(fact: facts.AgentSaid, seen: _Seen) -> tuple[str, str]:
    began_at_s, _ = seen.spoken.pop(fact.item_id, (fact.at_s, None))
    when = _when((began_at_s, fact.at_s))
    if fact.text is None:
        return "agent", when + ("was not heard" if fact.interrupted else "was heard")
    return "agent", f"{when}“{fact.text}”" + (" — cut there: the rest was not heard" if fact.interrupted else "")


def _mark(fact: facts.MarkReceived, seen: _Seen) -> tuple[str, str] | None:
    if fact.heard and not seen.unheard:
        return None  # only the first mark of an utterance is shown
    seen.unheard = False
    return "mark", f"{fact.name} returned: {'the user hears the agent' if fact.heard else 'flushed by the clear'}"


# --- barge-in and turns --------------------------------------------------------------------------


def _barged_in(fact: facts.BargeInConfirmed, _seen: _Seen) -> tuple[str, str]:
    took_s = fact.at_s - fact.overlap_at_s
    decided = f"{_ms(took_s)} after the onset ({fact.decided_by})" if took_s else "by the onset"
    return "barge-in", f"the agent is stopped {decided}; {fact.heard_s:.2f} s were heard"


def _turn_ended(fact: facts.TurnEnded, _seen: _Seen) -> tuple[str, str]:
    turn, overlap = fact.turn, fact.turn.overlap
    figures = {"pause": turn.reply_s}
    if overlap is not None:
        figures |= {"clear": overlap.clear_s, "silence": overlap.silence_s}
    known = [f"{name} {_ms(took_s)}" for name, took_s in figures.items() if took_s is not None]
    ended = turn.end.value + (f" ({turn.why})" if turn.why else "")
    return "turn", "; ".join([ended, *known])


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _when(span: tuple[float, float | None] | None) -> str:
    """Return when something was spoken, as a prefix of its line."""
    if span is None:
        return ""
    began_at_s, ended_at_s = span
    until = "" if ended_at_s is None else f"–{ended_at_s:.2f}"
    return f"[{began_at_s:.2f}{until}] "


_Line = Callable[[Any, _Seen], tuple[str, str] | None]
_LINES: Mapping[type, _Line] = {
    facts.Dialling: lambda fact, _: ("call", f"dialling {fact.callee} ({fact.call_id})"),
    facts.Ringing: lambda _fact, _: ("call", "ringing"),
    facts.Answered: lambda _fact, _: ("call", "answered"),
    facts.SessionParked: lambda fact, _: ("session", f"parked: opened and configured in {fact.open_s * 1000:.0f} ms"),
    facts.AmdDecided: lambda fact, _: ("call", f"answered by: {fact.answered_by}"),
    facts.CallBegan: _began,
    facts.SessionReady: _session,
    facts.MessageDone: _message,
    facts.SpokeOverMessage: _spoke_over,
    facts.ProtectionEnded: _protection_ended,
    facts.UserStarted: _user_started,
    facts.UserStopped: _user_stopped,
    facts.UserTurn: _user_turn,
    facts.TurnsUnanswered: lambda fact, _: ("user", f"gets no answer: {fact.why}"),
    facts.KeysPressed: _keys,
    facts.UserSaid: _user_said,
    facts.FirstAudioSent: _audible,
    facts.AgentSaid: _agent_said,
    facts.MarkReceived: _mark,
    facts.IdlePrompted: lambda fact, _: ("agent", f"is prompted to break the silence (prompt {fact.times})"),
    facts.BargeInPending: lambda _fact, _: ("barge-in", "pending: the user speaks over the agent"),
    facts.BargeInDismissed: lambda fact, _: ("barge-in", f"dismissed: the agent keeps talking ({fact.why})"),
    facts.BargeInConfirmed: _barged_in,
    facts.ClearSent: lambda fact, _: (
        "barge-in",
        f"clear sent {fact.delay_s * 1000:.2f} ms after the decision",
    ),
    facts.TurnEnded: _turn_ended,
    facts.ProblemSeen: lambda fact, _: ("problem", f"{fact.code}: {fact.message}"),
    facts.CallEnded: lambda fact, _: ("call", f"over: {fact.report.outcome.value.replace('_', ' ')}"),
}
