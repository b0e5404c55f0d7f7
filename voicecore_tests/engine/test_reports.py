"""What others have reported of real servers, as whole calls on our own twins: replies, turns, and what comes back.

docs/field-reports.md says who reported what, and where the tests of the other reports
are; how a session is had, and the greeting, is in test_reports_opening.py.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import BargeInConfirmed, CallReport, EndCause, MessageOutcome, Speaker, TurnEnd
from voicecore.simulation.openai_realtime import (
    READY_MADE,
    Behaviour,
    Recorded,
    RefusedEvent,
    Reply,
    ResponseFault,
    Rewrite,
    Script,
    Transcribing,
    bare_responses,
    left_out,
    replaced,
)
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp, Say, Step
from voicecore.simulation.twilio.faults import StatusFaults
from voicecore_tests.engine.talks import HELLO, MODES, SHORT, script, talk
from voicecore_tests.kit import Rig, asked, nothing_is_left, rig, ulaw

GREETING: dict[str, Any] = {"agent__first_message": "Hello."}
GREETS = Reply("Hello.", speech=Recorded("agent-hello"))
TALK = Script(replies=(GREETS, SHORT), hears=("hello?", "and then?"))
SAYS_HELLO = Say(AfterAgent(0.4), ulaw("caller-hello-it"))
ONE_TURN: tuple[Step, ...] = (SAYS_HELLO, HangUp(AfterAgent(0.6)))
TWO_TURNS: tuple[Step, ...] = (SAYS_HELLO, *ONE_TURN)


async def called(it: Rig, steps: tuple[Step, ...]) -> CallReport:
    """Take one call to its end; nothing of it is left."""
    line = await it.carrier.call(it.engine.url, steps)
    assert line is not None
    await it.engine.drain()
    nothing_is_left(it)
    assert line.playout.violations == []
    return it.report


def outcome(report: CallReport) -> MessageOutcome:
    assert report.first_message is not None
    return report.first_message.outcome


def turns(report: CallReport) -> list[TurnEnd]:
    """How the user's turns ended; the greeting answers none."""
    return [turn.end for turn in report.turns if turn.items]


# --- what is said of a response ----------------------------------------------------------

TERSE: tuple[Rewrite, ...] = (bare_responses, left_out("", "response.metadata"))


@pytest.mark.parametrize(
    "rewrites",
    [
        TERSE,
        (READY_MADE["usage in floats"],),
        (READY_MADE["metadata of nulls"],),
        (READY_MADE["content as a text"],),
        (READY_MADE["numbers of 64 bits"],),
    ],
    ids=["terse", "usage", "metadata", "content", "numbers"],
)
@pytest.mark.parametrize("gives_metadata_back", [True, False])
async def test_each_turn_is_answered_once_however_little_is_said_of_a_response(
    autojump_clock: MockClock, gives_metadata_back: bool, rewrites: tuple[Rewrite, ...]
) -> None:
    """The end of each response is understood: the next turn gets one reply, and we ask for the greeting alone."""
    behaviour = Behaviour(rewrites=rewrites, gives_metadata_back=gives_metadata_back)
    async with rig(TALK, behaviour, **GREETING) as it:
        report = await called(it, TWO_TURNS)
    assert (report.outcome, outcome(report)) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)
    assert [line.text for line in report.transcript] == ["Hello.", "hello?", SHORT.text, "and then?", SHORT.text]
    assert turns(report) == [TurnEnd.COMPLETED] * 2
    assert (len(it.session.session.responses), len(asked(it.session))) == (3, 1)
    (line,) = it.carrier.lines
    for response in it.session.session.responses:
        assert response.audio in line.playout.heard_bytes()


async def test_events_in_binary_messages_are_read(autojump_clock: MockClock) -> None:
    """As gateways relay them that know of bytes alone."""
    async with rig(TALK, Behaviour(binary_messages=True), **GREETING) as it:
        report = await called(it, TWO_TURNS)
    assert (report.outcome, outcome(report)) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)
    assert turns(report) == [TurnEnd.COMPLETED] * 2
    assert (report.problems, it.provider.handshakes) == ({}, 1)


# --- responses that fail -----------------------------------------------------------------


async def test_a_reply_that_fails_without_a_sound_is_asked_for_once_more(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The server's own one, of its own error: the second try is heard, and record and log name the reason."""
    behaviour = Behaviour(responses={1: ResponseFault.SERVER_ERROR})
    seen = await talk(script(replies=(SHORT,)), HELLO, behaviour=behaviour)
    assert (len(seen.responses), len(asked(seen.it.session))) == (2, 1)
    assert seen.ends == [TurnEnd.COMPLETED]
    assert seen.responses[0].audio == b""
    assert seen.line.playout.heard_bytes() == seen.responses[1].audio
    assert seen.carried("media")[0] < HELLO[1] + 3.0
    (record,) = seen.it.records()
    assert "server_error" in str(record["problems"])
    assert "server_error" in caplog.text


@pytest.mark.parametrize("written", [1, 2])
async def test_a_response_that_comes_as_text_is_asked_for_once_more(autojump_clock: MockClock, written: int) -> None:
    """The greeting, or the reply to a turn: words without a sound are no speech."""
    replies = (GREETS, GREETS, SHORT) if written == 1 else (GREETS, SHORT)
    behaviour = Behaviour(responses={written: ResponseFault.WRITTEN})
    async with rig(attrs.evolve(TALK, replies=replies), behaviour, **GREETING) as it:
        report = await called(it, ONE_TURN)
    assert (report.outcome, outcome(report)) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)
    assert (len(it.session.session.responses), len(asked(it.session))) == (3, 2)
    assert [line.speaker for line in report.transcript] == [Speaker.AGENT, Speaker.USER, Speaker.AGENT]


NO_MODEL = {"type": "invalid_request_error", "code": "model_not_found", "message": "no access", "param": None}
NO_CODE = {"type": "server_error", "code": None, "message": None, "param": None}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("error", "named"), [(NO_MODEL, "model_not_found"), (NO_CODE, "server_error")])
async def test_turns_whose_transcription_fails_are_answered(
    autojump_clock: MockClock, error: JsonObject, named: str, mode: dict[str, Any]
) -> None:
    """Every one: each has its line without words, and the failure is in the record by its name."""
    behaviour = Behaviour(
        transcribing=Transcribing(failed=frozenset({1, 2})),
        rewrites=(replaced("transcription.failed", "error", error),),
    )
    seen = await talk(script(replies=(SHORT,)), HELLO, (4.0, 4.6), behaviour=behaviour, **mode)
    assert seen.ends == [TurnEnd.COMPLETED] * 2
    lines = [(line.speaker, line.text) for line in seen.report.transcript]
    assert lines == [(Speaker.USER, None), (Speaker.AGENT, SHORT.text)] * 2
    (record,) = seen.it.records()
    assert [count for name, count in record["problems"].items() if named in name] == [2]


# --- requests that are refused -----------------------------------------------------------

TRUNCATE = "conversation.item.truncate"
REFUSALS = (
    RefusedEvent(TRUNCATE, "invalid_value", "Audio content of 1200ms is already shorter than 1300ms"),
    RefusedEvent(TRUNCATE, "response_cancel_not_active", "Cancellation failed: no active response found"),
    RefusedEvent("response.cancel", "response_cancel_not_active", "Cancellation failed: no active response found"),
)


@pytest.mark.parametrize("mode", MODES)
async def test_turns_behind_a_refused_truncation_are_answered(autojump_clock: MockClock, mode: dict[str, Any]) -> None:
    """The user interrupts; the requests after that are refused by errors that name no event, a cancel's among them."""
    behaviour = Behaviour(refused_events=REFUSALS, anonymous_errors=True)
    said = script("wait a moment please", "and then?", "and now?")
    turns = (HELLO, (3.0, 4.0), (9.0, 9.6), (12.0, 12.6))
    seen = await talk(said, *turns, behaviour=behaviour, hangs_up_at=16.0, **mode)
    assert len(seen.it.facts_of(BargeInConfirmed)) == len(seen.got(TRUNCATE)) == 1
    assert len(seen.said("error")) >= 2
    assert seen.said("conversation.item.truncated") == []
    assert seen.ends == [TurnEnd.INTERRUPTED, *[TurnEnd.COMPLETED] * 3]
    assert (seen.report.outcome, seen.it.provider.handshakes) == (EndCause.REMOTE_HUNG_UP, 1)
    assert seen.report.problems["invalid_value"] == 1
    for response in seen.responses[1:]:
        assert response.audio in seen.line.playout.heard_bytes()


# --- what never comes --------------------------------------------------------------------


async def test_a_call_without_any_status_callback_is_not_taken_for_stale(autojump_clock: MockClock) -> None:
    """The talk lasts longer than ring timeout and grace; its record has no word of the carrier."""
    plan = DialPlan(ring_s=3.0, script=[HangUp(At(40.0))], statuses=StatusFaults(sends=False))
    async with rig(TALK, **GREETING, outbound__ring_timeout_s=5) as it:
        report = await it.dial(plan)
    assert (report.outcome, report.carrier_status) == (EndCause.REMOTE_HUNG_UP, None)
    assert report.duration_s == pytest.approx(40.0, abs=0.2)


async def test_a_muted_user_whose_speech_never_ends_is_given_up(autojump_clock: MockClock) -> None:
    """The provider detects an onset and no end; the prompts come all the same."""
    async with rig(TALK, **GREETING, idle__after_ms=1000, idle__prompts=1) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(120.0))])
            await trio.sleep(4.0)
            it.session.speech_starts()
        await it.engine.drain()
    assert it.report.outcome is EndCause.USER_SILENT
    assert it.report.duration_s < 64.0
