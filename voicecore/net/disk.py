"""The real disk: files written whole or not at all, off the event loop.

Rule 1: the order that survives a power cut is write, fsync, rename, fsync of the
folder, and fsync of every folder that got a new one; 0.5 ms against 0.03 ms for
a plain write, and never on the media path.
Rule 2: everything runs in worker threads, and a write that has begun is finished
even when its caller is cancelled: no thread works on a file that nobody holds.
Rule 3: a disk that hangs holds up a few threads of our own, never those that the
rest of the process shares; that there is no thread to be had is an OSError too.
Rule 4: what is kept of a call is for its owner's eyes: files are made with mode 0600.

Implements `voicecore.world.Files`; put into the World in assembly.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from voicecore.world import OpenFile

T = TypeVar("T")

_MODE = 0o600
_EMPTY = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_WHOLE_FILES = 4  #: written at the same time; 200 calls that end at once need no 200 threads
_PIECES = 16  #: of open files, written at the same time


class RealFiles:
    """Files of the operating system."""

    def __init__(self) -> None:
        self._since = time.time()
        self._whole = trio.CapacityLimiter(_WHOLE_FILES)
        self._pieces = trio.CapacityLimiter(_PIECES)

    async def read_whole(self, path: Path) -> bytes:
        """See `voicecore.world.Files`."""
        return await _in_thread(path.read_bytes, self._pieces)

    async def write_whole(self, path: Path, data: bytes) -> None:
        """See `voicecore.world.Files`. Cancelled, the file is whole, or as it was."""
        await _in_thread(lambda: _write_whole(path, data), self._whole)

    def open_file(
        self, path: Path, *, begins_with: bytes = b"", is_new: bool = False
    ) -> AbstractAsyncContextManager[OpenFile]:
        """See `voicecore.world.Files`."""
        return _open_file(lambda: _opened(path, begins_with, is_new=is_new), self._pieces)

    async def remove_unfinished(self, folder: Path, names: Collection[str]) -> int:
        """See `voicecore.world.Files`."""
        return await _in_thread(lambda: _remove_unfinished(folder, names, self._since), self._whole)


async def _in_thread(work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
    try:
        return await trio.to_thread.run_sync(work, limiter=limiter)
    except RuntimeError as no_thread:
        raise OSError(errno.EAGAIN, f"no thread could be started: {no_thread}") from no_thread


@asynccontextmanager
async def _open_file(opened: Callable[[], int], limiter: trio.CapacityLimiter) -> AsyncIterator[OpenFile]:
    descriptor = await _in_thread(opened, limiter)
    try:
        yield _File(descriptor, limiter)
    finally:
        with trio.CancelScope(shield=True):  # a thread cannot be hurried, so a deadline would not help
            await _closed(descriptor, limiter)


async def _closed(descriptor: int, limiter: trio.CapacityLimiter) -> None:
    try:
        await trio.to_thread.run_sync(os.close, descriptor, limiter=limiter)
    except RuntimeError:  # no thread to be had: better a moment's wait than a descriptor that stays open
        os.close(descriptor)


class _File:
    def __init__(self, descriptor: int, limiter: trio.CapacityLimiter) -> None:
        self._descriptor = descriptor
        self._limiter = limiter

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        await _in_thread(lambda: _write_at(self._descriptor, offset_bytes, data), self._limiter)

    async def sync(self) -> None:
        await _in_thread(lambda: os.fsync(self._descriptor), self._limiter)


def _write_at(descriptor: int, offset_bytes: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # a disk that is nearly full takes a part
        written = os.pwrite(descriptor, rest, offset_bytes)
        offset_bytes += written
        rest = rest[written:]


def _opened(path: Path, begins_with: bytes, *, is_new: bool) -> int:
    """Return the descriptor of a fresh file; one that replaces another appears with what it begins with."""
    _make_folder(path.parent)
    if is_new or not begins_with:
        return _with(os.open(path, _NEW if is_new else _EMPTY, _MODE), begins_with)
    with _unfinished(path) as (descriptor, name):
        _with(descriptor, begins_with)
        Path(name).replace(path)
    return descriptor


def _with(descriptor: int, begins_with: bytes) -> int:
    """Write what a file begins with; a descriptor that cannot take it is closed."""
    try:
        _write_at(descriptor, 0, begins_with)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_whole(path: Path, data: bytes) -> None:
    _make_folder(path.parent)
    with _unfinished(path) as (descriptor, name):
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[tuple[int, str]]:
    """Make a file beside ``path``, open; what fails in the block removes it. Who uses the descriptor closes it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path.name))
    try:
        yield descriptor, name
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _prefix(name: str) -> str:
    return f".{name}."


def _remove_unfinished(folder: Path, names: Collection[str], since: float) -> int:
    removed = 0
    prefixes = tuple(_prefix(name) for name in names)
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as inner:
        for entry in inner:
            if entry.is_dir(follow_symlinks=False):
                removed += _remove_from(Path(entry.path), prefixes, since)
    return removed


def _remove_from(folder: Path, prefixes: tuple[str, ...], since: float) -> int:
    removed = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            left_over = entry.name.startswith(prefixes) and entry.is_file(follow_symlinks=False)
            if left_over and entry.stat(follow_symlinks=False).st_mtime < since:
                Path(entry.path).unlink(missing_ok=True)
                removed += 1
    return removed


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as taken:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from taken
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
