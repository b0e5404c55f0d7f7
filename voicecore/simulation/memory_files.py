"""A disk in memory, with the faults of a real one: slow, full, read-only, gone, and back again.

Rule 1: as on a real disk, a write that has begun takes its time and is finished, even
if its task is cancelled meanwhile.
Rule 2: a fault applies from the moment it is set: `MemoryFiles.fault`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import trio

from voicecore.world import OpenFile


@attrs.frozen
class FileWrite:
    """One write; the history has them in the disk's order."""

    path: Path
    offset_bytes: int | None
    """None: the whole file, replaced at once."""
    data: bytes


@attrs.frozen(kw_only=True)
class DiskFault:
    """What is wrong with a disk."""

    takes_s: float = 0.0
    """How long each write takes."""
    fails_with: int | None = None
    """The error number that every write fails with, such as ``errno.ENOSPC``."""
    is_without_threads: bool = False
    """No thread can be started: Python raises no OSError then."""


HEALTHY = DiskFault()


class MemoryFiles:
    """Files as a dictionary, and every write in order."""

    def __init__(self) -> None:
        self.files: dict[Path, bytearray] = {}
        self.history: list[FileWrite] = []
        self.fault = HEALTHY
        self.most_at_once = 0
        """The largest number of whole-file writes that ran at the same time."""
        self.syncs = 0
        self._at_once = 0

    async def read_whole(self, path: Path) -> bytes:
        """See `voicecore.world.Files`."""
        await trio.lowlevel.checkpoint()
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return bytes(self.files[path])

    async def write_whole(self, path: Path, data: bytes) -> None:
        """See `voicecore.world.Files`."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.work()
        finally:
            self._at_once -= 1
        self.files[path] = bytearray(data)
        self.history.append(FileWrite(path, None, data))

    def open_file(
        self, path: Path, *, begins_with: bytes = b"", is_new: bool = False
    ) -> AbstractAsyncContextManager[OpenFile]:
        """See `voicecore.world.Files`."""
        return self._open(path, begins_with, is_new=is_new)

    async def remove_unfinished(self, folder: Path, names: Collection[str]) -> int:
        """See `voicecore.world.Files`."""
        await self.work()
        prefixes = tuple(f".{name}." for name in names)
        left = [each for each in self.files if each.parent.parent == folder and each.name.startswith(prefixes)]
        for path in left:
            del self.files[path]
        return len(left)

    async def work(self) -> None:
        """Take as long as a write takes, and fail as the current fault says."""
        await trio.lowlevel.checkpoint()
        if self.fault.is_without_threads:
            raise RuntimeError("can't start new thread")
        if self.fault.takes_s:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.fault.takes_s)
        if self.fault.fails_with is not None:
            raise OSError(self.fault.fails_with, os.strerror(self.fault.fails_with))

    @asynccontextmanager
    async def _open(self, path: Path, begins_with: bytes, *, is_new: bool) -> AsyncIterator[OpenFile]:
        await self.work()
        if is_new and path in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.files[path] = bytearray(begins_with)
        self.history.append(FileWrite(path, None, begins_with))
        yield _MemoryFile(self, path, self.files[path])


class _MemoryFile:
    def __init__(self, disk: MemoryFiles, path: Path, content: bytearray) -> None:
        self._disk = disk
        self._path = path
        self._content = content

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        await self._disk.work()
        gap = bytes(max(0, offset_bytes - len(self._content)))
        self._content += gap
        self._content[offset_bytes : offset_bytes + len(data)] = data
        self._disk.history.append(FileWrite(self._path, offset_bytes, data))

    async def sync(self) -> None:
        await self._disk.work()
        self._disk.syncs += 1
