"""A port whose system has no more room for connections: it says so, waits, and recovers by itself."""

from __future__ import annotations

import errno
import logging
import os
import resource

import pytest
import trio
from trio.testing import MockClock

from voicecore.net.http.messages import Request, Response
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.simulation.world import simulated_world
from voicecore.world import ByteStream

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Exhausted(trio.abc.Listener[ByteStream]):
    """A listener on a machine that is out of something until a moment."""

    def __init__(self, listener: trio.abc.Listener[ByteStream], number: int, until: float) -> None:
        self.tries = 0
        self._listener = listener
        self._number = number
        self._until = until

    async def accept(self) -> ByteStream:
        self.tries += 1
        await trio.lowlevel.checkpoint()
        if trio.current_time() < self._until:
            raise OSError(self._number, os.strerror(self._number))
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


async def app(_request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    return Response(200, b"there")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOBUFS, "short of memory"),
        (errno.ENOMEM, "short of memory"),
        (errno.EPERM, "Operation not permitted"),
    ],
)
async def test_an_accept_that_fails_is_said_once_a_minute_and_tried_ten_times_a_second(
    number: int, says: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """150 s of it: three lines without a traceback, no spinning; then who waited is answered within a second."""
    network = simulated_world().network
    listening = await network.listen("host", 80)
    listener = Exhausted(listening.listeners[0], number, until=trio.current_time() + 150.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, [listener], app)
        stream = await network.open_stream("host", 80, tls=False)
        await stream.send_all(GET)
        assert b"200" in await stream.receive_some()
        assert trio.current_time() < 151.0
        nursery.cancel_scope.cancel()
    assert listener.tries <= 150 * 10 + 5
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line.name for line in lines] == ["voicecore.net"] * 3
    assert all(says in line.getMessage() and line.exc_info is None for line in lines)


async def test_a_process_without_descriptors_recovers_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The real limit of this process: one line, and answers again as soon as one descriptor is free."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    listening = await RealNetwork().listen("127.0.0.1", 0)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listening.listeners, app)
            stream = await RealNetwork().open_stream("127.0.0.1", listening.port, tls=False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
            _take_all(taken)
            os.close(taken.pop())
            second = await RealNetwork().open_stream("127.0.0.1", listening.port, tls=False)  # takes that one
            with trio.fail_after(5):
                while not caplog.records:
                    await trio.lowlevel.checkpoint()
            _give_back(taken)
            with trio.fail_after(5):
                for each in (stream, second):
                    await each.send_all(GET)
                    assert b"200" in await each.receive_some()
                    await each.aclose()
            nursery.cancel_scope.cancel()
    finally:
        _give_back(taken)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = caplog.records
    assert "ulimit -n" in line.getMessage()


def _take_all(taken: list[int]) -> None:
    with pytest.raises(OSError, match="Too many open files"):  # noqa: PT012 - the one that is too many
        while True:
            taken.append(os.dup(0))


def _give_back(taken: list[int]) -> None:
    while taken:
        os.close(taken.pop())
