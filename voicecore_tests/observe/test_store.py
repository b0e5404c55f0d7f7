"""What is kept of a call: whole or not at all, and the same when it is read again."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from hypothesis import given
from hypothesis import strategies as st

from voicecore.events import TokenUsage
from voicecore.facts import (
    AudioPath,
    BargeInDecision,
    BargeInOutcome,
    CallReport,
    ConfirmedBy,
    EndCause,
    MediaCounts,
    MessageOutcome,
    MessageReport,
    Overlap,
    ParkedReport,
    ParkingOutcome,
    Percentiles,
    Pickup,
    PlayoutFigures,
    Speaker,
    SpeechEvidence,
    TraceLine,
    TranscriptLine,
    TurnEnd,
    TurnTimes,
)
from voicecore.observe.store import RECORD_VERSION, FolderStore, record_json, transcript_jsonl
from voicecore.simulation.world import simulated_world
from voicecore.statuses import CarrierFailure

SECONDS = st.floats(0, 1e5, allow_nan=False)
COUNTS = st.integers(0, 2**40)
WORD, BOOLEAN = st.text(max_size=8), st.booleans()
MESSAGES = st.builds(
    MessageReport,
    outcome=st.sampled_from(MessageOutcome),
    detail=WORD,
    first_heard_s=st.none() | SECONDS,
    heard_s=st.none() | SECONDS,
    heard_by=st.none() | WORD,
    requests=COUNTS,
    protection=WORD,
    verdict=WORD,
    trace=st.lists(st.builds(TraceLine, SECONDS, st.sampled_from(["engine", "provider"]), WORD), max_size=2).map(tuple),
)
MAYBE = st.none() | SECONDS
TURNS = st.builds(
    TurnTimes,
    items=st.lists(WORD, max_size=2).map(tuple),
    response_id=st.none() | WORD,
    end=st.sampled_from(TurnEnd),
    why=WORD,
    **dict.fromkeys([field.name for field in attrs.fields(TurnTimes) if field.name.endswith("_s")], MAYBE),
    overlap=st.none() | st.builds(Overlap, began_at_s=SECONDS, detection_s=SECONDS, clear_s=MAYBE, silence_s=MAYBE),
)
EVIDENCE = st.builds(SpeechEvidence, waited_s=SECONDS, speech_s=SECONDS, speaking=BOOLEAN, words=WORD)
DECISIONS = st.builds(
    BargeInDecision,
    at_s=SECONDS,
    items=st.lists(WORD, max_size=2).map(tuple),
    outcome=st.sampled_from(BargeInOutcome),
    decided_by=WORD,
    took_s=SECONDS,
    evidence=st.lists(EVIDENCE, max_size=2).map(tuple),
)
REPORTS = st.builds(
    CallReport,
    call_id=st.text(max_size=8),
    carrier_call_id=st.none() | st.text(max_size=8),
    direction=st.sampled_from(["inbound", "outbound"]),
    caller=st.text(max_size=8),
    callee=st.text(max_size=8),
    started_at=st.just("2026-01-01T09:00:00+00:00"),
    ringing_s=SECONDS,
    duration_s=SECONDS,
    outcome=st.sampled_from(EndCause),
    outcome_detail=st.text(max_size=20),
    carrier_status=st.none() | st.text(max_size=8),
    carrier_duration_s=st.none() | COUNTS,
    carrier_failure=st.none() | st.builds(CarrierFailure, sip_code=COUNTS, message=st.text(max_size=8)),
    session_id=st.none() | st.text(max_size=8),
    session_open_s=st.none() | SECONDS,
    session_attempts=COUNTS,
    pickup=st.none() | st.builds(Pickup, source=st.sampled_from(["adopted", "cold"]), waited_s=SECONDS),
    parked=st.lists(
        st.builds(
            ParkedReport,
            outcome=st.sampled_from(ParkingOutcome),
            detail=WORD,
            parked_s=SECONDS,
            wasted=BOOLEAN,
            prepared_s=SECONDS,
        ),
        max_size=2,
    ).map(tuple),
    answered_by=st.none() | WORD,
    first_message=st.none() | MESSAGES,
    left_message=st.none() | MESSAGES,
    audio_path=st.none() | st.builds(AudioPath, leg=WORD, session_user=WORD, session_agent=WORD, passthrough=BOOLEAN),
    transcript=st.lists(
        st.builds(TranscriptLine, st.sampled_from(Speaker), st.text(max_size=5), st.none() | st.text(), st.booleans()),
        max_size=4,
    ).map(tuple),
    turns=st.lists(
        TURNS,
        max_size=3,
    ).map(tuple),
    latencies=st.dictionaries(
        WORD,
        st.builds(Percentiles, count=COUNTS, p50_s=SECONDS, p90_s=SECONDS, p99_s=SECONDS, max_s=SECONDS),
        max_size=2,
    ),
    barge_ins=COUNTS,
    playout=st.none()
    | st.builds(
        PlayoutFigures,
        underruns=COUNTS,
        lead_s=SECONDS,
        max_lead_s=SECONDS,
        round_trip_s=st.none() | SECONDS,
        max_round_trip_s=st.none() | SECONDS,
        jitter_s=st.none() | SECONDS,
        confirmed_by=st.sampled_from(ConfirmedBy),
    ),
    decisions=st.lists(DECISIONS, max_size=2).map(tuple),
    media=st.builds(MediaCounts, clears=COUNTS, user_dropped_bytes=st.dictionaries(st.text(max_size=5), COUNTS)),
    usage=st.builds(TokenUsage, text_in=COUNTS, audio_out=COUNTS),
    problems=st.dictionaries(st.text(max_size=8), COUNTS, max_size=3),
)


@given(REPORTS)
def test_f17_a_record_holds_every_field_of_its_report(report: CallReport) -> None:
    """With every optional field set, and with none: nothing is lost on the way to the file."""
    record = json.loads(record_json(report))
    assert record.pop("version") == RECORD_VERSION
    fields = attrs.asdict(report, value_serializer=lambda _o, _f, value: getattr(value, "value", value))
    assert record == json.loads(json.dumps(fields))


@given(REPORTS)
def test_j6_a_transcript_is_one_line_an_item_whatever_was_said(report: CallReport) -> None:
    """Line breaks, separators and control characters stay inside their line."""
    lines = transcript_jsonl(report.transcript).split(b"\n")
    assert len(lines) == len(report.transcript) + 1
    read = [json.loads(line) for line in lines[:-1]]
    assert [(line["speaker"], line["text"]) for line in read] == [
        (line.speaker.value, line.text) for line in report.transcript
    ]


async def test_a_call_has_a_folder_of_its_own_with_the_record_written_last() -> None:
    """Where the record is, everything else is complete."""
    simulated = simulated_world()
    order: list[str] = []
    files = simulated.files
    write_whole = files.write_whole

    async def noting(path: Path, data: bytes) -> None:
        order.append(path.name)
        await write_whole(path, data)

    files.write_whole = noting  # type: ignore[method-assign]
    store = FolderStore(files, Path("data"))
    await store.save(REPORT)
    assert order == ["transcript.jsonl", "record.json"]
    assert set(files.files) == {Path("data/call_1/transcript.jsonl"), Path("data/call_1/record.json")}


async def test_a_recording_grows_as_a_valid_file() -> None:
    """Stereo, from its first moment."""
    simulated = simulated_world()
    store = FolderStore(simulated.files, Path("data"))
    async with store.recorder("call_1") as recorder:
        path = Path("data/call_1/audio.wav")
        assert len(simulated.files.files[path]) == 44
        await recorder.write(bytes(400))
        await recorder.write(b"")
        assert len(simulated.files.files[path]) == 444


REPORT = CallReport(
    call_id="call_1",
    carrier_call_id="CA1",
    direction="inbound",
    caller="+1",
    callee="+2",
    started_at="2026-01-01T09:00:00+00:00",
    ringing_s=0.1,
    duration_s=1.0,
    outcome=EndCause.REMOTE_HUNG_UP,
    outcome_detail="",
    carrier_status="completed",
    carrier_duration_s=1,
    session_id=None,
    session_open_s=None,
    session_attempts=0,
    pickup=None,
    parked=(),
    answered_by=None,
    first_message=None,
    left_message=None,
    audio_path=None,
    transcript=(TranscriptLine(Speaker.AGENT, "i1", "Hello.\u2028", interrupted=True),),
    turns=(),
    latencies={},
    barge_ins=0,
    playout=None,
    decisions=(),
    media=MediaCounts(),
    usage=TokenUsage(),
    problems={},
)
