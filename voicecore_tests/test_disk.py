"""The real disk: whole or not at all, and never in the way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from voicecore import disk
from voicecore.disk import RealFiles
from voicecore_tests.code_rules.packages import REPOSITORY

HANGS_S = 30  #: nothing here takes so long, on the busiest machine
HANGS = """
import os, sys, threading
from pathlib import Path
import trio
from voicecore import disk

async def main():
    os.fsync = lambda _: threading.Event().wait()
    with trio.move_on_after(0.05):
        await disk.RealFiles().write_whole(Path(sys.argv[1]), b"x")

disk._FINISH_S = 0.05
trio.run(main)
print("over")
"""


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_file_is_written_whole_and_its_folders_are_made(tmp_path: Path) -> None:
    """Only its owner may read it; nothing else is left beside it."""
    path = tmp_path / "calls" / "call_1" / "record.json"
    await RealFiles().write_whole(path, b"one")
    await RealFiles().write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert everything_in(tmp_path) == ["calls/call_1/record.json"]


async def test_the_order_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, fsync, rename, fsync of the folder; a new folder is made sure of before anything is put into it."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def seen_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"fsync {'temp' if target.name.startswith('.record') else target.name}")
        fsync(descriptor)

    def seen_replace(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"data"
        steps.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    await RealFiles().write_whole(tmp_path / "a" / "b" / "record", b"data")
    assert steps == [f"fsync {tmp_path.name}", "fsync a", "fsync temp", "rename to record", "fsync b"]


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
async def test_a_failing_disk_leaves_the_file_as_it_was(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OSError, the old content, no temporary file."""
    path = tmp_path / "record.json"
    await RealFiles().write_whole(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "disk trouble")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="disk trouble"):
        await RealFiles().write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert everything_in(tmp_path) == ["record.json"]


async def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    """Also where a folder's name is a file's."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        await RealFiles().write_whole(tmp_path / "file" / "record.json", b"x")
    with pytest.raises(OSError, match="file"):
        async with RealFiles().open_file(tmp_path / "file" / "audio.wav"):
            raise AssertionError("opened")
    assert everything_in(tmp_path) == ["file"]


async def test_an_open_file_is_written_at_any_offset(tmp_path: Path) -> None:
    """Over what is there, behind it, and by several tasks at once; it begins empty."""
    path = tmp_path / "call_1" / "audio.wav"
    files = RealFiles()
    async with files.open_file(path) as file:
        await file.write_at(0, b"long gone")
    async with files.open_file(path) as file:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(file.write_at, number * 4, f"{number:04}".encode())
        await file.write_at(4, b"over")
        await file.write_at(82, b"behind")
        content = path.read_bytes()  # what was written can be read while the file is open
    expected = b"".join(f"{number:04}".encode() for number in range(20))
    assert content == expected[:4] + b"over" + expected[8:] + b"\0\0behind"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_full_disk_is_an_os_error() -> None:
    """From the write, not from the close."""
    async with RealFiles().open_file(Path("/dev/full")) as file:
        with pytest.raises(OSError, match="No space left"):
            await file.write_at(0, b"x")


async def test_an_open_file_is_closed_however_the_block_ends(tmp_path: Path) -> None:
    """Cancelled or not."""
    before = open_descriptors()
    with trio.CancelScope() as scope:
        async with RealFiles().open_file(tmp_path / "x"):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert open_descriptors() == before


async def test_nothing_blocks_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a disk hangs others go on; a write that has begun is finished although its user is cancelled."""
    disk_works = threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        disk_works.wait()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    path = tmp_path / "record.json"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(RealFiles().write_whole, path, b"whole")
        await trio.sleep(0.01)  # would hang here
        nursery.cancel_scope.cancel()
        assert not path.exists()
        disk_works.set()
    assert path.read_bytes() == b"whole"
    assert everything_in(tmp_path) == ["record.json"]


@asynccontextmanager
async def hanging(step: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[threading.Event]:
    """Let a call of the system take until the end of the block; give what says that it has begun."""
    begun, goes_on, original = threading.Event(), threading.Event(), getattr(os, step)

    def hangs(*given: object) -> object:
        begun.set()
        goes_on.wait()
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, hangs)
        try:
            yield begun
        finally:
            goes_on.set()


async def uses_files(path: Path) -> None:
    """Everything that is done with files that are written."""
    async with RealFiles().open_file(path / "audio.wav") as file:
        await file.write_at(0, b"header")
        await file.sync()
    await RealFiles().write_whole(path / "record.json", b"whole")


@pytest.mark.parametrize("step", ["open", "pwrite", "fsync", "close"])
async def test_a_disk_that_hangs_holds_nobody_up(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When cancelled, it waits for the thread briefly, then abandons it and names the file."""
    monkeypatch.setattr(disk, "_FINISH_S", 0.01)
    with trio.fail_after(HANGS_S):
        async with hanging(step, monkeypatch) as begun, trio.open_nursery() as nursery:
            nursery.start_soon(uses_files, tmp_path)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
    told = f"{tmp_path / 'audio.wav'}: the disk does not answer; it is not waited for any longer"
    assert told in [record.getMessage() for record in caplog.records]


async def test_a_file_that_opens_when_nobody_wants_it_any_more_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each would cost a descriptor for as long as the process runs."""
    closed, done, close = list[str](), threading.Event(), os.close

    def seen_close(descriptor: int) -> None:
        closed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        close(descriptor)
        done.set()

    monkeypatch.setattr(os, "close", seen_close)
    monkeypatch.setattr(disk, "_FINISH_S", 0.0)
    async with hanging("open", monkeypatch) as begun, trio.open_nursery() as nursery:
        nursery.start_soon(uses_files, tmp_path)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
    assert await trio.to_thread.run_sync(done.wait, HANGS_S)
    assert closed == [str(tmp_path / "audio.wav")]


def test_a_process_ends_although_its_disk_hangs(tmp_path: Path) -> None:
    """Its last line names the file."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS, str(tmp_path / "record.json")],
        env=dict(os.environ) | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "over\n")
    assert f"{tmp_path / 'record.json'}: the disk does not answer" in done.stderr


async def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """Unchanged; a missing one is the system's own error."""
    (tmp_path / "a").write_bytes(b"abc")
    assert await RealFiles().read_whole(tmp_path / "a") == b"abc"
    with pytest.raises(FileNotFoundError):
        await RealFiles().read_whole(tmp_path / "b")


async def test_without_a_thread_to_be_had_there_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a system at its limit says is no OSError by itself; the engine need not know that."""

    async def none_left(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async with RealFiles().open_file(tmp_path / "open") as file:
        monkeypatch.setattr(trio.to_thread, "run_sync", none_left)
        with pytest.raises(OSError, match="can't start new thread"):
            await file.write_at(0, b"x")
        with pytest.raises(OSError, match="can't start new thread"):
            await RealFiles().write_whole(tmp_path / "whole", b"x")
    assert everything_in(tmp_path) == ["open"]


async def test_a_few_whole_files_are_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By threads of their own: a disk that hangs keeps no name from being looked up."""
    disk_works, most, lock = threading.Event(), [0], threading.Lock()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        with lock:
            most[0] += 1
        disk_works.wait()
        fsync(descriptor)

    (tmp_path / "calls").mkdir()
    monkeypatch.setattr(os, "fsync", slow)
    files = RealFiles()
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(files.write_whole, tmp_path / "calls" / f"record-{number}", b"x")
        with trio.fail_after(10):
            while most[0] < 4:  # noqa: ASYNC110 - threads give no event
                await trio.sleep(0.001)
            assert await trio.to_thread.run_sync(lambda: 7) == 7
        assert most[0] == 4
        disk_works.set()
    assert len(everything_in(tmp_path)) == 60


async def test_a_file_that_begins_with_something_is_never_seen_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears with its beginning; a killed process leaves the old one, or the new one."""
    path, replace = tmp_path / "audio.wav", Path.replace

    def seen_replace(self: Path, target: Path) -> Path:
        assert not path.exists()
        assert self.read_bytes() == b"header"
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", seen_replace)
    async with RealFiles().open_file(path, begins_with=b"header") as file:
        assert path.read_bytes() == b"header"
        await file.write_at(6, b" and more")
        await file.sync()
    assert path.read_bytes() == b"header and more"
    assert everything_in(tmp_path) == ["audio.wav"]


async def test_a_file_that_must_be_new_replaces_nothing(tmp_path: Path) -> None:
    """A later writer finds it, and leaves it alone."""
    path = tmp_path / "transcript.jsonl"
    await RealFiles().write_whole(path, b"whole")
    with pytest.raises(FileExistsError):
        async with RealFiles().open_file(path, is_new=True):
            raise AssertionError("opened")
    assert path.read_bytes() == b"whole"


async def test_a_file_whose_beginning_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor, no temporary file."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = open_descriptors()
    monkeypatch.setattr(os, "pwrite", full)
    for is_new in (False, True):
        with pytest.raises(OSError, match="No space left"):
            async with RealFiles().open_file(tmp_path / "audio.wav", begins_with=b"header", is_new=is_new):
                raise AssertionError("opened")
        (tmp_path / "audio.wav").unlink(missing_ok=True)
    assert open_descriptors() == before
    assert everything_in(tmp_path) == []


async def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    """Only temporary files of our names, in the folders of calls, older than this process."""
    call, other = tmp_path / "call_1", tmp_path / "call_2"
    for folder in (call, other):
        folder.mkdir()
    left = [call / ".record.json.abc", call / ".audio.wav.x1", other / ".transcript.jsonl.q"]
    kept = [call / "record.json", call / ".notes", tmp_path / ".record.json.abc", other / ".record.json.new"]
    for path in [*left, *kept]:
        path.write_bytes(b"x")
        os.utime(path, (1.0, 1.0))
    os.utime(kept[-1])
    (other / ".record.json.folder").mkdir()
    files = RealFiles()
    os.utime(kept[-1], (2.0**32, 2.0**32))
    names = ("record.json", "transcript.jsonl", "audio.wav")
    assert await files.remove_unfinished(tmp_path, names) == 3
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert await files.remove_unfinished(tmp_path / "nowhere", names) == 0
