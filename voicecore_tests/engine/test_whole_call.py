"""Whole calls, wire to wire: what went in came out, and what was said was heard."""

from __future__ import annotations

from statistics import mode

import pytest
from trio.testing import MockClock

from voicecore.facts import AgentSaid, BargeInConfirmed, ClearSent, EndCause, Speaker
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.numbered_audio import numbered_audio
from voicecore.simulation.openai_realtime import Behaviour, NumberedFrames, Pace, Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, At, HangUp, LineFaults, Say, Step, WhileAgentSpeaks
from voicecore.simulation.twilio.faults import MarkOrder
from voicecore_tests.kit import rig, ulaw

HELLO = Reply("Hello.", speech=Recorded("agent-hello"))
LONG = Reply("one two three four five six seven eight nine ten", speech=Recorded("agent-long-30s"))
MOMENT = Reply("One moment, please.", speech=Recorded("agent-one-moment"))


async def test_a_call_is_greeted_heard_and_answered(autojump_clock: MockClock) -> None:
    """The user hears the greeting, speaks, and hears the answer; the record says the same."""
    script = Script(replies=(HELLO, MOMENT), hears=("hello?",))
    async with rig(script, agent__first_message="Hello.") as it:
        line = await it.carrier.call(
            it.engine.url, [Say(AfterAgent(0.4), ulaw("caller-hello-it")), HangUp(AfterAgent(0.6))]
        )
        await it.engine.drain()
    assert line is not None
    assert line.playout.violations == []
    assert [(entry.speaker, entry.text, entry.interrupted) for entry in it.report.transcript] == [
        (Speaker.AGENT, "Hello.", False),
        (Speaker.USER, "hello?", False),
        (Speaker.AGENT, "One moment, please.", False),
    ]
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert it.report.carrier_status == "completed"
    assert it.report.problems == {}
    (record,) = it.records()
    assert [entry["text"] for entry in record["transcript"]] == ["Hello.", "hello?", "One moment, please."]


@pytest.mark.parametrize(("coalesce_ms", "frames"), [(0, 1), (40, 2), (60, 3), (180, 9)])
async def test_the_users_audio_reaches_the_provider_byte_for_byte(
    autojump_clock: MockClock, coalesce_ms: int, frames: int
) -> None:
    """G.711 passes through: every byte once, in order, from the first frame on, also those before the session.

    Each message has as many frames as are coalesced.
    """
    pace = Behaviour(pace=Pace(first_delta_s=0.1))
    async with rig(Script(), pace, link=LinkSettings(delay_s=0.02), server__coalesce_ms=coalesce_ms) as it:
        said = numbered_audio(call=1, response=1, seconds=4.0)
        line = await it.carrier.call(it.engine.url, [Say(At(0.0), said), HangUp(At(6.0))])
        await it.engine.drain()
    assert line is not None
    forwarded = bytes(it.session.session.user_audio)
    assert bytes(line.sent_audio).startswith(forwarded)
    assert len(line.sent_audio) - len(forwarded) <= (frames + 2) * 160  # on their way when the remote hung up
    sizes = [each.size_bytes for each in it.provider.ledger.lines if each.kind == "input_audio_buffer.append"]
    assert mode(sizes) == pytest.approx(frames * 160 * 4 / 3, abs=60)  # in base64, with what stands around it
    media = it.report.media
    assert it.report.audio_path is not None
    assert it.report.audio_path.passthrough
    assert media.user_received_bytes == media.user_forwarded_bytes + sum(media.user_dropped_bytes.values())


async def test_what_has_to_wait_leaves_on_ticks_that_calls_share(autojump_clock: MockClock) -> None:
    """And what need not wait, the first piece, does not: it leaves when it comes, between two ticks."""
    pace = Behaviour(pace=Pace(first_delta_s=0.1234, speed=50.0))
    async with rig(Script(replies=(HELLO,)), pace, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.5))])
        await it.engine.drain()
    assert line is not None
    moments = [entry.at for entry in line.ledger if entry.direction == "in" and entry.kind == "media"]
    beside_a_tick_s = [abs(moment - round(moment, 2)) for moment in moments]
    assert beside_a_tick_s[0] > 0.001
    assert len(moments) > 8
    assert max(beside_a_tick_s[-4:]) < 1e-6


async def test_the_agents_audio_reaches_the_carrier_byte_for_byte(autojump_clock: MockClock) -> None:
    """I5: what was generated is what is played, in order, once; only the last frame is filled up."""
    script = Script(replies=(Reply("numbers", speech=NumberedFrames(7.0)),))
    async with rig(script, agent__first_message="numbers") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.5))])
        await it.engine.drain()
    assert line is not None
    expected = numbered_audio(call=1, response=1, seconds=7.0)
    assert bytes(line.received_audio) == expected
    assert line.playout.heard_bytes() == expected
    assert line.playout.gaps == 0


@pytest.mark.parametrize("split", [1, 3, 100])
async def test_no_cut_of_the_bytes_on_the_wire_changes_a_call(autojump_clock: MockClock, split: int) -> None:
    """H6: the network may deliver any pieces."""
    script = Script(replies=(Reply("numbers", speech=NumberedFrames(2.0)),))
    async with rig(script, link=LinkSettings(split_bytes=split), agent__first_message="numbers") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.5))])
        await it.engine.drain()
    assert line is not None
    assert bytes(line.received_audio) == numbered_audio(call=1, response=1, seconds=2.0)


async def test_barge_in_stops_the_agent_at_the_ear(autojump_clock: MockClock) -> None:
    """Clear at once, nothing of the old response after it, and the history keeps what was heard."""
    script = Script(replies=(LONG, MOMENT), hears=("stop",))
    async with rig(script, Behaviour(late_deltas=5), agent__first_message="long") as it:
        steps: list[Step] = [Say(WhileAgentSpeaks(3.0), ulaw("caller-one-moment-it")), HangUp(AfterAgent(0.6))]
        line = await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert line is not None
    (barge_in,) = it.facts_of(BargeInConfirmed)
    (cleared,) = [entry.at for entry in line.ledger if entry.kind == "clear"]
    played = [heard for heard in line.playout.heard if heard.began_at < cleared]
    heard_s = sum(len(heard.audio) for heard in played) / 8000
    assert heard_s - 0.1 <= barge_in.heard_s <= heard_s
    assert it.facts_of(ClearSent)[0].delay_s <= 0.02
    cut = it.facts_of(AgentSaid)[0]
    assert cut.interrupted
    assert cut.text is not None
    assert LONG.text.startswith(cut.text)
    assert cut.heard is not None
    assert cut.heard.lower_s <= cut.heard.best_s == barge_in.heard_s <= cut.heard.upper_s
    assert cut.heard.lower_s <= heard_s <= cut.heard.upper_s
    assert [line.heard for line in it.report.transcript if line.interrupted] == [cut.heard]
    (item,) = [item for item in it.session.session.conversation.items if item.truncated]
    assert len(item.audio) // 8 == int(barge_in.heard_s * 1000)
    assert [entry.text for entry in it.report.transcript][-1] == "One moment, please."


@pytest.mark.parametrize("echoes", list(MarkOrder))
async def test_c4_calls_survive_every_way_in_which_marks_come_back(
    autojump_clock: MockClock, echoes: MarkOrder
) -> None:
    """Never, doubled, or out of order: the conversation goes on, and the transcript is the same."""
    script = Script(replies=(HELLO, MOMENT), hears=("hello?",))
    async with rig(script, agent__first_message="Hello.") as it:
        steps: list[Step] = [Say(AfterAgent(3.0), ulaw("caller-hello-it")), HangUp(AfterAgent(3.0))]
        await it.carrier.call(it.engine.url, steps, faults=LineFaults(mark_returns=echoes))
        await it.engine.drain()
    assert [entry.text for entry in it.report.transcript] == ["Hello.", "hello?", "One moment, please."]


async def test_a_provider_that_speaks_pcm_gets_and_gives_converted_audio(autojump_clock: MockClock) -> None:
    """H2: duration in is duration out; the report says that it was converted."""
    script = Script(replies=(MOMENT,))
    async with rig(script, agent__first_message="One moment, please.", providers__openai_realtime__audio="pcm") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.5))])
        await it.engine.drain()
    assert line is not None
    assert it.report.audio_path is not None
    assert not it.report.audio_path.passthrough
    assert abs(len(line.received_audio) / 8000 - 1.58) < 0.04
