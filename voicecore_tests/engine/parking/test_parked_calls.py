"""Parking and adopting on whole calls: the catalogue's group A, judged by what the twins saw."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.engine.parking.pool import ParkingSettings
from voicecore.engine.settings import HostSettings
from voicecore.facts import CallReport, EndCause, MessageOutcome, ParkingOutcome
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Handshake,
    Pace,
    Recorded,
    Reply,
    Script,
    Tone,
    Updates,
)
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp, LineFaults, Pickup, Say
from voicecore_tests.kit import CALLEE, Rig, living_tasks, nothing_is_left, rig, ulaw

GREETING = "Hello."
TALK = Script(
    replies=(Reply(GREETING, speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-one-moment"))),
    hears=("hello?",),
)
USER = (Say(At(0.1), ulaw("caller-hello-it")), HangUp(AfterAgent(1.0)))
SLOW = Behaviour(handshake=Handshake(accept_s=0.1, created_s=0.1), updates=Updates(answer_s=0.1, effect_s=0.1))
SETTINGS: dict[str, Any] = {
    "default": {},
    "semantic": {
        "providers__openai_realtime__turn_detection": "semantic_vad",
        "providers__openai_realtime__eagerness": "low",
    },
    "loud": {
        "providers__openai_realtime__vad_threshold": 0.7,
        "providers__openai_realtime__noise_reduction": "far_field",
        "providers__openai_realtime__voice": "cedar",
        "providers__openai_realtime__speed": 1.1,
        "providers__openai_realtime__language": "it",
    },
    "pcm": {"providers__openai_realtime__audio": "pcm"},
    "forwards": {"agent__user_audio": "forward"},
    "unprotected": {"agent__protect_first_message": "off"},
    "user first": {"agent__speaks_first": "user"},
}


def source(report: CallReport) -> str:
    """How the session came to the call."""
    assert report.pickup is not None
    return report.pickup.source


def outcomes(report: CallReport) -> list[ParkingOutcome]:
    return [parked.outcome for parked in report.parked]


def sockets_closed_once(it: Rig) -> None:
    """Every connection of the provider was opened once and ended once."""
    for connection in it.provider.connections:
        kinds = [line.kind for line in it.provider.ledger.of(connection.number) if line.dir == "socket"]
        assert (kinds.count("opened"), kinds.count("ended")) == (1, 1)


@pytest.mark.parametrize("ring_s", [0.0, 0.05, 0.15, 0.25, 0.31, 5.0])
async def test_a1_one_handshake_for_a_call_whose_adoption_succeeds(autojump_clock: MockClock, ring_s: float) -> None:
    """Counted at the provider; also when the phone is picked up in each step of the opening."""
    async with rig(TALK, SLOW, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=ring_s, script=USER))
        sockets_closed_once(it)
        assert it.engine.statistics().parked.outcomes == {ParkingOutcome.ADOPTED: 1}
    assert (len(it.provider.connections), source(report), outcomes(report)) == (1, "adopted", [ParkingOutcome.ADOPTED])


@pytest.mark.parametrize("name", SETTINGS)
async def test_a2_a_parked_session_is_configured_as_a_cold_one(autojump_clock: MockClock, name: str) -> None:
    """I10: canonical JSON of what was sent, with parking and without, for any settings."""
    sent = []
    for enabled in (True, False):
        async with rig(TALK, agent__first_message=GREETING, parking__enabled=enabled, **SETTINGS[name]) as it:
            report = await it.dial(DialPlan(ring_s=1.0, script=USER))
        assert source(report) == ("adopted" if enabled else "cold")
        update = next(request for request in it.session.requests if request["type"] == "session.update")
        sent.append(json.dumps(update["session"], sort_keys=True))
    assert sent[0] == sent[1]


@pytest.mark.parametrize("how", [End.CUT, End.GOING_AWAY, End.EXPIRED])
@pytest.mark.parametrize("before_s", [1.0, 0.02, 0.0])
async def test_a6_a_parked_session_that_dies_before_pick_up_is_replaced(
    autojump_clock: MockClock, how: End, before_s: float
) -> None:
    """Closed in order, cut off, expired; a second or an instant before: the user is greeted all the same."""
    ring_s = 3.0
    behaviour = (Behaviour(endings=(Ending(how=how, at_s=ring_s - before_s),)), Behaviour())
    async with rig(TALK, behaviour, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=ring_s, script=USER))
        sockets_closed_once(it)
        nothing_is_left(it)
    if before_s == 0.0 and report.outcome is EndCause.SESSION_LOST:
        assert source(report) == "adopted"  # it died after it had been adopted: not a matter of parking
        return
    assert report.first_message is not None
    assert (report.first_message.outcome, outcomes(report)[0]) == (MessageOutcome.HEARD, ParkingOutcome.DIED)


async def test_a6_a_half_open_session_is_replaced_within_its_bound(autojump_clock: MockClock) -> None:
    """It answers nothing: found at adoption, and a cold one is ready half a second and a handshake later."""
    behaviour = (Behaviour(endings=(Ending(how=End.STALL, at_s=1.2),)), SLOW)
    async with rig(TALK, behaviour, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=3.0, script=USER))
        nothing_is_left_but_the_stalled(it)
    assert (source(report), outcomes(report)) == ("cold", [ParkingOutcome.DIED])
    assert report.pickup is not None
    assert report.pickup.waited_s < 0.5 + 0.4
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD


def nothing_is_left_but_the_stalled(it: Rig) -> None:
    assert it.engine.statistics().parked.waiting == 0
    assert it.provider.connections[-1].ended.is_set()


async def test_a7_a_session_stays_parked_for_a_minute_of_ringing(autojump_clock: MockClock) -> None:
    """Pinged meanwhile; its time is not counted from its opening."""
    async with rig(TALK, agent__first_message=GREETING, outbound__ring_timeout_s=60) as it:
        report = await it.dial(DialPlan(ring_s=58.0, script=USER))
    assert (source(report), len(it.provider.connections)) == ("adopted", 1)


async def test_a7_a_session_that_dies_while_it_rings_is_parked_again(autojump_clock: MockClock) -> None:
    """A provider that drops what it thinks idle: each has one outcome, and the last one is adopted."""
    drops = Behaviour(endings=(Ending(how=End.GOING_AWAY, at_s=8.0),))
    async with rig(TALK, (drops, drops, Behaviour()), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=25.0, script=USER))
        sockets_closed_once(it)
    assert source(report) == "adopted"
    assert outcomes(report) == [ParkingOutcome.DIED, ParkingOutcome.DIED, ParkingOutcome.ADOPTED]


@pytest.mark.parametrize("prepared", [False, True])
async def test_what_parking_wasted_is_one_line_of_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, prepared: bool
) -> None:
    """A session that was open and not used: for which call, why, how long, and what it had generated."""
    caplog.set_level(logging.INFO, "voicecore.engine")
    overrides = {"agent__first_message": GREETING, "agent__prepare_first_message": prepared}
    async with rig(TALK, **overrides) as it:  # type: ignore[arg-type]
        await it.dial(DialPlan(ring_s=8.0, end=Pickup.BUSY))
        await it.dial(DialPlan(ring_s=1.0, script=USER))
        unused, used = (each.call_id for each in it.reports)
    (line,) = [record for record in caplog.records if "parked" in record.getMessage()]
    said = line.getMessage()
    assert line.levelno == logging.INFO
    assert f"call {unused}: a parked session was not used: hung up (its call ended first); open for 8.0 s" in said
    assert ("0.0 s of speech prepared, 0 tokens" in said) is not prepared
    assert used not in said


async def test_a_session_that_cannot_be_parked_says_why(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is refused is read in the log while the phone still rings."""
    async with rig(TALK, Behaviour(handshake=Handshake(refuse_status=401))) as it:
        await it.dial(DialPlan(ring_s=1.0, end=Pickup.BUSY))
    lines = [record.getMessage() for record in caplog.records if "no session could be parked" in record.getMessage()]
    assert len(lines) == 1
    assert "401" in lines[0]
    assert "API key" in lines[0]


@pytest.mark.parametrize("ring_s", [0.0, 0.1, 0.15, 0.2, 0.3])
async def test_a10_a_terminal_status_during_the_handshake_ends_it(autojump_clock: MockClock, ring_s: float) -> None:
    """Connected, upgraded, configuring: nothing is stored for a call that is over."""
    async with rig(TALK, SLOW, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=ring_s, end=Pickup.BUSY))
        nothing_is_left(it)
        sockets_closed_once(it)
    assert report.outcome is EndCause.BUSY
    assert outcomes(report) == [ParkingOutcome.HUNG_UP]


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.25, 0.5, 2.0])
async def test_a11_leaving_the_engine_joins_everything_that_was_being_opened(
    autojump_clock: MockClock, after_s: float
) -> None:
    """While sessions open, and while a message is generated into a buffer."""
    long = Script(replies=(Reply(GREETING, speech=Tone(20.0)),))
    given: dict[str, Any] = {"agent__prepare_first_message": True}
    async with trio.open_nursery() as nursery, rig(long, SLOW, agent__first_message=GREETING, **given) as it:
        it.carrier.expect(DialPlan(ring_s=20.0))
        for _ in range(3):
            nursery.start_soon(it.dial)
        await trio.sleep(after_s)
        nursery.cancel_scope.cancel()
    assert all(connection.ended.is_set() for connection in it.provider.connections)
    assert it.simulated.network.open_streams == 0
    assert {report.outcome for report in it.reports} <= {EndCause.SHUT_DOWN, EndCause.HUNG_UP}


async def test_a12_what_was_prepared_for_nobody_is_counted_once(autojump_clock: MockClock) -> None:
    """One line of waste for each parked session, whoever reports the end, and its tokens in the usage."""
    given: dict[str, Any] = {"agent__prepare_first_message": True}
    async with rig(TALK, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=6.0, end=Pickup.NO_ANSWER))
        assert it.engine.statistics().parked.unused == 1
        assert it.engine.statistics().parked.wasted_s == pytest.approx(6.0)
    (parked,) = report.parked
    assert (parked.wasted, parked.prepared_s > 0.5) == (True, True)
    assert report.usage.audio_out > 0


async def test_a13_above_its_cap_a_call_goes_cold_and_works(autojump_clock: MockClock) -> None:
    """By policy the oldest gives way."""
    host = HostSettings(parking=ParkingSettings(max_sessions=1))
    async with rig(TALK, agent__first_message=GREETING, host=host) as it:
        it.carrier.expect([DialPlan(ring_s=4.0, script=USER), DialPlan(ring_s=3.0, script=USER)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.dial)
            await trio.sleep(0.5)
            nursery.start_soon(it.dial)
        nothing_is_left(it)
    found = {(source(report), *outcomes(report)) for report in it.reports}
    assert found == {("cold", ParkingOutcome.EXPIRED), ("adopted", ParkingOutcome.ADOPTED)}
    assert {report.outcome for report in it.reports} == {EndCause.REMOTE_HUNG_UP}


async def test_a15_nothing_is_billed_or_said_twice_by_parking(autojump_clock: MockClock) -> None:
    """One update before pick-up, nothing else; prepared, one request and no second one."""
    for prepared, before in ((False, ["session.update"]), (True, ["session.update", "response.create"])):
        given: dict[str, Any] = {"agent__prepare_first_message": prepared}
        async with rig(TALK, agent__first_message=GREETING, **given) as it:
            it.carrier.expect(DialPlan(ring_s=4.0, script=USER))
            async with it.engine.dial(CALLEE) as call:
                await trio.sleep(3.9)
                assert [request["type"] for request in it.session.requests] == before
                async for _ in call.facts():
                    pass
        kinds = [request["type"] for request in it.session.requests]
        assert (kinds.count("response.create"), kinds.count("session.update")) == (1, 2)


async def test_a16_a_call_that_is_dialled_again_has_its_own_session(autojump_clock: MockClock) -> None:
    """The first one's is closed before the second call is over; nothing is replaced in place."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        first = await it.dial(DialPlan(ring_s=2.0, end=Pickup.BUSY))
        assert it.provider.connections[0].ended.is_set()
        second = await it.dial(DialPlan(ring_s=2.0, script=USER))
        sockets_closed_once(it)
    assert (outcomes(first), outcomes(second)) == ([ParkingOutcome.HUNG_UP], [ParkingOutcome.ADOPTED])
    assert len(it.provider.connections) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(handshake=Handshake(accept_s=None)),
        Behaviour(handshake=Handshake(refuse_status=503)),
        Behaviour(handshake=Handshake(created_s=None)),
        Behaviour(endings=(Ending(how=End.CUT, after_events=1),)),
        Behaviour(updates=Updates(refused=frozenset({1, 2}))),
    ],
    ids=["no answer", "503", "no session.created", "cut after it", "refused"],
)
async def test_a17_an_opening_that_fails_at_any_step_leaves_nothing_and_the_call_goes_cold(
    autojump_clock: MockClock, behaviour: Behaviour
) -> None:
    """While it rings nobody notices; at pick-up a fresh one is opened."""
    async with rig(TALK, (behaviour, Behaviour()), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=8.0, script=USER))
        nothing_is_left(it)
    assert (source(report), outcomes(report), report.session_attempts) == ("cold", [ParkingOutcome.DIED], 1)
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD


async def test_a4_i12_after_a_failed_adoption_nothing_of_the_old_session_acts_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof of life raises half-way: closed once, silent from then on; the cold one has the call to itself."""
    healthy = ParkedSession.prove_alive

    async def fails(self: ParkedSession, session: object, fresh_s: float) -> None:
        del self, session, fresh_s
        await trio.lowlevel.checkpoint()
        raise RuntimeError("half-way")

    async with rig(TALK, agent__first_message=GREETING) as it:
        monkeypatch.setattr(ParkedSession, "prove_alive", fails)
        it.carrier.expect(DialPlan(ring_s=2.0, script=USER))
        report = await it.dial()
        monkeypatch.setattr(ParkedSession, "prove_alive", healthy)
        sockets_closed_once(it)
    assert (source(report), outcomes(report)) == ("cold", [ParkingOutcome.DIED])
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    first = it.provider.connections[0]
    assert [request["type"] for request in first.requests] == ["session.update"]


async def test_a5_an_adopted_call_is_heard(autojump_clock: MockClock) -> None:
    """Two readers on one socket would make every adopted call silent: every byte of the user arrives once."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=2.0, script=USER))
    line = it.dialled.line
    assert line is not None
    assert source(report) == "adopted"
    heard = bytes(it.session.session.user_audio)
    assert len(heard) > 8000
    assert bytes(line.sent_audio).startswith(heard)
    assert [entry.text for entry in report.transcript] == [GREETING, "hello?", "Next."]


@pytest.mark.parametrize("offset_s", [-0.02, -0.001, 0.0, 0.001, 0.02])
async def test_a8_pick_up_and_hang_up_in_the_same_instant_have_one_winner(
    autojump_clock: MockClock, offset_s: float
) -> None:
    """A tick before, at, and after: one outcome, one close, one record."""
    async with rig(TALK, SLOW, agent__first_message=GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=2.0, script=USER))
        async with it.engine.dial(CALLEE):
            await trio.sleep(2.0 + offset_s)
        nothing_is_left(it)
        sockets_closed_once(it)
    assert len(it.records()) == 1
    assert len(outcomes(it.report)) == 1


async def test_a9_a_machine_verdict_before_any_media_closes_the_parked_session(autojump_clock: MockClock) -> None:
    """Synchronous detection: no stream ever comes."""
    from voicecore.simulation.twilio import AmdCallback  # noqa: PLC0415

    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word="fax", after_s=3.0))
    async with rig(TALK, agent__first_message=GREETING, outbound__machine_detection="sync") as it:
        report = await it.dial(plan)
        nothing_is_left(it)
    assert (report.outcome, outcomes(report)) == (EndCause.MACHINE_ANSWERED, [ParkingOutcome.HUNG_UP])


async def test_the_proof_of_life_is_ready_at_pick_up_on_a_line_with_a_round_trip(autojump_clock: MockClock) -> None:
    """The peer is asked when the carrier says that somebody answers: adopting costs no round trip of its own."""
    link = LinkSettings(delay_s=0.05)
    async with rig(TALK, agent__first_message=GREETING, link=link) as it:
        report = await it.dial(DialPlan(ring_s=10.0, script=USER))
    assert source(report) == "adopted"
    assert report.pickup is not None
    assert report.pickup.waited_s < 0.06  # a ping and its pong take 0.1


async def test_an_incoming_call_parks_at_its_webhook(autojump_clock: MockClock) -> None:
    """The earliest moment; the stream finds it ready, or waits for it."""
    async with rig(TALK, SLOW, agent__first_message=GREETING) as it:
        await it.carrier.call(it.engine.url, USER)
        await it.engine.drain()
    assert (source(it.report), len(it.provider.connections)) == ("adopted", 1)
    assert outcomes(it.report) == [ParkingOutcome.ADOPTED]


async def test_an_incoming_call_without_media_leaves_no_session(autojump_clock: MockClock) -> None:
    """Announced, and the stream is of another call: closed with the call."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        await it.carrier.call(it.engine.url, USER, faults=LineFaults(other_call_id=True))
        await it.engine.drain()
        nothing_is_left(it)
    assert (it.report.outcome, outcomes(it.report)) == (EndCause.MEDIA_NEVER_CAME, [ParkingOutcome.HUNG_UP])


async def test_parking_can_be_switched_off(autojump_clock: MockClock) -> None:
    """Nothing is opened while it rings."""
    async with rig(TALK, Behaviour(pace=Pace()), agent__first_message=GREETING, parking__enabled=False) as it:
        it.carrier.expect(DialPlan(ring_s=3.0, script=USER))
        async with it.engine.dial(CALLEE) as call:
            await trio.sleep(2.9)
            assert it.provider.connections == []
            async for _ in call.facts():
                pass
    assert (source(call.report), call.report.parked) == ("cold", ())
    assert not list(living_tasks())
