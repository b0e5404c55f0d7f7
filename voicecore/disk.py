"""The real disk: files written whole or not at all, off the event loop.

Rule 1: the order that survives a power cut is write, fsync, rename, fsync of the
folder, and fsync of every folder that got a new one; 0.5 ms against 0.03 ms for
a plain write, and never on the media path.
Rule 2: everything runs in worker threads, and a write that has begun is finished
even when its user is cancelled: no thread works on a file that nobody has open.
That is waited for within ``_FINISH_S``; then the thread is left alone, and the log
names the file, so that no disk keeps a process from its end.
Rule 3: a disk that hangs blocks a few threads of our own, never those that the
rest of the process shares; that there is no thread to be had is an OSError too.
Rule 4: what is kept of a call is for its owner's eyes: files are made with mode 0600.

Implements `voicecore.world.Files`; put into the World in assembly.py.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Generic, TypeVar

import trio

from voicecore.errors import printable
from voicecore.nurseries import open_service_nursery
from voicecore.world import OpenFile

log = logging.getLogger("voicecore.net")

T = TypeVar("T")

_MODE = 0o600
_EMPTY = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_WHOLE_FILES = 4  #: written at the same time; 200 calls that end at once need no 200 threads
_PIECES = 16  #: of open files, written at the same time
_FINISH_S = 5.0  #: how long work that has begun is waited for when nobody wants it any more


class RealFiles:
    """Files of the operating system."""

    def __init__(self) -> None:
        self._since = time.time()
        self._whole = trio.CapacityLimiter(_WHOLE_FILES)
        self._pieces = trio.CapacityLimiter(_PIECES)

    async def read_whole(self, path: Path) -> bytes:
        """See `voicecore.world.Files`."""
        return await _in_thread(path.read_bytes, self._pieces, path)

    async def write_whole(self, path: Path, data: bytes) -> None:
        """See `voicecore.world.Files`. Cancelled, the file is whole, or as it was."""
        await _in_thread(lambda: _write_whole(path, data), self._whole, path)

    def open_file(
        self, path: Path, *, begins_with: bytes = b"", is_new: bool = False
    ) -> AbstractAsyncContextManager[OpenFile]:
        """See `voicecore.world.Files`."""
        return _open_file(lambda: _opened(path, begins_with, is_new=is_new), self._pieces, path)

    async def remove_unfinished(self, folder: Path, names: Collection[str]) -> int:
        """See `voicecore.world.Files`."""
        return await _in_thread(lambda: _remove_unfinished(folder, names, self._since), self._whole, folder)


class _NoThread(OSError):
    """The system starts no thread."""


class _Work(Generic[T]):
    """What a thread does for a task, and what becomes of the result where that has left."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._work = work
        self._undo = undo
        self._is_left = False
        self._results: list[T] = []  # one at most; whoever takes it out owns it

    def run(self) -> None:
        """Do it; in the thread."""
        self._results.append(self._work())
        if self._is_left:
            self.leave()

    def result(self) -> T:
        """Return what it has returned."""
        return self._results.pop()

    def leave(self) -> None:
        """Nobody waits for it any more: undo what it has made, now or as soon as it is made."""
        self._is_left = True
        with contextlib.suppress(IndexError, OSError):
            result = self._results.pop()
            if self._undo is not None:
                self._undo(result)


async def _in_thread(
    work: Callable[[], T], limiter: trio.CapacityLimiter, path: Path, *, undo: Callable[[T], object] | None = None
) -> T:
    """Return what ``work`` returns; cancelled, it is finished first, where the disk does that within ``_FINISH_S``.

    Args:
        work: What is to be done with ``path``, and blocks.
        limiter: Of the threads for it.
        path: Named where it takes too long.
        undo: Called with the result where nobody waits for it any more.

    Raises:
        OSError: The work's own; `_NoThread`: it was not begun.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    begun = _Work(work, undo)
    trouble: OSError | None = None
    try:
        async with open_service_nursery() as nursery:
            with trio.CancelScope(shield=True) as patience:
                nursery.start_soon(_end_when_cancelled, patience)
                try:
                    await trio.to_thread.run_sync(begun.run, abandon_on_cancel=True, limiter=limiter)
                except RuntimeError as no_thread:
                    trouble = _NoThread(errno.EAGAIN, f"no thread could be started: {no_thread}")
                except OSError as failure:  # kept, so that it is alone where a cancellation comes too
                    trouble = failure
            if patience.cancelled_caught:
                log.error("%s: the disk does not answer; it is not waited for any longer", printable(str(path), 500))
    except trio.Cancelled:
        begun.leave()
        raise
    if trouble is not None:
        raise trouble
    return begun.result()


async def _end_when_cancelled(patience: trio.CancelScope) -> None:
    """Give a shielded scope a deadline once what is around it is cancelled."""
    try:
        await trio.sleep_forever()
    finally:
        patience.deadline = trio.current_time() + _FINISH_S


@asynccontextmanager
async def _open_file(opened: Callable[[], int], limiter: trio.CapacityLimiter, path: Path) -> AsyncIterator[OpenFile]:
    descriptor = await _in_thread(opened, limiter, path, undo=os.close)
    try:
        yield _File(descriptor, limiter, path)
    finally:
        with trio.move_on_after(_FINISH_S, shield=True):
            await _closed(descriptor, limiter, path)


async def _closed(descriptor: int, limiter: trio.CapacityLimiter, path: Path) -> None:
    try:
        await _in_thread(lambda: os.close(descriptor), limiter, path)
    except _NoThread:  # better a moment's wait than a descriptor that stays open
        os.close(descriptor)


class _File:
    def __init__(self, descriptor: int, limiter: trio.CapacityLimiter, path: Path) -> None:
        self._descriptor = descriptor
        self._limiter = limiter
        self._path = path

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        await _in_thread(lambda: _write_at(self._descriptor, offset_bytes, data), self._limiter, self._path)

    async def sync(self) -> None:
        await _in_thread(lambda: os.fsync(self._descriptor), self._limiter, self._path)


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
