"""The response owner: one request at a time, nothing lost in silence, nothing stale admitted."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore.errors import LocalProtocolError
from voicecore.events import CancelResponse, RequestResponse, ResponseEnded, ResponseStarted, ResponseStatus
from voicecore.turns.responses import (
    WAITING_LIMIT,
    RequestLost,
    ResponseOrder,
    ResponseOwner,
    ResponsePhase,
    ResponseSettings,
)
from voicecore_tests.chance import examples


def asked(number: int) -> RequestResponse:
    return RequestResponse(request_id=f"q{number}")


def ended(response_id: str, status: ResponseStatus = ResponseStatus.COMPLETED) -> ResponseEnded:
    return ResponseEnded(response_id=response_id, status=status)


def test_a_request_goes_out_at_once_when_nothing_runs() -> None:
    """An idle session is asked without delay."""
    assert ResponseOwner().request(asked(1), 0.0) == [asked(1)]


def test_b15_a_request_waits_until_the_active_response_is_over() -> None:
    """Two creates never meet at the provider."""
    owner = ResponseOwner()
    owner.started(ResponseStarted("r0"), 0.0)
    assert owner.request(asked(1), 0.1) == []
    assert owner.ended(ended("r0"), 0.2) == [asked(1)]


def test_d21_a_refusal_as_busy_is_asked_again_when_the_other_response_is_over() -> None:
    """The provider began one by itself between our check and our send."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.started(ResponseStarted("auto"), 0.1)
    assert owner.refused("q1", 0.2, busy=True) == []
    assert owner.ended(ended("auto"), 1.0) == [asked(1)]


def test_a_busy_refusal_without_an_event_id_is_ours() -> None:
    """Providers leave the id out; one request at most is under way, so it can only be that one."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.started(ResponseStarted("auto"), 0.1)
    owner.refused(None, 0.2, busy=True)
    assert owner.ended(ended("auto"), 1.0) == [asked(1)]


def test_a_provider_that_stays_busy_loses_the_request_by_name() -> None:
    """Retries are bounded."""
    owner = ResponseOwner(ResponseSettings(tries=2))
    orders: list[ResponseOrder] = owner.request(asked(1), 0.0)
    for number in range(2):
        owner.started(ResponseStarted(f"auto{number}"), 0.1)
        orders += owner.refused("q1", 0.2, busy=True)
        orders += owner.ended(ended(f"auto{number}"), 0.3)
    assert orders == [asked(1), asked(1), RequestLost("q1", "the provider stayed busy with other responses")]


def test_a_request_that_is_refused_for_good_is_lost_and_the_next_one_goes() -> None:
    """A refusal is matched by its id and fails at once."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.request(asked(2), 0.0)
    assert owner.refused("q1", 0.1, busy=False) == [RequestLost("q1", "refused by the provider"), asked(2)]


def test_a_refusal_of_something_else_changes_nothing() -> None:
    """Errors about other requests carry other ids."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    assert owner.refused("somebody-else", 0.1, busy=False) == []
    assert owner.phase is ResponsePhase.REQUESTED


def test_an_error_that_names_no_request_shortens_the_wait_for_the_one_that_is_out() -> None:
    """It may have been the refusal: nobody knows, so the request is lost at the shorter bound, once."""
    owner = ResponseOwner(ResponseSettings(start_s=10.0, perhaps_refused_s=3.0))
    owner.request(asked(1), 0.0)
    assert owner.refused(None, 1.0, busy=False) == []
    assert owner.refused(None, 2.0, busy=False) == []  # a second error does not make it longer
    assert owner.deadline() == 4.0
    assert owner.expire(4.0) == [RequestLost("q1", "the provider did not start it in time")]


def test_an_error_that_names_no_request_never_lengthens_a_wait() -> None:
    """Nor does it begin one where nothing is out, or touch a response that runs."""
    owner = ResponseOwner(ResponseSettings(start_s=2.0, perhaps_refused_s=3.0))
    assert owner.refused(None, 0.0, busy=False) == []
    assert owner.deadline() is None
    owner.request(asked(1), 0.0)
    owner.refused(None, 1.0, busy=False)
    assert owner.deadline() == 2.0
    owner.started(ResponseStarted("r1", "q1"), 1.5)
    running = owner.deadline()
    owner.refused(None, 1.6, busy=False)
    assert owner.deadline() == running


def test_a_doubted_request_behind_the_sessions_own_response_is_waited_for_less_long() -> None:
    """Its start was not seen when the session's own began; the shorter bound holds from the error on."""
    owner = ResponseOwner(ResponseSettings(start_s=10.0, perhaps_refused_s=3.0))
    owner.request(asked(1), 0.0)
    owner.started(ResponseStarted("auto"), 0.1)
    owner.refused(None, 0.2, busy=False)
    assert owner.ended(ended("auto"), 1.0) == []
    assert owner.deadline() == 3.2


def test_i10_a_response_that_starts_after_its_request_was_given_up_is_cancelled_and_never_heard() -> None:
    """Late offspring of a dead request must not speak over the next one."""
    owner = ResponseOwner(ResponseSettings(start_s=5.0))
    owner.request(asked(1), 0.0)
    assert owner.expire(5.0) == [RequestLost("q1", "the provider did not start it in time")]
    assert owner.started(ResponseStarted("late", "q1"), 7.0) == [CancelResponse("late")]
    assert not owner.admits("late")


def test_i9_a_response_without_progress_is_cancelled_then_assumed_over() -> None:
    """An error without a response.done must not leave "active" for ever."""
    owner = ResponseOwner(ResponseSettings(progress_s=8.0, cancel_s=2.0))
    owner.started(ResponseStarted("r0"), 0.0)
    owner.request(asked(1), 0.0)
    owner.progressed("r0", 3.0)
    assert owner.deadline() == 11.0
    assert owner.expire(11.0) == [CancelResponse("r0")]
    assert owner.expire(13.0) == [asked(1)]
    assert owner.ended(ended("r0"), 14.0) == []
    assert owner.phase is ResponsePhase.REQUESTED


def test_a_request_that_was_put_back_by_mistake_is_not_asked_twice() -> None:
    """A refusal without an id may have meant an older request; the start that follows settles it."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.refused(None, 0.1, busy=True)
    owner.started(ResponseStarted("r1", "q1"), 0.2)
    assert owner.ended(ended("r1"), 0.3) == []


def test_an_interrupted_response_is_silenced_for_good() -> None:
    """C5: deltas go on for seconds after the user spoke."""
    owner = ResponseOwner()
    owner.started(ResponseStarted("r0"), 0.0)
    assert owner.interrupt("r0", 1.0, provider_cancels=False) == [CancelResponse("r0")]
    owner.progressed("r0", 1.1)
    owner.ended(ended("r0", ResponseStatus.CANCELLED), 1.2)
    assert not owner.admits("r0")


def test_no_cancel_is_sent_where_the_provider_cancels_by_itself_or_nothing_runs() -> None:
    """D15: a hail of "not active" errors is our fault."""
    owner = ResponseOwner()
    owner.started(ResponseStarted("r0"), 0.0)
    assert owner.interrupt("r0", 1.0, provider_cancels=True) == []
    owner.ended(ended("r0"), 1.1)
    assert owner.interrupt("r0", 1.2, provider_cancels=False) == []


def test_a_response_whose_start_was_never_said_is_known_by_its_first_sign() -> None:
    """response.created goes missing on fast interruptions."""
    owner = ResponseOwner()
    owner.progressed("r0", 0.0)
    assert (owner.phase, owner.active_id) == (ResponsePhase.ACTIVE, "r0")


def test_an_end_without_a_start_and_a_second_end_change_nothing() -> None:
    """Unknown ids are tolerated."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.ended(ended("stranger"), 0.1)
    owner.started(ResponseStarted("r1", "q1"), 0.2)
    owner.ended(ended("r1"), 0.3)
    owner.ended(ended("r1"), 0.4)
    assert owner.phase is ResponsePhase.IDLE


def test_a_start_that_arrives_after_the_end_does_not_revive_a_response() -> None:
    """Events of one response may come in a strange order."""
    owner = ResponseOwner()
    owner.ended(ended("r0"), 0.0)
    owner.started(ResponseStarted("r0"), 0.1)
    owner.progressed("r0", 0.2)
    assert owner.phase is ResponsePhase.IDLE


def test_waiting_requests_are_bounded() -> None:
    """Whoever asks without end is told so."""
    owner = ResponseOwner()
    owner.started(ResponseStarted("r0"), 0.0)
    for number in range(WAITING_LIMIT):
        owner.request(asked(number), 0.0)
    with pytest.raises(LocalProtocolError, match=f"{WAITING_LIMIT} responses are waiting"):
        owner.request(asked(99), 0.0)


def test_a_response_without_an_id_answers_the_request_that_is_out() -> None:
    """The id is a hint: servers leave it out."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    start = owner.named(ResponseStarted("r1"), may_be_own=False)
    assert start.request_id == "q1"
    owner.started(start, 0.1)
    assert owner.ended(ended("r1"), 0.2) == []
    assert (owner.phase, owner.requested()) == (ResponsePhase.IDLE, [])


def test_it_is_the_sessions_own_where_that_has_a_turn_to_answer_or_gives_ids_back() -> None:
    """Another explanation is more likely."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    assert owner.named(ResponseStarted("auto"), may_be_own=True).request_id is None
    owner.started(owner.named(ResponseStarted("r1", "q1"), may_be_own=False), 0.1)
    owner.ended(ended("r1"), 0.2)
    owner.request(asked(2), 0.3)
    assert owner.named(ResponseStarted("auto2"), may_be_own=False).request_id is None


def test_a_refusal_that_names_the_request_is_proof_that_the_response_was_another() -> None:
    """It is asked for again when that one is over."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    owner.started(owner.named(ResponseStarted("auto"), may_be_own=False), 0.1)
    assert owner.refused("q1", 0.2, busy=True) == []
    assert owner.request_of("auto") is None
    assert owner.ended(ended("auto"), 1.0) == [asked(1)]


def test_a_request_that_meets_one_that_was_given_up_goes_out_once_that_one_has_ended() -> None:
    """It was refused before the other had begun: its beginning and its end are not nobody's."""
    owner = ResponseOwner()
    owner.request(asked(1), 0.0)
    assert owner.abandon("q1", 0.5) == []
    assert owner.request(asked(2), 0.5) == [asked(2)]
    assert owner.refused("q2", 0.6, busy=True) == []
    assert owner.started(ResponseStarted("r1", "q1"), 1.0) == [CancelResponse("r1")]
    assert owner.ended(ended("r1", ResponseStatus.CANCELLED), 1.1) == [asked(2)]


def test_a_nameless_response_behind_a_request_that_was_given_up_is_its_late_offspring() -> None:
    """Cancelled, once."""
    owner = ResponseOwner(ResponseSettings(start_s=5.0))
    owner.request(asked(1), 0.0)
    owner.expire(5.0)
    late = owner.named(ResponseStarted("late"), may_be_own=False)
    assert owner.started(late, 7.0) == [CancelResponse("late")]
    assert owner.named(ResponseStarted("r2"), may_be_own=False).request_id is None


def test_what_was_disowned_is_never_ours_and_never_heard() -> None:
    """It was begun before pick-up, and told to stop."""
    owner = ResponseOwner()
    owner.disown(["early"])
    owner.request(asked(1), 0.0)
    assert owner.named(ResponseStarted("early"), may_be_own=False).request_id is None
    owner.started(ResponseStarted("early"), 0.1)
    assert not owner.admits("early")
    owner.ended(ended("early"), 0.2)
    assert owner.phase is ResponsePhase.REQUESTED


def test_a_response_that_has_begun_may_take_longer_than_one_that_stalls() -> None:
    """Slow is not lost."""
    owner = ResponseOwner(ResponseSettings(announced_s=30.0, progress_s=8.0))
    owner.started(ResponseStarted("r0"), 0.0)
    assert owner.deadline() == 30.0
    owner.progressed("r0", 25.0)
    assert owner.deadline() == 33.0


class ResponseOwnerMachine(RuleBasedStateMachine):
    """The owner against a provider that starts by itself, refuses, forgets and repeats itself."""

    @initialize()
    def begin(self) -> None:
        self.owner = ResponseOwner(ResponseSettings(start_s=5.0, progress_s=5.0, cancel_s=2.0))
        self.now = 0.0
        self.asked = 0
        self.answered: set[str] = set()  # requests that were started or lost
        self.inbox: list[str] = []  # creates on the wire that the provider has not looked at
        self.running: str | None = None  # the provider's truth
        self.started = 0
        self.silenced: set[str] = set()

    def take(self, orders: list[ResponseOrder]) -> None:
        for order in orders:
            if isinstance(order, RequestResponse):
                self.inbox.append(order.request_id)
            elif isinstance(order, RequestLost):
                self.answered.add(order.request_id)
            elif order.response_id == self.running:
                self.silenced.add(order.response_id)

    @rule()
    @precondition(lambda self: self.owner.waiting < WAITING_LIMIT)
    def ask(self) -> None:
        self.asked += 1
        self.take(self.owner.request(asked(self.asked), self.now))

    @invariant()
    def nothing_is_asked_again_after_it_was_answered(self) -> None:
        assert len(self.inbox) == len(set(self.inbox))

    @rule(told=st.booleans())
    @precondition(lambda self: self.running is None)
    def provider_starts_by_itself(self, told: bool) -> None:
        self.start(None, told=told)

    @rule(with_id=st.booleans())
    @precondition(lambda self: self.inbox)
    def provider_reads_a_create(self, with_id: bool) -> None:
        request_id = self.inbox.pop(0)
        if self.running is None:
            self.answered.add(request_id)
            self.start(request_id, told=True)
        else:
            self.take(self.owner.refused(request_id if with_id else None, self.now, busy=True))

    @rule()
    @precondition(lambda self: self.inbox)
    def provider_loses_a_create(self) -> None:
        self.inbox.pop(0)

    def start(self, request_id: str | None, *, told: bool) -> None:
        self.started += 1
        self.running = f"r{self.started}"
        if told:
            self.take(self.owner.started(ResponseStarted(self.running, request_id), self.now))

    @rule()
    @precondition(lambda self: self.running)
    def audio_comes(self) -> None:
        assert self.running is not None
        self.owner.progressed(self.running, self.now)

    @rule()
    @precondition(lambda self: self.running)
    def user_interrupts(self) -> None:
        assert self.running is not None
        self.silenced.add(self.running)
        self.take(self.owner.interrupt(self.running, self.now, provider_cancels=False))

    @rule(times=st.integers(1, 2))
    @precondition(lambda self: self.running)
    def provider_ends(self, times: int) -> None:
        assert self.running is not None
        for _ in range(times):
            self.take(self.owner.ended(ended(self.running), self.now))
        self.running = None

    @rule()
    @precondition(lambda self: self.running)
    def provider_forgets_the_end(self) -> None:
        self.running = None

    @rule(step_s=st.sampled_from([0.0, 1.0, 2.0, 5.0]))
    def time_passes(self, step_s: float) -> None:
        self.now += step_s
        self.take(self.owner.expire(self.now))

    @invariant()
    def at_most_one_create_is_under_way(self) -> None:
        assert len(set(self.inbox) - self.answered) <= 1

    @invariant()
    def what_was_silenced_stays_silent(self) -> None:
        assert not any(self.owner.admits(response_id) for response_id in self.silenced)

    @invariant()
    def whatever_is_awaited_has_a_deadline(self) -> None:
        assert (self.owner.deadline() is None) == (self.owner.phase is ResponsePhase.IDLE)

    def teardown(self) -> None:
        """Liveness: a provider that goes quiet cannot keep a request for ever."""
        self.inbox.clear()
        self.running = None
        for _ in range(100):
            if (deadline := self.owner.deadline()) is None:
                break
            self.now = max(self.now, deadline)
            self.take(self.owner.expire(self.now))
            self.inbox.clear()
        assert self.owner.phase is ResponsePhase.IDLE
        assert self.answered >= {f"q{number}" for number in range(1, self.asked + 1)}


ResponseOwnerMachine.TestCase.settings = examples(150, steps=40)
TestResponseOwnerMachine = ResponseOwnerMachine.TestCase
