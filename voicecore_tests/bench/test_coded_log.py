"""Audio that can be read behind a conversion, and the log of calls that have it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.bench.load.answer_log import Answer, within
from voicecore.bench.load.coded_audio import LARGEST_CALL, LARGEST_NUMBER, MULAW, PCM24, CodeReader, Form, Name
from voicecore.bench.load.coded_log import CodedAnswerLog, CodedTrack
from voicecore.bench.load.frames import FRAME_BYTES, Faults

FORMS = pytest.mark.parametrize("form", [MULAW, PCM24], ids=["mulaw", "pcm"])
FRAMES = 5


def stream(form: Form, frames: int = FRAMES, call: int = 3) -> bytes:
    return b"".join(form.frame(call, number) for number in range(frames))


def names(frames: Sequence[int], call: int = 3) -> list[Name]:
    return [Name(call, number) for number in frames]


def pieces(audio: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    for size in sizes:
        yield audio[:size]
        audio = audio[size:]
    yield audio


@FORMS
@given(sizes=st.lists(st.integers(0, 1200), max_size=8), junk=st.binary(max_size=300))
def test_a_stream_may_begin_and_be_cut_anywhere(form: Form, sizes: list[int], junk: bytes) -> None:
    """Every frame is named once, in order."""
    reader = CodeReader(form)
    junk = junk[: len(junk) // form.sample_bytes * form.sample_bytes]
    read = [name for piece in pieces(junk + stream(form), sizes) for name in reader.feed(piece)]
    assert read[-FRAMES:] == names(range(FRAMES))


@FORMS
@given(st.integers(0, LARGEST_CALL), st.integers(0, LARGEST_NUMBER))
def test_every_name_can_be_read(form: Form, call: int, number: int) -> None:
    """Also the largest numbers there are."""
    audio = form.frame(call, number)
    assert len(audio) == form.frame_bytes
    assert list(CodeReader(form).feed(audio)) == [Name(call, number)]


@pytest.mark.parametrize(
    ("source", "target", "sent", "read"),
    [(PCMU_8K, PCM16_24K, MULAW, PCM24), (PCM16_24K, PCMU_8K, PCM24, MULAW)],
    ids=["up", "down"],
)
def test_names_survive_our_conversion(source: object, target: object, sent: Form, read: Form) -> None:
    """Each is read with its own frame: the filter's delay is within what has no meaning."""
    convert = converter(source, target)  # type: ignore[arg-type]
    reader = CodeReader(read)
    for number in range(20):
        assert list(reader.feed(convert.convert(sent.frame(3, number)))) == [Name(3, number)]


@given(st.integers(1, 5), st.integers(-2000, 2000))
def test_names_survive_loudness_and_an_offset(gain: int, offset: int) -> None:
    """Twice as loud, a little off the middle: the signs stay."""
    audio = stream(PCM24)
    samples = [int.from_bytes(audio[at : at + 2], "little", signed=True) * gain + offset for at in range(0, 4800, 2)]
    changed = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    assert list(CodeReader(PCM24).feed(changed)) == names(range(FRAMES))


def test_a_user_s_frames_are_followed_through_a_conversion() -> None:
    """Lost, doubled, and another call's."""
    track = CodedTrack(3, random.Random(1))
    way = track.to_provider
    way.sent(4, 1.0)
    track.take(PCM24.frame(3, 0) + PCM24.frame(3, 2), way, 1.5)
    assert (way.frames, way.waiting) == (4, 1)
    assert way.faults() == Faults(lost=2)
    track.take(PCM24.frame(3, 2) + PCM24.frame(4, 3), way, 1.6)
    assert way.faults() == Faults(lost=2, doubled=1, altered=1)
    assert track.frame(7) == MULAW.frame(3, 7)


# --- answers ---------------------------------------------------------------


def new_log() -> CodedAnswerLog:
    return CodedAnswerLog(3, random.Random(1))


def written(here: CodedAnswerLog, began_at: float = 1.0) -> Answer:
    """Begin an answer of five frames, all of which have left."""
    answer = here.begin(FRAMES * 0.02)
    answer.written_bytes, answer.began_at, answer.over_at = len(answer.audio), began_at, began_at + 0.1
    return answer


def heard(*numbers: int, call: int = 3) -> bytes:
    return b"".join(MULAW.frame(call, number) for number in numbers)


def faults(here: CodedAnswerLog) -> tuple[float, ...]:
    here.finish(9.0)
    counts = (here.lost_bytes, here.doubled_bytes, here.altered_bytes, here.stale_bytes)
    return tuple(count / FRAME_BYTES for count in counts)


def test_an_answer_is_followed_by_the_names_of_its_frames() -> None:
    """Two answers, cut anywhere: nothing is missing, and two first frames had nothing to wait for."""
    here = new_log()
    written(here, 1.0)
    here.received(heard(0, 1)[:250], 0.5, 1.25)
    here.received(heard(0, 1)[250:] + heard(2, 3, 4), 0.0, 1.3)
    written(here, 2.0)
    here.received(heard(5, 6, 7, 8, 9), 0.4, 2.25)
    assert faults(here) == (0, 0, 0, 0)
    assert [delay for _, delay in here.first_audio] == pytest.approx([0.25, 0.25])
    assert here.holes == []
    assert len(here.heard) == 2 * FRAMES


def test_what_does_not_come_is_lost_and_what_comes_again_doubled() -> None:
    """In the middle, at the end, and twice."""
    here = new_log()
    written(here)
    here.received(heard(0, 1, 3, 1), 0.5, 1.25)
    assert faults(here) == (2, 1, 0, 0)


def test_what_nobody_said_is_altered() -> None:
    """Another call's, and what the provider has not written."""
    here = new_log()
    written(here).written_bytes = 2 * PCM24.frame_bytes
    here.received(heard(0, 1, 4) + heard(2, call=4), 0.5, 1.25)
    assert here.altered_bytes == 2 * FRAME_BYTES


def test_after_the_clear_an_answer_is_stale() -> None:
    """What is missing of it is not lost."""
    here = new_log()
    written(here)
    here.received(heard(0, 1), 0.5, 1.25)
    here.cut(1.3)
    here.cleared(0.03, 1.35)
    here.received(heard(2, 3), 0.0, 1.36)
    assert faults(here) == (0, 0, 0, 2)
    assert within(here.clears, 1.0, 2.0) == [pytest.approx(0.05)]


def test_silence_in_an_answer_is_a_hole_whoever_sends_it() -> None:
    """The line that ran dry, and silence that the engine filled in."""
    here = new_log()
    written(here)
    here.received(heard(0), 0.5, 1.25)
    here.received(heard(1), 0.03, 1.30)
    here.received(b"\xff" * 160, 0.0, 1.32)
    here.received(heard(2), 0.0, 1.34)
    assert [hole for _, hole in here.holes] == pytest.approx([0.03, 0.02])
    assert here.filled_bytes == 160
