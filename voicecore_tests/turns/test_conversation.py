"""The conversation: greet, listen, answer, stop at once, and end with nothing in hand."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import PCMU_8K
from voicecore.turns.barge_in.policy import AfterCut, BargeInPolicy
from voicecore.turns.barge_in.strategies import MinWords
from voicecore.turns.conversation import Conversation
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule
from voicecore.turns.first_message.requests import word_for_word
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.turns.recovery import SORRY
from voicecore.turns.responses import ResponsePhase
from voicecore.turns.settings import ConversationSettings
from voicecore_tests.chance import examples

DOES_ALL = ev.Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)
ASKED = attrs.evolve(DOES_ALL, replies=False, interrupts=False)
UNPROTECTED = FirstMessagePolicy(protection=ProtectionRule.OFF)
SECOND = b"\x11" * 8000


class Talk:
    """A conversation with a clock and a carrier that plays what it gets."""

    def __init__(
        self,
        capabilities: ev.Capabilities = DOES_ALL,
        first_message: str | None = None,
        policy: FirstMessagePolicy = UNPROTECTED,
        barge_in: BargeInPolicy | None = None,
    ) -> None:
        self.now = 0.0
        message = None if first_message is None else Message(first_message)
        settings = ConversationSettings(first_message=message, policy=policy, barge_in=barge_in or BargeInPolicy())
        self.machine = Conversation(PCMU_8K, 0.0, settings)
        self.orders: list[Order] = []
        self.sent: list[tuple[float, ev.LegOrder]] = []
        self.take(self.machine.begin(0.0))
        self.take(self.machine.session_ready(capabilities, 0.0))

    def take(self, orders: list[Order]) -> None:
        self.orders += orders

    def hears(self, *events: ev.SessionEvent) -> None:
        for event in events:
            self.take(self.machine.handle_session(event, self.now))

    def agent_says(self, response: str, item: str, audio: bytes = SECOND, text: str = "one two three four") -> None:
        """A whole response, faster than real time."""
        self.hears(
            ev.ResponseStarted(response),
            ev.AgentItemAdded(response, item),
            ev.AgentTextPart(response, item, text),
            ev.AgentAudio(response, item, audio),
            ev.AgentAudioEnded(response, item),
            ev.AgentTextDone(response, item, text),
        )

    def passes(self, seconds: float, *, echo: bool = True, step_s: float = 0.02) -> None:
        """Let time pass in steps; write what is due and echo marks 50 ms after their audio was played."""
        play_end = self.now
        for _ in range(round(seconds / step_s)):
            for order in self.machine.due(self.now):
                self.sent.append((self.now, order))
                self.take(self.machine.sent(order, self.now))
                if isinstance(order, ev.PlayAudio):
                    play_end = max(play_end, self.now) + len(order.audio) / 8000
                elif isinstance(order, ev.PlaceMark) and echo:
                    self._echoes.append((play_end + 0.05, order.name))
            for due, name in list(self._echoes):
                if due <= self.now:
                    self._echoes.remove((due, name))
                    self.take(self.machine.handle_leg(ev.MarkReturned(name), self.now))
            self.now += step_s
            self.take(self.machine.expire(self.now))

    @property
    def _echoes(self) -> list[tuple[float, str]]:
        return self.__dict__.setdefault("pending_echoes", [])  # type: ignore[no-any-return]

    def told(self, kind: type) -> list[Any]:
        return [order.fact for order in self.orders if isinstance(order, Notify) and isinstance(order.fact, kind)]

    def ordered(self, kind: type) -> list[Any]:
        return [order for order in self.orders if isinstance(order, kind)]


def user_turn(item: str = "u1") -> list[ev.SessionEvent]:
    return [ev.UserSpeechStarted(item, 0), ev.UserSpeechStopped(item, 500), ev.UserTurnCommitted(item)]


def completed(response: str, usage: ev.TokenUsage | None = None) -> ev.ResponseEnded:
    return ev.ResponseEnded(response_id=response, status=ev.ResponseStatus.COMPLETED, usage=usage)


def test_the_agent_greets_when_the_session_is_ready() -> None:
    """The first message is asked for word for word, once."""
    talk = Talk(first_message="Welcome.")
    (request,) = talk.ordered(ev.RequestResponse)
    assert request.instructions is not None
    assert request.instructions.endswith("\nWelcome.")
    assert not talk.machine.taking.is_quiet


def test_without_a_first_message_the_user_begins() -> None:
    """Nothing is asked for."""
    talk = Talk()
    assert (talk.ordered(ev.RequestResponse), talk.machine.taking.is_quiet) == ([], True)


def test_a_turn_is_answered_and_its_times_are_taken() -> None:
    """Committed, generated, sent, heard, over."""
    talk = Talk()
    talk.hears(*user_turn())
    talk.passes(0.3)
    talk.agent_says("r1", "a1")
    talk.hears(completed("r1"))
    talk.passes(2.0)
    (times,) = talk.machine.log.turns()
    assert times.user_stopped_at_s == 0.0
    assert times.first_sent_at_s == pytest.approx(0.3)
    assert times.first_heard_at_s == pytest.approx(0.42)
    assert talk.machine.taking.is_quiet
    assert [fact.text for fact in talk.told(facts.AgentSaid)] == ["one two three four"]


def test_a_session_that_does_not_answer_by_itself_is_asked() -> None:
    """Turn detection without automatic responses: the engine asks, once a turn."""
    talk = Talk(ASKED)
    talk.hears(*user_turn())
    assert len(talk.ordered(ev.RequestResponse)) == 1


def test_barge_in_cuts_at_once_and_the_history_keeps_what_was_heard() -> None:
    """Clear first on the wire; the provider's item is cut to whole milliseconds that were heard."""
    talk = Talk()
    talk.agent_says("r1", "a1", SECOND * 4)
    talk.passes(1.0)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    (truncate,) = talk.ordered(ev.TruncateItem)
    assert truncate.item_id == "a1"
    assert 600 <= truncate.audio_end_ms <= 1000
    assert talk.machine.due(talk.now)[0] == ev.ClearPlayout(1)
    (line,) = talk.machine.speech.transcript.lines()
    assert (line.interrupted, line.text) == (True, "one")
    assert len(talk.told(facts.BargeInConfirmed)) == 1


def test_c5_audio_of_the_interrupted_response_is_dropped_by_its_id() -> None:
    """Deltas that were in flight are never played, and are counted."""
    talk = Talk()
    talk.hears(ev.ResponseStarted("r1"), ev.AgentAudio("r1", "a1", SECOND))
    talk.passes(0.5)
    talk.hears(ev.UserSpeechStarted("u1", 0), ev.AgentAudio("r1", "a1", SECOND))
    talk.passes(0.5)
    assert all(order.generation == 1 for moment, order in talk.sent if moment > 0.5)
    assert not any(isinstance(order, ev.PlayAudio) for moment, order in talk.sent if moment > 0.5)
    assert talk.machine.speech.dropped_bytes["late"] == len(SECOND)


def test_c8_an_item_that_nobody_heard_is_deleted_not_truncated() -> None:
    """Truncating at zero is refused by providers."""
    talk = Talk()
    talk.agent_says("r1", "a1")
    talk.passes(0.04)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    assert (talk.ordered(ev.TruncateItem), talk.ordered(ev.DeleteItem)) == ([], [ev.DeleteItem("a1")])
    assert talk.machine.speech.transcript.lines() == []


def test_items_queued_behind_the_one_that_plays_are_deleted() -> None:
    """Everything after the playing item was not heard."""
    talk = Talk()
    talk.agent_says("r1", "a1", SECOND * 3)
    talk.hears(completed("r1"))
    talk.agent_says("r2", "a2", SECOND)
    talk.passes(1.0)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    assert [order.item_id for order in talk.ordered(ev.TruncateItem)] == ["a1"]
    assert talk.ordered(ev.DeleteItem) == [ev.DeleteItem("a2")]


@pytest.mark.parametrize(("capabilities", "cancels"), [(DOES_ALL, 0), (ASKED, 1)])
def test_d15_only_what_runs_is_cancelled_and_only_where_the_provider_does_not(
    capabilities: ev.Capabilities, cancels: int
) -> None:
    """One cancel at most, by id; none for a response that is over."""
    talk = Talk(capabilities)
    talk.hears(ev.ResponseStarted("r1"), ev.AgentAudio("r1", "a1", SECOND))
    talk.passes(0.5)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    assert len(talk.ordered(ev.CancelResponse)) == cancels


def test_c6_speech_over_the_tail_of_a_finished_response_is_a_barge_in() -> None:
    """The provider was done long ago; no cancel, but clear and truncate."""
    talk = Talk(ASKED)
    talk.agent_says("r1", "a1", SECOND * 3)
    talk.hears(completed("r1"))
    talk.passes(1.0)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    assert (len(talk.ordered(ev.TruncateItem)), talk.ordered(ev.CancelResponse)) == (1, [])


def test_d6_speech_after_the_last_mark_is_a_clean_turn() -> None:
    """No echo-tail grace turns an answer into a ghost barge-in."""
    talk = Talk()
    talk.agent_says("r1", "a1", SECOND)
    talk.hears(completed("r1"))
    talk.passes(1.5)
    talk.hears(*user_turn())
    assert (talk.told(facts.BargeInConfirmed), talk.machine.taking.barge_ins) == ([], 0)
    assert talk.machine.taking.is_agent_awaited


def test_the_delay_from_onset_to_the_written_clear_is_told() -> None:
    """Stamped when the clear is on the wire, not when it was decided."""
    talk = Talk()
    talk.agent_says("r1", "a1")
    talk.passes(0.5)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    clear = talk.machine.due(talk.now)[0]
    talk.take(talk.machine.sent(clear, talk.now + 0.004))
    assert [fact.delay_s for fact in talk.told(facts.ClearSent)] == [pytest.approx(0.004)]


def test_orders_that_a_clear_overtook_are_not_current() -> None:
    """The writer may hold a batch in its hand when the user speaks."""
    talk = Talk()
    talk.agent_says("r1", "a1")
    batch = talk.machine.due(0.0)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    assert not any(talk.machine.is_current(order) for order in batch)
    for order in batch:
        talk.machine.speech.skipped(order)
    assert talk.machine.speech.dropped_bytes["cleared"] == sum(
        len(o.audio) for o in batch if isinstance(o, ev.PlayAudio)
    )


def test_a_lost_reply_is_asked_for_once_more_then_a_line_and_then_the_call_ends() -> None:
    """D22: each committed turn ends in a reply or an error within a deadline, and never in silence."""
    talk = Talk()
    talk.hears(*user_turn())
    talk.passes(25.0)
    assert [request.instructions for request in talk.ordered(ev.RequestResponse)] == [None, word_for_word(SORRY)]
    assert talk.ordered(EndCall) == []
    talk.passes(10.0)
    assert talk.machine.taking.is_quiet
    assert talk.machine.problems
    (end, *_) = talk.ordered(EndCall)
    assert end.cause is facts.EndCause.SESSION_LOST
    assert end.detail == "no reply could be had: the provider did not start it in time"


def test_a_failed_greeting_is_asked_for_once_more() -> None:
    """The user never meets silence because one response failed."""
    talk = Talk(first_message="Welcome.")
    talk.hears(
        ev.ResponseStarted("r1", "first-message-1"),
        ev.ResponseEnded(response_id="r1", status=ev.ResponseStatus.FAILED, error_code="rate_limit_exceeded"),
    )
    requests = talk.ordered(ev.RequestResponse)
    assert [request.instructions for request in requests] == [requests[0].instructions] * 2
    assert talk.machine.problems["rate_limit_exceeded"] == 1


def test_e8_usage_is_counted_once_for_each_response_and_for_cancelled_ones_too() -> None:
    """A repeated response.done adds nothing."""
    talk = Talk()
    usage = ev.TokenUsage(text_in=10, audio_out=5)
    cancelled = ev.ResponseEnded(response_id="r2", status=ev.ResponseStatus.CANCELLED, usage=usage)
    talk.hears(completed("r1", usage), completed("r1", usage), cancelled)
    assert talk.machine.usage == ev.TokenUsage(text_in=20, audio_out=10)


def test_e5_a_response_without_audio_closes_its_turn() -> None:
    """It is asked for again once, then for a line in its place; once that is heard, the user is waited for."""
    talk = Talk()
    talk.hears(*user_turn(), ev.ResponseStarted("r1"), completed("r1"))
    assert len(talk.ordered(ev.RequestResponse)) == 1
    talk.hears(ev.ResponseStarted("r2", "request-1"), completed("r2"))
    waited = talk.machine.taking.is_agent_awaited
    talk.hears(ev.ResponseStarted("r3", "line-1"), ev.AgentAudio("r3", "a3", SECOND), completed("r3"))
    talk.passes(2.0)
    assert (waited, talk.machine.taking.is_quiet) == (True, True)
    assert [(fact.items, fact.end) for fact in talk.told(facts.TurnsUnanswered)] == [(("u1",), facts.TurnEnd.FAILED)]


def test_a_fatal_error_ends_the_call_and_a_harmless_one_is_only_counted() -> None:
    """Errors by class."""
    talk = Talk()
    talk.hears(ev.SessionProblem(code="response_cancel_not_active", message="", severity=ev.Severity.HARMLESS))
    assert talk.orders == []
    talk.hears(ev.SessionProblem(code="session_expired", message="gone", severity=ev.Severity.FATAL))
    (end,) = talk.ordered(EndCall)
    assert (end.cause, "session_expired" in end.detail) == (facts.EndCause.SESSION_LOST, True)
    assert talk.machine.problems == {"response_cancel_not_active": 1, "session_expired": 1}


def test_the_same_problem_is_told_once_and_counted() -> None:
    """Logged once per code and call."""
    talk = Talk()
    problem = ev.SessionProblem(code="invalid_value", message="x", severity=ev.Severity.REFUSED)
    talk.hears(problem, problem, problem)
    assert (len(talk.told(facts.ProblemSeen)), talk.machine.problems["invalid_value"]) == (1, 3)


def test_a_notice_is_told_once_and_counted() -> None:
    """Unknown events, old names, an echo that differs: one line each, and the call goes on."""
    talk = Talk()
    notice = ev.SessionNotice("response.new_thing", "an event we do not know")
    talk.hears(notice, notice)
    (told,) = talk.told(facts.ProblemSeen)
    assert (told.code, talk.machine.problems[told.code]) == ("notice: response.new_thing", 2)


def test_the_carriers_stop_ends_the_call() -> None:
    """A stop is the user hanging up."""
    talk = Talk()
    talk.take(talk.machine.handle_leg(ev.LegStopped(), 0.0))
    assert talk.ordered(EndCall) == [EndCall(facts.EndCause.REMOTE_HUNG_UP)]


def test_what_was_playing_when_the_call_ended_is_cut_to_what_was_heard() -> None:
    """C1: nothing stays open; the record claims only what was heard."""
    talk = Talk()
    talk.agent_says("r1", "a1", SECOND * 4)
    talk.passes(1.0)
    talk.machine.end(talk.now)
    (line,) = talk.machine.speech.transcript.lines()
    assert (line.text, line.interrupted) == ("one", True)
    assert (talk.machine.speech.playout.speaking, talk.machine.deadline()) == (False, None)


@pytest.mark.parametrize("ends", [True, False])
def test_c10_words_that_count_as_said_have_begun(ends: bool) -> None:
    """Cut by the user or by the call's end: the item that played stays whole, the one behind it was not said."""
    talk = Talk(barge_in=BargeInPolicy(after_cut=AfterCut.FULL))
    talk.agent_says("r1", "a1", SECOND * 3)
    talk.hears(completed("r1"))
    talk.agent_says("r2", "a2", SECOND)
    talk.passes(1.0)
    if ends:
        talk.machine.end(talk.now)
    else:
        talk.hears(ev.UserSpeechStarted("u1", 0))
        assert (talk.ordered(ev.TruncateItem), talk.ordered(ev.DeleteItem)) == ([], [ev.DeleteItem("a2")])
    lines = [line for line in talk.machine.speech.transcript.lines() if line.speaker is facts.Speaker.AGENT]
    assert [(line.item_id, line.text, line.interrupted) for line in lines] == [("a1", "one two three four", True)]


def test_f10_audio_that_arrives_after_the_end_is_dropped_and_counted() -> None:
    """Nothing is sent after the stop, and that is no error."""
    talk = Talk()
    talk.machine.end(0.0)
    talk.hears(ev.AgentAudio("r1", "a1", SECOND))
    assert (talk.machine.speech.dropped_bytes["late"], talk.machine.due(0.0)) == (len(SECOND), [])


def test_e8_what_a_response_cost_counts_after_the_end_of_the_call_too() -> None:
    """D1: of everything else that comes then, but for the user's words, nobody is told, and nothing is ordered."""
    talk = Talk()
    talk.agent_says("r1", "a1")
    talk.passes(0.5)
    talk.take(talk.machine.end(talk.now))
    told = len(talk.orders)
    usage = ev.TokenUsage(text_in=10, audio_out=5)
    talk.hears(*user_turn(), completed("r1", usage), completed("r1", usage), ev.ResponseStarted("r2"))
    talk.take(talk.machine.handle_leg(ev.DigitPressed("1"), talk.now))
    facts_told = [type(order.fact) if isinstance(order, Notify) else None for order in talk.orders[told:]]
    assert (facts_told, talk.machine.usage) == ([facts.UserTurn, facts.TurnEnded], usage)


def test_a_response_that_nobody_announced_is_watched_like_any_other() -> None:
    """It speaks while a request is under way, and never ends: it is cancelled, and nothing is due any more."""
    talk = Talk(ASKED)
    talk.hears(*user_turn(), ev.AgentAudio("r1", "a1", SECOND))
    talk.passes(30.0)
    assert talk.ordered(ev.CancelResponse) == [ev.CancelResponse("r1")]
    assert (talk.machine.taking.is_quiet, talk.machine.speech.playout.speaking) == (True, False)


def test_d1_a_decision_ends_with_the_words_that_it_is_about() -> None:
    """A machine answered, and what was playing is cut: there is nothing left to stop."""
    talk = Talk(ASKED, barge_in=BargeInPolicy(strategies=(MinWords(2),)))
    talk.agent_says("r1", "a1", SECOND * 4)
    talk.passes(0.5)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    talk.take(talk.machine.leave_message(Message("Please call back."), talk.now))
    assert not talk.machine.taking.barge_in.is_open
    assert [each.outcome for each in talk.machine.taking.barge_in.decisions] == [facts.BargeInOutcome.OVERTAKEN]
    talk.hears(ev.UserTranscriptDone("u1", "hello who is there"))
    assert talk.told(facts.BargeInConfirmed) == []


class ConversationMachine(RuleBasedStateMachine):
    """Everything that user, provider, carrier and clock can do, in any order."""

    @initialize(greets=st.booleans(), replies=st.booleans(), interrupts=st.booleans())
    def begin(self, greets: bool, replies: bool, interrupts: bool) -> None:
        capabilities = attrs.evolve(DOES_ALL, replies=replies, interrupts=interrupts)
        self.talk = Talk(capabilities, "Welcome." if greets else None)
        self.turns = 0
        self.running: str | None = None
        self.finished: set[str] = set()
        self.responses = 0

    @rule()
    def user_starts(self) -> None:
        self.turns += 1
        self.talk.hears(ev.UserSpeechStarted(f"u{self.turns}", 0))

    @rule()
    def user_turn_is_committed(self) -> None:
        self.talk.hears(ev.UserSpeechStopped(f"u{self.turns}", 0), ev.UserTurnCommitted(f"u{self.turns}"))

    @rule()
    @precondition(lambda self: self.running is None)
    def response_starts(self) -> None:
        self.responses += 1
        self.running = f"r{self.responses}"
        ours = [o.request_id for o in self.talk.ordered(ev.RequestResponse)]
        self.talk.hears(ev.ResponseStarted(self.running, ours[-1] if ours else None))

    @rule(frames=st.integers(1, 60))
    @precondition(lambda self: self.responses)
    def audio_comes(self, frames: int) -> None:
        response = self.running or f"r{self.responses}"
        self.talk.hears(ev.AgentAudio(response, f"a-{response}", b"\x22" * 160 * frames))

    @rule(status=st.sampled_from(ev.ResponseStatus), reason=st.sampled_from([None, "turn_detected"]))
    @precondition(lambda self: self.running)
    def response_ends(self, status: ev.ResponseStatus, reason: str | None) -> None:
        assert self.running is not None
        self.talk.hears(ev.ResponseEnded(response_id=self.running, status=status, reason=reason))
        self.running = None

    @rule(severity=st.sampled_from([ev.Severity.BUSY, ev.Severity.REFUSED, ev.Severity.HARMLESS]), named=st.booleans())
    def an_error_comes(self, severity: ev.Severity, named: bool) -> None:
        requests = self.talk.ordered(ev.RequestResponse)
        request_id = requests[-1].request_id if requests and named else None
        self.talk.hears(ev.SessionProblem(code="e", message="m", severity=severity, request_id=request_id))

    @rule(seconds=st.sampled_from([0.02, 0.2, 1.0, 3.0]), echo=st.booleans())
    def time_passes(self, seconds: float, echo: bool) -> None:
        self.talk.passes(seconds, echo=echo)

    @rule()
    def a_stray_mark_comes(self) -> None:
        self.talk.take(self.talk.machine.handle_leg(ev.MarkReturned("g0-999"), self.talk.now))

    @invariant()
    def i7_no_audio_of_an_older_generation_after_a_clear(self) -> None:
        generations = [order.generation for _, order in self.talk.sent]
        assert generations == sorted(generations)

    @invariant()
    def i8_truncations_are_whole_and_not_more_than_was_sent(self) -> None:
        sent: dict[str, int] = {}
        for _, order in self.talk.sent:
            if isinstance(order, ev.PlayAudio):
                sent[order.item_id] = sent.get(order.item_id, 0) + len(order.audio)
        for order in self.talk.ordered(ev.TruncateItem):
            assert 0 < order.audio_end_ms <= sent[order.item_id] / 8

    @invariant()
    def the_agents_silence_has_a_deadline(self) -> None:
        if self.talk.machine.taking.is_agent_awaited:
            assert self.talk.machine.deadline() is not None

    @invariant()
    def items_are_cut_once(self) -> None:
        cut = [order.item_id for order in self.talk.orders if isinstance(order, ev.TruncateItem | ev.DeleteItem)]
        assert len(cut) == len(set(cut))

    def teardown(self) -> None:
        """Liveness: when everybody goes quiet nothing is due any more; then the end leaves nothing."""
        self.running = None
        self.talk.passes(80.0, step_s=0.2)
        assert self.talk.machine.taking.is_quiet
        assert self.talk.machine.speech.responses.phase is ResponsePhase.IDLE
        self.talk.machine.end(self.talk.now)
        assert self.talk.machine.deadline() is None
        assert not self.talk.machine.speech.playout.speaking


ConversationMachine.TestCase.settings = examples(50, steps=25)
TestConversationMachine = ConversationMachine.TestCase
