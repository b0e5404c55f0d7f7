"""No reply can be had: a line in its place, then the end of the call; and what follows a tool call."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from voicecore import events as ev
from voicecore import facts
from voicecore.errors import ConfigError
from voicecore.facts import EndCause
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import MinWords
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule
from voicecore.turns.first_message.requests import word_for_word
from voicecore.turns.orders import EndCall
from voicecore.turns.recovery import (
    DID_NOT_CATCH,
    NEXT_RECOVERY,
    SORRY,
    FallbackLines,
    Recovery,
    RecoveryMove,
    RecoveryStage,
)
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.tool_calls import IN_A_ROW, Calling, ToolCalls
from voicecore_tests.turns.talking import Talk

ANSWERS = ev.Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)
ASKED = attrs.evolve(ANSWERS, replies=False, interrupts=False)
SECOND = b"\x11" * 8000


def user_turn(item: str = "u1") -> list[ev.SessionEvent]:
    return [ev.UserSpeechStarted(item, 0), ev.UserSpeechStopped(item, 500), ev.UserTurnCommitted(item)]


def ends(response: str, status: ev.ResponseStatus = ev.ResponseStatus.COMPLETED, **how: Any) -> ev.ResponseEnded:
    return attrs.evolve(ev.ResponseEnded(response_id=response, status=status), **how)


def calls(response: str, number: int = 1) -> ev.ToolCallRequested:
    return ev.ToolCallRequested(response, f"call-{response}-{number}", "look_up", "{}")


def says(response: str, request: str | None = None) -> list[ev.SessionEvent]:
    return [ev.ResponseStarted(response, request), ev.AgentAudio(response, f"a-{response}", SECOND)]


class Asking:
    """A talk that answers what is asked of it, one response after the other."""

    def __init__(self, capabilities: ev.Capabilities = ANSWERS, **settings: Any) -> None:
        self.talk = Talk(attrs.evolve(ConversationSettings(), **settings), capabilities)
        self._seen = 0

    def asked(self) -> list[str | None]:
        """The instructions of the requests since the last time."""
        requests = [order for order in self.talk.orders if isinstance(order, ev.RequestResponse)]
        new, self._seen = requests[self._seen :], len(requests)
        return [request.instructions for request in new]

    def request(self) -> str:
        """The newest request."""
        return [order for order in self.talk.orders if isinstance(order, ev.RequestResponse)][-1].request_id

    def goes_empty(self, response: str) -> None:
        self.talk.hears(ev.ResponseStarted(response, self.request()), ends(response))

    def settled(self) -> list[tuple[tuple[str, ...], facts.TurnEnd]]:
        told = [fact for fact in self.talk.facts if isinstance(fact, facts.TurnsUnanswered)]
        return [(fact.items, fact.end) for fact in told]


# --- the machine ------------------------------------------------------------------------------


def test_every_pair_of_state_and_move_is_listed() -> None:
    """The table is whole, and the end of the call absorbs everything."""
    assert {(state, move) for state, row in NEXT_RECOVERY.items() for move in row} == set(
        itertools.product(RecoveryStage, RecoveryMove)
    )
    assert set(NEXT_RECOVERY[RecoveryStage.ENDING].values()) == {RecoveryStage.ENDING}


def test_what_plays_is_played_for_five_seconds_at_most() -> None:
    """Then the call ends all the same; the first reason stands."""
    recovery = Recovery(FallbackLines())
    assert (recovery.deadline(), recovery.due(0.0, plays=False)) == (None, None)
    first = EndCall(EndCause.SESSION_LOST, "the first")
    recovery.give_up(first, 10.0)
    recovery.give_up(EndCall(EndCause.SESSION_LOST, "the second"), 12.0)
    assert recovery.deadline() == 15.0
    assert recovery.due(14.9, plays=True) is None
    assert recovery.due(14.9, plays=False) == recovery.due(15.0, plays=True) == first


@pytest.mark.parametrize(
    ("lines", "wordless", "line"),
    [
        (FallbackLines(), False, SORRY),
        (FallbackLines(), True, DID_NOT_CATCH),
        (FallbackLines(did_not_catch_text=None), True, SORRY),
        (FallbackLines(sorry_text=None), False, None),
        (FallbackLines(sorry_text="Mi dispiace."), False, "Mi dispiace."),
    ],
)
def test_the_line_is_the_one_that_was_set(lines: FallbackLines, wordless: bool, line: str | None) -> None:
    """Where there is none, the call ends at once."""
    recovery = Recovery(lines)
    assert recovery.unanswered("it was empty", 0.0, wordless=wordless) == line
    assert (recovery.due(0.0, plays=False) is None) == (line is not None)


def test_a_line_must_not_be_empty() -> None:
    """None is the way to have no line."""
    with pytest.raises(ConfigError, match="sorry_text"):
        FallbackLines(sorry_text="")


# --- whole turns ------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [ANSWERS, ASKED])
def test_two_empty_replies_bring_a_line_and_a_third_ends_the_call(capabilities: ev.Capabilities) -> None:
    """Asked twice for the reply, once for the line; the end names why."""
    it = Asking(capabilities)
    it.talk.hears(*user_turn())
    if capabilities.replies:
        it.talk.hears(ev.ResponseStarted("r1"), ends("r1"))
    else:
        it.goes_empty("r1")
    assert it.asked() == [None] * (1 if capabilities.replies else 2)
    it.goes_empty("r2")
    assert it.asked()[-1] == word_for_word(SORRY)
    assert it.talk.causes == []
    it.goes_empty("r3")
    assert it.asked() == []
    assert it.talk.causes == [EndCause.SESSION_LOST]
    end = next(order for order in it.talk.orders if isinstance(order, EndCall))
    assert end.detail == "no reply could be had: response_completed_without_audio"
    assert it.settled() == [(("u1",), facts.TurnEnd.FAILED)]


def test_a_line_that_is_heard_counts_the_failures_anew() -> None:
    """The next turn without a reply gets a line again; the turn itself has failed."""
    it = Asking()
    for turn in range(3):
        base = 4 * turn
        it.talk.hears(*user_turn(f"u{turn}"), ev.ResponseStarted(f"r{base}"), ends(f"r{base}"))
        it.goes_empty(f"r{base + 1}")
        assert it.asked() == [None, word_for_word(SORRY)]
        it.talk.hears(*says(f"r{base + 2}", it.request()), ends(f"r{base + 2}"))
        it.talk.passes(3.0)
    assert it.talk.causes == []
    assert it.settled() == [((f"u{turn}",), facts.TurnEnd.FAILED) for turn in range(3)]
    assert [turn.end for turn in it.talk.machine.log.turns()] == [facts.TurnEnd.FAILED, facts.TurnEnd.COMPLETED] * 3


def test_a_user_who_goes_on_gets_a_reply_and_no_line() -> None:
    """The line is wanted no more; should replies fail again before anything was heard, the call ends."""
    it = Asking()
    it.talk.hears(*user_turn("u1"), ev.ResponseStarted("r1"), ends("r1"))
    it.goes_empty("r2")
    line = it.request()
    it.talk.hears(*user_turn("u2"), ev.ResponseStarted("r3", line))
    assert ev.CancelResponse("r3") in it.talk.orders
    it.talk.hears(ends("r3", ev.ResponseStatus.CANCELLED), ev.ResponseStarted("r4"), ends("r4"))
    it.talk.passes(0.1)
    it.goes_empty("r5")
    assert it.talk.causes == [EndCause.SESSION_LOST]


def test_noise_while_the_line_is_due_does_not_end_in_silence() -> None:
    """Speech that becomes no turn cancels the line at the provider: the turn is still open, and the call ends."""
    it = Asking()
    it.talk.hears(*user_turn(), ev.ResponseStarted("r1"), ends("r1"))
    it.goes_empty("r2")
    it.talk.hears(ev.ResponseStarted("r3", it.request()), ev.UserSpeechStarted("noise", 0))
    it.talk.hears(ends("r3", ev.ResponseStatus.CANCELLED, reason="turn_detected"))
    it.talk.hears(ev.UserSpeechStopped("noise", 100))
    it.talk.passes(15.0)
    assert it.talk.causes == [EndCause.SESSION_LOST]


@pytest.mark.parametrize("words", ["", None], ids=["empty", "failed"])
@pytest.mark.parametrize("early", [True, False])
def test_a_turn_without_words_is_told_that_nothing_was_caught(words: str | None, early: bool) -> None:
    """Whether that is known before the reply comes back empty, or between the two."""
    it = Asking()
    done = ev.UserTranscriptFailed("u1", "audio_unintelligible", "")
    known = done if words is None else ev.UserTranscriptDone("u1", words)
    it.talk.hears(*user_turn(), *([known] if early else []), ev.ResponseStarted("r1"), ends("r1"))
    it.talk.hears(*([] if early else [known]))
    it.goes_empty("r2")
    assert it.asked() == [None, word_for_word(DID_NOT_CATCH)]


def test_a_turn_without_words_that_is_answered_gets_that_answer() -> None:
    """The rule is for turns that the model has no reply to."""
    it = Asking()
    it.talk.hears(*user_turn(), ev.UserTranscriptDone("u1", ""), *says("r1"), ends("r1"))
    it.talk.passes(3.0)
    assert (it.asked(), it.settled()) == ([], [])


def test_a_fatal_reason_ends_the_call_and_nothing_is_asked_again() -> None:
    """As an error event does; the words are made printable."""
    it = Asking()
    fatal = {"error_code": "insufficient_quota", "error_message": "no\nmoney", "severity": ev.Severity.FATAL}
    it.talk.hears(*user_turn(), ev.ResponseStarted("r1"), ends("r1", ev.ResponseStatus.FAILED, **fatal))
    (end,) = [order for order in it.talk.orders if isinstance(order, EndCall)]
    assert end == EndCall(EndCause.SESSION_LOST, "the provider ended the session: insufficient_quota: no\\nmoney")
    assert it.asked() == []
    assert it.talk.machine.problems == {"insufficient_quota": 1}


def test_a_fatal_reason_waits_for_what_plays() -> None:
    """A second of audio is heard first; keys pressed meanwhile ask for nothing."""
    it = Asking(barge_in=BargeInPolicy(keys_stop_agent=False))
    it.talk.hears(*user_turn(), *says("r1"))
    fatal = {"error_code": "insufficient_quota", "severity": ev.Severity.FATAL}
    it.talk.hears(ends("r1", ev.ResponseStatus.FAILED, **fatal))
    it.talk.passes(0.5)
    assert it.talk.causes == []
    for key in "1#":
        it.talk.leg(ev.DigitPressed(key))
    it.talk.passes(5.0)
    assert it.talk.causes == [EndCause.SESSION_LOST]
    assert it.talk.over == pytest.approx(1.05, abs=0.05)
    assert it.asked() == []


# --- replies that fall short --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "why", "problem"),
    [
        (
            ends("r1", ev.ResponseStatus.INCOMPLETE, reason="max_output_tokens"),
            "incomplete: max_output_tokens",
            "incomplete: max_output_tokens",
        ),
        (ends("r1", ev.ResponseStatus.FAILED, error_code="server_error"), "failed: server_error", "server_error"),
        (ends("r1", ev.ResponseStatus.INCOMPLETE), "incomplete", "incomplete: no reason was given"),
    ],
)
def test_a_reply_that_falls_short_says_so(end: ev.ResponseEnded, why: str, problem: str) -> None:
    """In its turn, and once as a problem."""
    it = Asking()
    it.talk.hears(*user_turn(), *says("r1"), end)
    it.talk.passes(3.0)
    (turn,) = it.talk.machine.log.turns()
    assert (turn.end, turn.why, turn.items) == (facts.TurnEnd.INCOMPLETE, why, ("u1",))
    assert [fact.code for fact in it.talk.facts if isinstance(fact, facts.ProblemSeen)] == [problem]
    assert it.asked() == []


def test_a_reply_that_falls_short_and_is_cut_was_interrupted() -> None:
    """By whom comes first: the user."""
    it = Asking()
    it.talk.hears(*user_turn(), *says("r1"), ends("r1", ev.ResponseStatus.INCOMPLETE, reason="content_filter"))
    it.talk.passes(0.4)
    it.talk.hears(ev.UserSpeechStarted("u2", 0))
    it.talk.passes(1.0)
    assert it.talk.machine.log.turns()[0].end is facts.TurnEnd.INTERRUPTED


# --- tool calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_tool_calls_are_answered_by_one_response(speaks: bool, count: int) -> None:
    """G2: each call gets exactly one result, and all of them one response, once the one that called is over."""
    it = Asking()
    it.talk.hears(*user_turn(), *(says("r1") if speaks else [ev.ResponseStarted("r1")]))
    it.talk.hears(*(calls("r1", number) for number in range(count)))
    assert it.asked() == []
    it.talk.hears(ends("r1"))
    assert it.asked() == [None]
    results = [order.call_id for order in it.talk.orders if isinstance(order, ev.AddToolResult)]
    assert results == [f"call-r1-{number}" for number in range(count)]
    it.talk.hears(*says("r2", it.request()), ends("r2"))
    it.talk.passes(4.0)
    assert (it.asked(), it.settled(), it.talk.machine.taking.turns.unsettled) == ([], [], 0)
    assert it.talk.machine.problems == {"unknown_tool": count}


def test_a_tool_call_that_the_user_spoke_over_is_answered_with_the_users_turn() -> None:
    """The user's next turn gets a reply, which has read the result; it is asked for nothing else."""
    it = Asking()
    it.talk.hears(*user_turn("u1"), *says("r1"), calls("r1"))
    it.talk.passes(0.4)
    it.talk.hears(ev.UserSpeechStarted("u2", 0), ends("r1", ev.ResponseStatus.CANCELLED, reason="turn_detected"))
    it.talk.hears(ev.UserSpeechStopped("u2", 900), ev.UserTurnCommitted("u2"), *says("r2"), ends("r2"))
    it.talk.passes(4.0)
    assert it.asked() == []


def test_a_turn_that_begins_before_the_results_are_answered_is_the_answer() -> None:
    """The user speaks when the response that called ends: the session's reply to that turn has read the results."""
    it = Asking(attrs.evolve(ANSWERS, interrupts=False))
    it.talk.hears(*user_turn("u1"), ev.ResponseStarted("r1"), calls("r1"), ev.UserSpeechStarted("u2", 0))
    it.talk.hears(ends("r1"), ev.UserSpeechStopped("u2", 900), ev.UserTurnCommitted("u2"), *says("r2"), ends("r2"))
    it.talk.passes(4.0)
    assert (it.asked(), it.settled(), it.talk.machine.taking.turns.unsettled) == ([], [], 0)


def test_a_murmur_over_a_tool_call_does_not_lose_its_answer() -> None:
    """What does not stop the agent is no answer either: the response is asked for once that is decided."""
    it = Asking(ASKED, barge_in=BargeInPolicy(strategies=(MinWords(2),)))
    it.talk.hears(*says("r1"), calls("r1"))
    it.talk.passes(0.4)
    it.talk.hears(ev.UserSpeechStarted("u1", 0), ends("r1"))
    assert it.asked() == []
    it.talk.hears(ev.UserSpeechStopped("u1", 300), ev.UserTurnCommitted("u1"), ev.UserTranscriptDone("u1", "mm"))
    it.talk.passes(3.0)
    assert it.asked() == [None]
    assert it.settled() == [(("u1",), facts.TurnEnd.DROPPED)]


@pytest.mark.parametrize("capabilities", [ANSWERS, ASKED])
def test_results_are_answered_behind_a_message_that_plays(capabilities: ev.Capabilities) -> None:
    """The session called a tool by itself meanwhile; a response now would be spoken into the message's end."""
    message = Message("Welcome to the clinic.", SECOND)
    it = Asking(capabilities, first_message=message, policy=FirstMessagePolicy(protection=ProtectionRule.OFF))
    it.talk.passes(0.4)
    it.talk.hears(ev.ResponseStarted("r1"), calls("r1"), ends("r1"))
    it.talk.passes(0.4)
    assert (it.talk.told(facts.MessageDone), it.asked()) == ([], [])
    it.talk.passes(1.0)
    assert (len(it.talk.told(facts.MessageDone)), it.asked()) == (1, [None])


def test_a_model_that_only_calls_tools_is_not_asked_for_ever() -> None:
    """After so many in a row the turn's reply counts as lost."""
    it = Asking()
    it.talk.hears(*user_turn(), ev.ResponseStarted("r0"), calls("r0"), ends("r0"))
    for number in range(1, 20):
        if it.talk.over is not None:
            break
        it.talk.hears(ev.ResponseStarted(f"r{number}", it.request()), calls(f"r{number}"), ends(f"r{number}"))
    assert it.talk.causes == [EndCause.SESSION_LOST]
    assert it.talk.machine.problems["tool_calls_without_end"] >= 1
    assert len(it.asked()) <= IN_A_ROW + 3


def test_a_model_that_speaks_and_calls_for_ever_is_left_to_the_user() -> None:
    """Something was heard: after so many in a row it is the user's word."""
    it = Asking()
    it.talk.hears(*user_turn(), *says("r0"), calls("r0"), ends("r0"))
    for number in range(1, 20):
        if it.request() not in it.talk.requests:
            break
        it.talk.hears(*says(f"r{number}", it.request()), calls(f"r{number}"), ends(f"r{number}"))
        it.talk.passes(0.5)
    it.talk.passes(30.0)
    assert (len(it.asked()), it.talk.causes) == (IN_A_ROW, [])
    assert it.talk.machine.problems["tool_calls_without_end"] == 1


def test_the_states_of_tool_calls() -> None:
    """Called, due, asked for; another response that begins takes its place; a foreign end changes nothing."""
    tools, states = ToolCalls(), []
    tools.called("r1")
    assert not tools.ended("r0", wanted=True)
    tools.began("r1")
    states.append(tools.state)
    assert tools.ended("r1", wanted=True)
    states.append(tools.state)
    tools.began("r2")
    states.append(tools.state)
    assert not tools.ended("r1", wanted=True)
    assert states == [Calling.CALLED, Calling.DUE, Calling.NONE]
