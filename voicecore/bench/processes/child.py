"""The parent's half of a measured process: start it on a processor of its own, ask what it used, end it.

Rule: whatever happens, the child has ended when the block is left: its input is closed,
and after END_S it is killed.

The child's half is usage.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import trio

from voicecore.bench.processes.usage import Usage
from voicecore.bench.report.result import BenchmarkFailed

START_S = 20.0  #: imports included, on a busy machine
ANSWER_S = 5.0
END_S = 5.0

_READ_BYTES = 4096
_PACKAGE_PARENT = Path(__file__).parents[3]  #: so that a child imports this very package


class Child:
    """One running process. Made by `open_child`."""

    def __init__(self, process: trio.Process, port: int, read: bytes) -> None:
        self.port = port
        """Where it serves."""
        self._process = process
        self._read = read

    async def usage(self) -> Usage:
        """Ask what it has used.

        Raises:
            BenchmarkFailed: It has ended, or does not answer.
        """
        if self._process.stdin is None:
            raise BenchmarkFailed("a measured process does not read questions")
        try:
            with trio.fail_after(ANSWER_S):
                await self._process.stdin.send_all(b"?\n")
                line, self._read = await _line(self._process, self._read)
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            raise BenchmarkFailed("a measured process has ended or hangs") from error
        return Usage(**orjson.loads(line))


@asynccontextmanager
async def open_child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """Run ``python -m module`` on the processor that is reserved for it.

    Raises:
        BenchmarkFailed: It did not start.
    """
    environment = {**os.environ, "PYTHONPATH": str(_PACKAGE_PARENT)}
    # In a session of its own: Ctrl-C reaches only the parent, which then ends the child properly.
    command = [sys.executable, "-m", module, *arguments]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    try:
        if reserved := reserved_processor():
            os.sched_setaffinity(process.pid, reserved)
        try:
            with trio.fail_after(START_S):
                line, read = await _line(process, b"")
        except trio.TooSlowError as error:
            raise BenchmarkFailed(f"{module} did not start within {START_S} s") from error
        yield Child(process, orjson.loads(line)["port"], read)
    finally:
        await _end(process)


@contextmanager
def apart_from_children() -> Iterator[None]:
    """Keep this process off the processor that is reserved for children, while the block runs."""
    reserved = reserved_processor()
    if not reserved:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - reserved)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def reserved_processor() -> set[int]:
    """Return the processor that is reserved for children, the last one; none where there is only one, or no choice."""
    count = os.cpu_count() or 1
    return {count - 1} if sys.platform == "linux" and count > 1 else set()


async def _line(process: trio.Process, read: bytes) -> tuple[bytes, bytes]:
    """Return the next line of a process, and what was read after it."""
    while b"\n" not in read:
        data = await process.stdout.receive_some(_READ_BYTES) if process.stdout else b""
        if not data:
            raise BenchmarkFailed("a measured process has exited")
        read += data
    line, _, rest = read.partition(b"\n")
    return line, rest


async def _end(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()
        with trio.move_on_after(END_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
