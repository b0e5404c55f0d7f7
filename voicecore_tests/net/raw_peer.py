"""WebSocket servers that misbehave at will: wsproto on a raw stream, nothing automatic.

Used by the tests of dialling.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from voicecore.world import Network

HOST = "127.0.0.1"
SECRET_PATH = "/secret-path?token=secret-query"

_PATIENCE_S = 5.0  #: for the handler, once the test has done its part

Handler = Callable[["RawPeer"], Awaitable[None]]


class RawPeer:
    """The server's end of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.seen: list[Event] = []
        """What the client sent, in order; an end without a close frame is a close with 1006."""
        self._ws = WSConnection(ConnectionType.SERVER)
        self._unread: list[Event] = []

    async def accept(self) -> None:
        assert isinstance(await self.next(), Request)
        await self.send(AcceptConnection())

    async def next(self) -> Event:
        while not self._unread:
            try:
                data: bytes | None = bytes(await self.stream.receive_some()) or None
            except trio.BrokenResourceError:
                data = None
            self._ws.receive_data(data)
            self._unread += list(self._ws.events())
            if data is None and not self._unread:
                raise trio.BrokenResourceError("the client ended before its upgrade")
        self.seen.append(self._unread.pop(0))
        return self.seen[-1]

    async def send(self, *events: Event) -> None:
        await self.raw(b"".join(self._ws.send(event) for event in events))

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_request(self) -> None:
        """Read the upgrade request without answering it."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await self.stream.receive_some()
            assert piece, "the client ended before its upgrade"
            data += piece

    async def wait_closed(self) -> CloseConnection:
        """Read until the client closes, and return how."""
        while not isinstance(event := await self.next(), CloseConnection):
            pass
        return event

    async def answer_close(self) -> CloseConnection:
        """As `wait_closed`, and answer as a server should."""
        event = await self.wait_closed()
        if event.code != 1006:
            await self.send(event.response())
        return event

    async def echo(self) -> None:
        """Accept, send back what comes, answer pings and the close."""
        await self.accept()
        while True:
            event = await self.next()
            if isinstance(event, TextMessage | Ping):
                with suppress(LocalProtocolError):  # its close came together with this
                    await self.send(event if isinstance(event, TextMessage) else event.response())
            elif isinstance(event, CloseConnection):
                if event.code != 1006:
                    await self.send(event.response())
                return

    @property
    def texts(self) -> list[str]:
        return [event.data for event in self.seen if isinstance(event, TextMessage)]


@asynccontextmanager
async def raw_server(network: Network, handler: Handler, scheme: str = "ws") -> AsyncIterator[str]:
    """Serve one connection with ``handler``, then close it; yields the URL."""
    listening = await network.listen(HOST, 0)

    async def serve() -> None:
        stream = await listening.listeners[0].accept()
        try:
            await handler(RawPeer(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client was quicker
        finally:
            await trio.aclose_forcefully(stream)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield f"{scheme}://{HOST}:{listening.port}{SECRET_PATH}"
            nursery.cancel_scope.deadline = trio.current_time() + _PATIENCE_S
    finally:
        for listener in listening.listeners:
            await trio.aclose_forcefully(listener)
