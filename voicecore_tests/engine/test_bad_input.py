"""What peers send wrong costs one line and a count; the call goes on or ends by its rule."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from voicecore.errors import HandshakeRefused
from voicecore.facts import EndCause, ParkingOutcome
from voicecore.simulation.openai_realtime import Behaviour, Recorded, Reply, ResponseFault, Script, Transcribing
from voicecore.simulation.twilio import AfterAgent, At, HangUp, LineFaults, Press, Say, StatusFaults
from voicecore_tests.kit import nothing_is_left, rig, ulaw

HELLO = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-one-moment"))),
    hears=("hello?",),
)
STEPS = (Say(AfterAgent(0.4), ulaw("caller-hello-it")), HangUp(AfterAgent(0.6)))
WHOLE = ["Hello.", "hello?", "Next."]


@pytest.mark.parametrize(
    ("faults", "ignored"),
    [
        (LineFaults(malformed_every=20), True),
        (LineFaults(unknown_every=10), True),
        (LineFaults(media_before_start=True), False),
        (LineFaults(second_start=True), True),
        (LineFaults(frames_in_burst=5), False),
    ],
    ids=["malformed", "unknown", "media-before-start", "second-start", "bursts"],
)
async def test_fault_cw_bad_messages_of_the_carrier_change_nothing(
    autojump_clock: MockClock, faults: LineFaults, ignored: bool
) -> None:
    """Ignored and counted; every good frame still reaches the provider."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, STEPS, faults=faults)
        await it.engine.drain()
    assert line is not None
    assert [entry.text for entry in it.report.transcript] == WHOLE
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert (it.report.media.leg_messages_ignored > 0) is ignored
    assert bytes(it.session.session.user_audio) in bytes(line.sent_audio)  # held silence before it may be dropped


async def test_fault_cw_a_carrier_that_sends_nothing_but_nonsense_ends_its_call(autojump_clock: MockClock) -> None:
    """More than 50 malformed messages in 10 s."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, [HangUp(At(60.0))], faults=LineFaults(malformed_every=1))
        await it.engine.drain()
    assert it.report.outcome is EndCause.LEG_MISBEHAVED
    assert it.report.duration_s < 2.0


@pytest.mark.parametrize("flood", [2.0, 10.0])
async def test_fault_cw_a_flood_is_cut_to_the_pace_of_speech_and_then_closed(
    autojump_clock: MockClock, flood: float
) -> None:
    """The oldest is dropped and counted; after five seconds of it the stream is closed with 1008."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(At(60.0))], faults=LineFaults(flood=flood))
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    media = it.report.media
    assert (it.report.outcome, line.closed_with, line.said_after != "") == (EndCause.LEG_MISBEHAVED, 1008, True)
    assert it.report.duration_s == pytest.approx(5.0 / (flood - 1.05) + 5.0, abs=0.3)
    assert media.user_dropped_bytes["flood"] > 0
    assert media.user_received_bytes == media.user_forwarded_bytes + sum(media.user_dropped_bytes.values())
    assert media.user_forwarded_bytes <= 8000 * (5.0 + 1.05 * it.report.duration_s)
    assert it.report.problems["user_flood"] == 1


async def test_fault_cw_a_flood_that_passes_costs_its_own_audio_only(autojump_clock: MockClock) -> None:
    """The talk goes on behind it."""
    faults = LineFaults(flood=10.0, flood_between_s=(1.0, 4.0))
    steps = (HangUp(At(12.0)),)
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, steps, faults=faults)
        await it.engine.drain()
    assert line is not None
    assert (it.report.outcome, it.report.problems["user_flood"]) == (EndCause.REMOTE_HUNG_UP, 1)
    assert it.report.media.user_dropped_bytes["flood"] > 8000 * 15


@pytest.mark.parametrize("stall_s", [0.1, 1.0, 2.0, 4.5])
async def test_fault_cw_a_stall_of_the_network_loses_nothing(autojump_clock: MockClock, stall_s: float) -> None:
    """All buffered audio arrives at once, and all of it is heard."""
    faults = LineFaults(stalls_between_s=(2.0, 2.0 + stall_s))
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(At(9.0))], faults=faults)
        await it.engine.drain()
    assert line is not None
    assert "flood" not in it.report.media.user_dropped_bytes
    assert it.report.media.user_received_bytes == len(line.sent_audio)


async def test_fault_cw_a_stream_that_never_starts_is_closed(autojump_clock: MockClock) -> None:
    """S15: five seconds after the upgrade; the session that waited for it is closed unused."""
    async with rig(HELLO) as it:
        await it.carrier.call(it.engine.url, STEPS, faults=LineFaults(sends_start=False))
        await it.engine.drain()
    assert it.report.outcome is EndCause.MEDIA_NEVER_CAME
    assert [parked.outcome for parked in it.report.parked] == [ParkingOutcome.HUNG_UP]
    assert len(it.provider.connections) == 1


@pytest.mark.parametrize(
    "faults", [LineFaults(other_token=True), LineFaults(signature="bm90IGEgc2lnbmF0dXJl")], ids=["token", "signature"]
)
async def test_j1_a_stream_without_its_right_is_refused_before_anything_happens(
    autojump_clock: MockClock, faults: LineFaults
) -> None:
    """403 before the upgrade: the call that rings goes on waiting for the right one."""
    async with rig(HELLO) as it:
        with pytest.raises(HandshakeRefused) as refused:
            await it.carrier.call(it.engine.url, STEPS, faults=faults)
        assert refused.value.status == 403
        assert len(it.provider.connections) == 1
        assert (it.engine.statistics().live, it.engine.statistics().ringing) == (0, 1)


async def test_a_stream_that_names_another_call_is_refused(autojump_clock: MockClock) -> None:
    """A token is bound to one call."""
    async with rig(HELLO) as it:
        await it.carrier.call(it.engine.url, STEPS, faults=LineFaults(other_call_id=True))
        await it.engine.drain()
    assert it.report.outcome is EndCause.MEDIA_NEVER_CAME
    assert [parked.outcome for parked in it.report.parked] == [ParkingOutcome.HUNG_UP]
    assert len(it.provider.connections) == 1


async def test_fault_ch_a_status_with_a_wrong_signature_has_no_effect(autojump_clock: MockClock) -> None:
    """The record waits for a true one, bounded."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS, statuses=StatusFaults(signature="bm90IGEgc2lnbmF0dXJl"))
        await it.engine.drain()
    assert it.report.carrier_status is None


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(unknown_event_every=3),
        Behaviour(malformed_every=4),
        Behaviour(beta_names=True),
        Behaviour(anonymous_errors=True),
        Behaviour(responses={1: ResponseFault.UNANNOUNCED, 2: ResponseFault.UNANNOUNCED}),
        Behaviour(transcribing=Transcribing(delay_s=0.0)),
    ],
    ids=["unknown", "malformed", "beta", "anonymous", "unannounced", "early-words"],
)
async def test_fault_pe_bad_events_of_the_provider_change_nothing(
    autojump_clock: MockClock, behaviour: Behaviour
) -> None:
    """Unknown, malformed, old or missing events: the conversation is the same."""
    async with rig(HELLO, behaviour, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert line is not None
    assert [entry.text for entry in it.report.transcript] == WHOLE
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert line.playout.violations == []


async def test_old_names_are_noted_once_each(autojump_clock: MockClock) -> None:
    """One warning a name and connection."""
    async with rig(HELLO, Behaviour(beta_names=True), agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert it.report.problems["notice: response.audio.delta"] == 1


@pytest.mark.parametrize("fault", [ResponseFault.FAILED, ResponseFault.LOST, ResponseFault.SILENT], ids=str)
async def test_fault_pe_a_reply_that_fails_does_not_end_the_call(
    autojump_clock: MockClock, fault: ResponseFault
) -> None:
    """D22: the user gets an answer, or the floor back, within a bound; the next turn works."""
    steps = (
        Say(AfterAgent(0.4), ulaw("caller-hello-it")),
        Say(At(40.0), ulaw("caller-hello-it")),
        HangUp(At(55.0)),
    )
    async with rig(HELLO, Behaviour(responses={2: fault}), agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert [entry.text for entry in it.report.transcript][-1] == "Next."
    assert it.report.problems or fault is ResponseFault.FAILED


async def test_j6_keys_are_counted_and_never_shown(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Digits are a user's secrets: masked in logs, records and reprs."""
    steps = (Press(At(0.5), "7"), Press(At(0.6), "#"), HangUp(At(1.0)))
    async with rig(HELLO) as it:
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert it.report.media.digits == 2
    assert "'7'" not in caplog.text
    assert '"7"' not in str(it.records())
