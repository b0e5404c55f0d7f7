"""A measured process next to a load's event loop: any program that speaks the child's half of usage.py.

    with open_process(loop, command) as process:
        process.ask(); loop.run(until); process.usages

Rule: whatever happens, it has ended when the block is left.

child.py is the same for measurements that run in Trio.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

import orjson

from voicecore.bench.load.selector_loop import Loop
from voicecore.bench.processes.child import ANSWER_S, END_S, START_S, reserved_processor
from voicecore.bench.processes.usage import Usage
from voicecore.bench.report.result import BenchmarkFailed

_READ_BYTES = 64 * 1024


class MeasuredProcess:
    """One running process. Made by `open_process`."""

    def __init__(self, loop: Loop, process: subprocess.Popen[bytes]) -> None:
        self.port = 0
        """Where it serves; 0 until it has reported that."""
        self.usages: list[Usage] = []
        """What it answered, in order."""
        self.has_ended = False
        self._loop = loop
        self._process = process
        self._read = b""
        self._asked = 0
        self._answers = process.stdout.fileno() if process.stdout else -1
        loop.watch(self._answers, self._readable)

    def ask(self) -> None:
        """Ask what it has used; the answer comes while the loop runs."""
        if self._process.stdin is None:
            raise BenchmarkFailed("a measured process does not read questions")
        self._asked += 1
        try:
            self._process.stdin.write(b"?\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BenchmarkFailed("a measured process has exited") from error

    def usage(self) -> Usage:
        """Ask, and let the loop run until it has answered.

        Raises:
            BenchmarkFailed: It has ended, or does not answer.
        """
        self.ask()
        self._loop.run(perf_counter() + ANSWER_S, lambda: len(self.usages) >= self._asked or self.has_ended)
        if len(self.usages) < self._asked:
            raise BenchmarkFailed("a measured process has ended or hangs")
        return self.usages[-1]

    def stop_watching(self) -> None:
        """Read no more answers."""
        if not self.has_ended:
            self.has_ended = True
            self._loop.forget(self._answers)

    def _readable(self) -> None:
        data = os.read(self._answers, _READ_BYTES)
        if not data:
            self.stop_watching()
        *lines, self._read = (self._read + data).split(b"\n")
        for line in lines:
            if line.startswith(b'{"port"'):
                self.port = orjson.loads(line)["port"]
            elif line.startswith(b'{"at_s"'):  # any other line is the program's own
                self.usages.append(Usage(**orjson.loads(line)))


@contextmanager
def open_process(
    loop: Loop, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[MeasuredProcess]:
    """Run a command on the processor that is reserved for it.

    Raises:
        BenchmarkFailed: It did not start.
    """
    # In a session of its own: Ctrl-C reaches only the parent, which then ends the child properly.
    with subprocess.Popen(  # noqa: S603 - the targets of a measurement are its user's
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as process:
        measured = None
        try:
            if reserved := reserved_processor():
                os.sched_setaffinity(process.pid, reserved)
            measured = MeasuredProcess(loop, process)
            loop.run(perf_counter() + START_S, lambda: bool(measured.port) or measured.has_ended)
            if not measured.port:
                raise BenchmarkFailed(f"{' '.join(command)} did not start")
            yield measured
        finally:
            if measured is not None:
                measured.stop_watching()
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
