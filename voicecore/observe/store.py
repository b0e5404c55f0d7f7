"""What is kept of a call: one folder with its record, its transcript and its recording.

    <data_dir>/<call id>/record.json        written once: whole, or absent
    <data_dir>/<call id>/transcript.jsonl   one line an item of the conversation
    <data_dir>/<call id>/audio.wav          opt-in; stereo, caller left, agent right

Rule 1: the folder's name is our own call id, never something a carrier sent.
Rule 2: the record is written last: where it is, everything else is complete.

Implements `voicecore.ports.CallStore`; put together in assembly.py.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson

from voicecore.audio.wav import WavWriter, Write
from voicecore.facts import CallReport
from voicecore.ports import Recorder
from voicecore.world import Files, OpenFile

RECORD_VERSION = 1
_RECORDING_HZ = 8000


def record_json(report: CallReport) -> bytes:
    """Return the record as it is kept: one JSON object, indented, with a version."""
    fields = {"version": RECORD_VERSION, **attrs.asdict(report, value_serializer=_plain)}
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def transcript_jsonl(report: CallReport) -> bytes:
    """Return the transcript, one JSON object a line."""
    lines = (attrs.asdict(line, value_serializer=_plain) for line in report.transcript)
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _plain(_owner: object, _field: object, value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


class FolderStore:
    """Keeps calls in folders."""

    def __init__(self, files: Files, data_dir: Path) -> None:
        self._files = files
        self._data_dir = data_dir

    async def save(self, report: CallReport) -> None:
        """Write transcript and record. Raises OSError."""
        folder = self._data_dir / report.call_id
        await self._files.write_whole(folder / "transcript.jsonl", transcript_jsonl(report))
        await self._files.write_whole(folder / "record.json", record_json(report))

    def recorder(self, call_id: str) -> AbstractAsyncContextManager[Recorder]:
        """Hold ``audio.wav`` open. Raises OSError on entering."""
        return _open_recorder(self._files, self._data_dir / call_id / "audio.wav")


@asynccontextmanager
async def _open_recorder(files: Files, path: Path) -> AsyncIterator[Recorder]:
    async with files.open_file(path) as file:
        recorder = _WavRecorder(file)
        await recorder.begin()
        yield recorder


class _WavRecorder:
    """A WAV file that is valid after every single write."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._wav = WavWriter(_RECORDING_HZ, channels=2)

    async def begin(self) -> None:
        await self._carry_out(self._wav.start())

    async def write(self, interleaved_pcm16: bytes) -> None:
        """Append stereo samples. Raises OSError."""
        if interleaved_pcm16:
            await self._carry_out(self._wav.append(interleaved_pcm16))

    async def _carry_out(self, writes: list[Write]) -> None:
        for write in writes:
            await self._file.write_at(write.offset_bytes, write.data)
