"""Stores calls on disk: one folder each, with record, transcript and recording.

    <data_dir>/<call id>/record.json        complete or absent; rewritten when more is known
    <data_dir>/<call id>/transcript.jsonl   one line for each item of the conversation
    <data_dir>/<call id>/audio.wav          optional; stereo, user left, agent right

Rule 1: the folder is named after our own call id, never after anything a carrier sent.
Rule 2: the record is written last: if it exists, the other files are complete.
Rule 3: if it does not, the call is running, or its process was killed. The
transcript then has the lines that had become final, in that order; read up to the
last complete line.
Rule 4: an error names the file.

Implements `voicecore.ports.CallStore`; assembly.py creates it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import orjson

from voicecore.audio.wav import WavWriter, Write
from voicecore.facts import CallReport, TranscriptLine
from voicecore.observe.encoding import json_of
from voicecore.ports import LineWriter, Recorder
from voicecore.world import Files, OpenFile

RECORD_VERSION = 2  #: 2: `user` for the human, `outcome` for that of a message or a parked session
_RECORDING_HZ = 8000
_RECORD, _TRANSCRIPT, _RECORDING = "record.json", "transcript.jsonl", "audio.wav"


def record_json(report: CallReport, option: int = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE) -> bytes:
    """Return the record: one indented JSON object, with its version first."""
    return json_of(report, option, version=RECORD_VERSION)


def transcript_jsonl(lines: Sequence[TranscriptLine]) -> bytes:
    """Return the transcript, one JSON object on each line."""
    return b"".join(json_of(line, orjson.OPT_APPEND_NEWLINE) for line in lines)


class FolderStore:
    """Stores each call in a folder."""

    def __init__(self, files: Files, data_dir: Path) -> None:
        self._files = files
        self._data_dir = data_dir

    async def save(self, report: CallReport) -> None:
        """See `voicecore.ports.CallStore`."""
        await self._write(report.call_id, _TRANSCRIPT, transcript_jsonl(report.transcript))
        await self._write(report.call_id, _RECORD, record_json(report))

    def one_line(self, report: CallReport) -> str:
        """See `voicecore.ports.CallStore`."""
        return record_json(report, 0).decode()

    def recorder(self, call_id: str) -> AbstractAsyncContextManager[Recorder]:
        """Open ``audio.wav`` for the block. Raises OSError on entering."""
        return _open_recorder(self._files, self._data_dir / call_id / _RECORDING)

    def growing_transcript(self, call_id: str) -> AbstractAsyncContextManager[LineWriter]:
        """Open ``transcript.jsonl`` for the block. Raises OSError on entering, also if the final one exists."""
        return _open_transcript(self._files, self._data_dir / call_id / _TRANSCRIPT)

    async def tidy(self) -> None:
        """See `voicecore.ports.CallStore`."""
        with _named(self._data_dir):
            await self._files.remove_unfinished(self._data_dir, (_RECORD, _TRANSCRIPT, _RECORDING))

    async def _write(self, call_id: str, name: str, data: bytes) -> None:
        path = self._data_dir / call_id / name
        with _named(path):
            await self._files.write_whole(path, data)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add to an OSError the path of the file, or of the parent folder that caused it."""
    try:
        yield
    except OSError as error:
        is_parent = isinstance(error.filename, str) and Path(error.filename) in path.parents
        where = error.filename if is_parent else str(path)
        raise OSError(error.errno, error.strerror or str(error), where) from error


@asynccontextmanager
async def _open_recorder(files: Files, path: Path) -> AsyncIterator[Recorder]:
    wav = WavWriter(_RECORDING_HZ, channels=2)
    (header,) = wav.start()
    with _named(path):
        async with files.open_file(path, begins_with=header.data) as file:
            yield _WavRecorder(file, wav)


class _WavRecorder:
    """A WAV file that is valid after each write."""

    def __init__(self, file: OpenFile, wav: WavWriter) -> None:
        self._file = file
        self._wav = wav

    async def write(self, interleaved_pcm16: bytes) -> None:
        """Append stereo samples. Raises OSError."""
        if interleaved_pcm16:
            await self._carry_out(self._wav.append(interleaved_pcm16))

    async def _carry_out(self, writes: list[Write]) -> None:
        for write in writes:
            await self._file.write_at(write.offset_bytes, write.data)


@asynccontextmanager
async def _open_transcript(files: Files, path: Path) -> AsyncIterator[LineWriter]:
    with _named(path):
        async with files.open_file(path, is_new=True) as file:
            yield _TranscriptLines(file)


class _TranscriptLines:
    """A transcript that ends with a complete line after each write."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._bytes = 0

    async def append(self, lines: Sequence[TranscriptLine]) -> None:
        """Append lines and sync them to disk. Raises OSError."""
        data = transcript_jsonl(lines)
        await self._file.write_at(self._bytes, data)
        self._bytes += len(data)
        await self._file.sync()
