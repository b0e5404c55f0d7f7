"""What is kept of a call: one folder with its record, its transcript and its recording.

    <data_dir>/<call id>/record.json        whole, or absent; written anew when more is learned
    <data_dir>/<call id>/transcript.jsonl   one line an item of the conversation
    <data_dir>/<call id>/audio.wav          opt-in; stereo, user left, agent right

Rule 1: the folder's name is our own call id, never something a carrier sent.
Rule 2: the record is written last: where it is, everything else is complete.
Rule 3: where it is not, the call runs, or its process was killed: the transcript
then has the lines that were final by that time, in the order in which they
became so; a reader takes everything up to the last whole line.
Rule 4: an error names the file.

Implements `voicecore.ports.CallStore`; put together in assembly.py.
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

RECORD_VERSION = 2  #: 2: `user` for the human, `outcome` for what became of a message or a parked session
_RECORDING_HZ = 8000
_RECORD, _TRANSCRIPT, _RECORDING = "record.json", "transcript.jsonl", "audio.wav"


def record_json(report: CallReport, option: int = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE) -> bytes:
    """Return the record as it is kept: one JSON object, indented, with a version."""
    return json_of(report, option, version=RECORD_VERSION)


def transcript_jsonl(lines: Sequence[TranscriptLine]) -> bytes:
    """Return the transcript, one JSON object a line."""
    return b"".join(json_of(line, orjson.OPT_APPEND_NEWLINE) for line in lines)


class FolderStore:
    """Keeps calls in folders."""

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
        """Hold ``audio.wav`` open. Raises OSError on entering."""
        return _open_recorder(self._files, self._data_dir / call_id / _RECORDING)

    def growing_transcript(self, call_id: str) -> AbstractAsyncContextManager[LineWriter]:
        """Hold ``transcript.jsonl`` open. Raises OSError on entering: also where the call is over and it is written."""
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
    """Let an error of the disk say which file it was about, or which folder on the way to it."""
    try:
        yield
    except OSError as trouble:
        on_the_way = isinstance(trouble.filename, str) and Path(trouble.filename) in path.parents
        where = trouble.filename if on_the_way else str(path)
        raise OSError(trouble.errno, trouble.strerror or str(trouble), where) from trouble


@asynccontextmanager
async def _open_recorder(files: Files, path: Path) -> AsyncIterator[Recorder]:
    wav = WavWriter(_RECORDING_HZ, channels=2)
    (header,) = wav.start()
    with _named(path):
        async with files.open_file(path, begins_with=header.data) as file:
            yield _WavRecorder(file, wav)


class _WavRecorder:
    """A WAV file that is valid after every single write."""

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
    """A transcript that ends with a whole line after every single write."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._bytes = 0

    async def append(self, lines: Sequence[TranscriptLine]) -> None:
        """Append lines and see them on the disk. Raises OSError."""
        data = transcript_jsonl(lines)
        await self._file.write_at(self._bytes, data)
        self._bytes += len(data)
        await self._file.sync()
