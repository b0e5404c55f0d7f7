"""Media streams in formats other than µ-law at 8 kHz: announced, believed, converted; a whole call like any other."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from trio.testing import MockClock

from voicecore.audio.convert import converter, to_samples
from voicecore.audio.formats import PCM16_8K, PCM16_24K, AudioFormat
from voicecore.facts import EndCause, MessageOutcome, ParkingOutcome
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import Recorded, Reply, Script, Tone
from voicecore.simulation.twilio import (
    AfterAgent,
    At,
    DialPlan,
    HangUp,
    Line,
    LineFaults,
    MediaFormat,
    Say,
    WhileAgentSpeaks,
)
from voicecore_tests.kit import nothing_is_left, rig, ulaw

TALK = Script(
    replies=(
        Reply("Hello.", speech=Recorded("agent-hello")),
        Reply("One moment.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?",),
)
STEPS = (Say(AfterAgent(0.4), ulaw("caller-hello-it")), HangUp(AfterAgent(0.6)))
FORMATS = [
    MediaFormat(encoding="audio/l16", sample_rate=16_000),
    MediaFormat(encoding="audio/l16", sample_rate=8000),
    MediaFormat(encoding="audio/l16", sample_rate=24_000),
    MediaFormat(encoding="audio/x-mulaw", sample_rate=16_000),
]


def heard(line: Line, media_format: AudioFormat) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """What the user heard, at 8 kHz."""
    to_narrow = converter(media_format, PCM16_8K)
    return to_samples(to_narrow.convert(line.playout.heard_bytes()) + to_narrow.flush(), PCM16_8K)


def likeness(ours: object, theirs: object) -> float:
    """How alike two stretches of sound are, 1 at most, over small shifts."""
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    size = min(len(a), len(b)) - 400
    parts = (np.corrcoef(a[shift : shift + size], b[200 : 200 + size])[0, 1] for shift in range(400))
    return float(max(parts))


@pytest.mark.parametrize("announced", FORMATS, ids=lambda each: f"{each.encoding}-{each.sample_rate}")
async def test_h9_a_call_in_an_announced_format_is_a_call_like_any_other(
    autojump_clock: MockClock, announced: MediaFormat
) -> None:
    """What the agent says is heard as it was spoken, with the one pause between the two; the user is understood."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, STEPS, faults=LineFaults(media_format=announced))
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    report, leg = it.report, announced.audio_format
    assert (report.outcome, line.playout.violations, line.playout.gaps) == (EndCause.REMOTE_HUNG_UP, [], 1)
    assert [entry.text for entry in report.transcript] == ["Hello.", "hello?", "One moment."]
    assert report.audio_path is not None
    assert (report.audio_path.leg, report.audio_path.session_user) == (str(leg), str(PCM16_24K))
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.heard_by is not None) == (MessageOutcome.HEARD, True)
    spoken = recordings.load("agent-hello"), recordings.load("agent-one-moment")
    sound = heard(line, leg)
    assert len(sound) == pytest.approx(sum(len(each) for each in spoken) / 2, abs=0.1 * 8000)
    assert likeness(sound[: len(spoken[0]) // 2], to_samples(spoken[0], PCM16_8K)) > 0.95
    dropped = report.media.user_dropped_bytes.get("buffered_silence", 0)  # from before the greeting was heard
    sent_s, appended = leg.seconds_in(len(line.sent_audio) - dropped), it.session.session.user_audio
    assert PCM16_24K.seconds_in(len(appended)) == pytest.approx(sent_s, abs=0.1)


async def test_a_barge_in_on_a_wide_stream_cuts_where_the_user_heard(autojump_clock: MockClock) -> None:
    """Positions go by seconds, not by bytes of µ-law."""
    wide = MediaFormat(encoding="audio/l16", sample_rate=16_000)
    talk = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("A long one.", speech=Tone(8.0))))
    steps = (
        Say(AfterAgent(0.4), ulaw("caller-hello-it")),
        Say(WhileAgentSpeaks(2.0), ulaw("caller-hello-it")),
        HangUp(AfterAgent(1.0)),
    )
    async with rig(talk, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, steps, faults=LineFaults(media_format=wide))
        await it.engine.drain()
    assert line is not None
    (cut,) = [entry for entry in it.report.transcript if entry.interrupted]
    assert cut.heard is not None
    assert 2.0 < cut.heard.best_s < 3.2
    assert line.playout.violations == []


async def test_a_wide_carrier_gets_its_second_session_parked(autojump_clock: MockClock) -> None:
    """The first call shows what the line speaks; the next one's session is opened for that."""
    wide = LineFaults(media_format=MediaFormat(encoding="audio/l16", sample_rate=16_000))
    async with rig(TALK, agent__first_message="Hello.") as it:
        for _ in range(2):
            await it.carrier.call(it.engine.url, STEPS, faults=wide)
        await it.engine.drain()
    assert [[parked.outcome for parked in report.parked] for report in it.reports] == [
        [ParkingOutcome.REFUSED],
        [ParkingOutcome.ADOPTED],
    ]


async def test_a_wide_stream_of_a_placed_call_is_taken(autojump_clock: MockClock) -> None:
    """Its messages are coalesced as those of a narrow one are, where that is configured."""
    wide = LineFaults(media_format=MediaFormat(encoding="audio/l16", sample_rate=16_000))
    async with rig(TALK, agent__first_message="Hello.", server__coalesce_ms=60) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=STEPS, line=wide))
        nothing_is_left(it)
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert [entry.text for entry in report.transcript] == ["Hello.", "hello?", "One moment."]


async def test_a_recording_of_a_wide_stream_lasts_as_long_as_the_call(autojump_clock: MockClock) -> None:
    """Its file says 8 kHz, and that is what is in it."""
    wide = LineFaults(media_format=MediaFormat(encoding="audio/l16", sample_rate=16_000))
    async with rig(TALK, agent__first_message="Hello.", server__record_audio=True) as it:
        await it.carrier.call(it.engine.url, STEPS, faults=wide)
        await it.engine.drain()
    (data,) = [bytes(data) for path, data in it.simulated.files.files.items() if path.name == "audio.wav"]
    with wave.open(io.BytesIO(data)) as recording:
        seconds = recording.getnframes() / recording.getframerate()
    assert seconds == pytest.approx(it.report.duration_s, abs=0.2)


@pytest.mark.parametrize(
    "fields",
    [
        {"mediaFormat": {"encoding": "audio/opus", "sampleRate": 48_000, "channels": 2}},
        {"callSid": None},
        {"callSid": 5},
    ],
    ids=["format", "no call", "odd call"],
)
async def test_a_start_that_cannot_be_used_ends_the_call_at_once_and_says_why(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, fields: dict[str, object]
) -> None:
    """Not after five seconds of silence: the carrier goes on to the apology."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, (HangUp(At(60.0)),), faults=LineFaults(start_fields=fields))
        await it.engine.drain()
    assert line is not None
    assert (it.report.outcome, line.said_after != "") == (EndCause.MEDIA_NEVER_CAME, True)
    assert it.report.duration_s < 1.0
    (name,) = fields
    assert f"start.{name}" in it.report.outcome_detail
    assert f"start.{name}" in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"mediaFormat": None, "accountSid": None, "tracks": None, "customParameters": None},
        {"customParameters": {"a": 1, "b": [], "c": None}, "tracks": "inbound", "accountSid": 5, "more": {}},
        {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": "8000.0"}, "streamSid": None},
    ],
    ids=["left out", "odd", "numbers"],
)
async def test_fields_of_the_start_that_nobody_needs_cost_no_call(
    autojump_clock: MockClock, fields: dict[str, object]
) -> None:
    """Left out, or of another shape."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS, faults=LineFaults(start_fields=fields))
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert [entry.text for entry in it.report.transcript] == ["Hello.", "hello?", "One moment."]
