"""What others have reported of real servers, played by our twins: the kinds that no other test has in this form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import AgentAudible, AgentHeard, EndCause, MessageFate, Speaker, TurnEnd
from voicecore.simulation.carrier_twin import AfterAgent, At, DialPlan, HangUp, Say, Step, WhileAgentSpeaks
from voicecore.simulation.carrier_twin.faults import StatusFaults
from voicecore.simulation.provider_twin import Behaviour, Reply, Script, Tone, Updates
from voicecore.simulation.provider_twin.rewrites import Rewrite
from voicecore.simulation.provider_twin.shapes import JsonObject
from voicecore_tests.kit import asked, house, ulaw

HELLO = ulaw("caller-hello-it")
GREETING = Reply("Welcome.", speech=Tone(1.0))
ANSWER = Reply("Certainly.", speech=Tone(1.0))
LONG = Reply("one two three four five six seven eight nine ten", speech=Tone(8.0))
TALK = Script(replies=(GREETING, ANSWER), hears=("hello?", "and then?", "and then?"))


def only_text(*responses: int) -> Rewrite:
    """Let these responses, counted from 1, come as text: no audio, and their words as output text."""
    seen: list[str] = []

    def rewrite(event: JsonObject) -> JsonObject | None:
        response_id = event.get("response_id")
        if response_id is not None and response_id not in seen:
            seen.append(response_id)
        if response_id is None or seen.index(response_id) + 1 not in responses:
            return event
        kind = event["type"].replace("output_audio_transcript", "output_text")
        return None if "output_audio." in event["type"] else event | {"type": kind}

    return rewrite


def refusing(kind: str) -> Callable[[JsonObject], JsonObject]:
    """Answer a truncation, or whatever this event says, with an error that names nothing."""

    def rewrite(event: JsonObject) -> JsonObject:
        if event["type"] != kind:
            return event
        error = {"type": "invalid_request_error", "code": "invalid_value", "message": "already shorter", "param": None}
        return {"type": "error", "event_id": event["event_id"], "error": error | {"event_id": None}}

    return rewrite


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_response_that_comes_as_text_is_asked_for_once_more(autojump_clock: MockClock, silent: int) -> None:
    """The greeting, or the reply to a turn: words without a sound are no speech."""
    behaviour = Behaviour(rewrites=(only_text(silent),))
    async with house(TALK, behaviour, agent__first_message="Welcome.") as it:
        await it.carrier.call(it.engine.url, [Say(AfterAgent(0.5), HELLO), HangUp(AfterAgent(1.0))])
        await it.engine.drain()
    assert it.report.outcome is EndCause.CALLER_HUNG_UP
    assert it.report.first_message is not None
    assert it.report.first_message.fate is MessageFate.HEARD
    assert len(asked(it.session)) == 2
    assert [line.speaker for line in it.report.transcript] == [Speaker.AGENT, Speaker.CALLER, Speaker.AGENT]


async def test_a_truncation_that_is_refused_costs_nothing(autojump_clock: MockClock) -> None:
    """The turns after it are answered, the session stays, and the refusal is counted."""
    script = Script(replies=(GREETING, LONG, ANSWER, ANSWER), hears=("hello?", "wait", "and then?"))
    behaviour = Behaviour(rewrites=(refusing("conversation.item.truncated"),))
    async with house(script, behaviour, agent__first_message="Welcome.") as it:
        steps: list[Step] = [
            Say(AfterAgent(0.5), HELLO),
            Say(WhileAgentSpeaks(2.0), HELLO),
            Say(AfterAgent(0.5), HELLO),
            HangUp(AfterAgent(1.0)),
        ]
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert (it.report.outcome, it.report.barge_ins) == (EndCause.CALLER_HUNG_UP, 1)
    assert it.report.problems["invalid_value"] == 1
    ends = [turn.end for turn in it.report.turns]
    assert ends == [TurnEnd.COMPLETED, TurnEnd.INTERRUPTED, TurnEnd.COMPLETED, TurnEnd.COMPLETED]


async def test_a_server_that_greets_by_itself_is_not_heard_twice(autojump_clock: MockClock) -> None:
    """It ignores the lockout, answers the early hello at once, and refuses our request as "already active"."""
    behaviour = Behaviour(updates=Updates(ignores_null_turn_detection=True), speaks_unasked_s=(2.1,))
    script = Script(replies=(Reply("By itself.", speech=Tone(1.0)), GREETING, GREETING), hears=("hello?",))
    async with house(script, behaviour, agent__first_message="Welcome.") as it:
        it.carrier.expect(DialPlan(ring_s=2.0, script=[Say(At(0.05), HELLO), HangUp(At(12.0))]))
        report = await it.dial()
    assert report.first_message is not None
    assert report.first_message.fate is MessageFate.HEARD
    heard = [line for line in report.transcript if line.speaker is Speaker.AGENT]
    assert len(heard) == len(it.told(AgentHeard)) == 2  # the message, and one answer to the hello
    assert len({fact.response_id for fact in it.told(AgentAudible)}) == 2


async def test_a_call_without_any_status_callback_is_not_taken_for_stale(autojump_clock: MockClock) -> None:
    """The talk lasts longer than ring timeout and grace; its record has no word of the carrier."""
    plan = DialPlan(ring_s=3.0, script=[HangUp(At(40.0))], statuses=StatusFaults(sends=False))
    async with house(TALK, agent__first_message="Welcome.", outbound__ring_timeout_s=5) as it:
        report = await it.dial(plan)
    assert (report.outcome, report.carrier_status) == (EndCause.CALLER_HUNG_UP, None)
    assert report.duration_s == pytest.approx(40.0, abs=0.2)


async def test_a_muted_caller_whose_speech_never_ends_is_given_up(autojump_clock: MockClock) -> None:
    """The provider hears a beginning and no end; the prompts come all the same."""
    async with house(TALK, agent__first_message="Welcome.", idle__after_ms=1000, idle__prompts=1) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(120.0))])
            await trio.sleep(4.0)
            it.session.speech_starts()
        await it.engine.drain()
    assert it.report.outcome is EndCause.CALLER_SILENT
    assert it.report.duration_s < 64.0
