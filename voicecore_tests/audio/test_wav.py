"""WAV files: valid after every single write, and after half of one."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.formats import PCM16_8K
from voicecore.audio.wav import WavWriter, Write, read_wav
from voicecore.errors import LocalProtocolError


def carried_out(writes: list[Write]) -> bytes:
    file = bytearray()
    for write in writes:
        end = write.offset_bytes + len(write.data)
        file.extend(bytes(max(0, end - len(file))))
        file[write.offset_bytes : end] = write.data
    return bytes(file)


def frames_of(file: bytes) -> bytes:
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (2, 2, 8000)
        return bytes(reader.readframes(reader.getnframes()))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_the_file_is_valid_at_every_moment(sizes: list[int], data: st.DataObject) -> None:
    """After any number of writes, the last one cut anywhere: a valid WAV with a prefix of the data."""
    audio = bytes(i % 256 for i in range(4 * sum(sizes)))
    writer, writes, at = WavWriter(8000, channels=2), [], 0
    writes += writer.start()
    for size in sizes:
        writes += writer.append(audio[at : at + 4 * size])
        at += 4 * size
    assert frames_of(carried_out(writes)) == audio
    done = data.draw(st.integers(1, len(writes)))
    before = writes[:done]
    assert audio.startswith(frames_of(carried_out(before)))
    if done < len(writes) and writes[done].offset_bytes > 0:
        torn = writes[done].data[: data.draw(st.integers(0, len(writes[done].data)))]
        assert audio.startswith(frames_of(carried_out([*before, Write(writes[done].offset_bytes, torn)])))


def test_only_whole_sample_frames_are_taken() -> None:
    """Left and right never change places."""
    with pytest.raises(LocalProtocolError, match="whole sample frames"):
        WavWriter(8000, channels=2).append(bytes(6))


def test_a_recording_is_read_with_its_format() -> None:
    """Parts that are not sound are passed over."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(b"\x01\x00\x02\x00")
    body = file.getvalue()
    with_extra = body[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + body[36:]
    assert read_wav(body) == read_wav(with_extra) == (PCM16_8K, b"\x01\x00\x02\x00")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "without its fmt or data"),
        (carried_out(WavWriter(8000, channels=2).start()), "2 ch"),
    ],
)
def test_what_is_not_a_mono_recording_is_refused_by_name(file: bytes, problem: str) -> None:
    """The message says what was wrong."""
    with pytest.raises(LocalProtocolError, match=problem):
        read_wav(file)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(rest: bytes) -> None:
    """A format, or the one declared error."""
    for file in (rest, b"RIFF\0\0\0\0WAVE" + rest):
        try:
            _, samples = read_wav(file)
        except LocalProtocolError:
            continue
        assert len(samples) % 2 == 0
