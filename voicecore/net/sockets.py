"""The real network: TCP and TLS streams, listening ports.

Rule 1: one TLS context a process; building one takes 16 to 20 ms, a whole frame.
Rule 2: no delay for small packets: a frame of speech is one.  Trio sets
TCP_NODELAY on every socket stream; a test keeps an eye on it.
Rule 3: an end of TLS without its own goodbye counts as an end, as everywhere on
the web: the protocols above know where their messages end.

Implements `voicecore.world.Network`; put into the World in assembly.py.
"""

from __future__ import annotations

import functools
import ssl
from contextlib import AsyncExitStack

import trio

from voicecore.errors import ConnectionLost
from voicecore.world import Listening


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's client context: the system's certificates, host names checked."""
    return ssl.create_default_context()


class RealNetwork:
    """The operating system's sockets.

    ``tls`` is whom to trust as a server; None: the system's certificates, read at
    the first TLS connection.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    async def open_stream(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `voicecore.world.Network`."""
        try:
            stream = await trio.open_tcp_stream(host, port)
        except (OSError, UnicodeError) as error:  # the latter for names that cannot be looked up
            raise ConnectionLost("could not be reached", peer=f"{host}:{port}") from error
        return await self._secured(stream, host, port) if tls else stream

    async def _secured(self, stream: trio.SocketStream, host: str, port: int) -> trio.abc.Stream:
        context = self._tls or tls_context()
        secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(trio.aclose_forcefully, stream)
            try:
                await secured.do_handshake()
            except trio.BrokenResourceError as error:
                raise ConnectionLost("refused TLS, or is not who it says", peer=f"{host}:{port}") from error
            undo.pop_all()
        return secured

    async def listen(self, host: str, port: int) -> Listening:
        """See `voicecore.world.Network`.

        A name with several addresses and port 0 would get several ports; only the
        first address is served then.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        ports = [listener.socket.getsockname()[1] for listener in listeners]
        for listener, its_port in zip(listeners, ports, strict=True):
            if its_port != ports[0]:
                listener.socket.close()
        return Listening(
            [each for each, its_port in zip(listeners, ports, strict=True) if its_port == ports[0]], ports[0]
        )
