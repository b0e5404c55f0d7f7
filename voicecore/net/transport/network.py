"""The real network: TCP and TLS connections, listening ports.

Trio connects (several addresses of a name side by side) and accepts; from there
on net/transport/tcp.py has the socket, and net/transport/tls.py the TLS above it.

Rule 1: one TLS context a process; building one takes 16 to 20 ms, a whole frame.
Rule 2: no delay for small packets: a frame of speech is one.  Trio sets
TCP_NODELAY on every socket that it connects or accepts; a test keeps an eye on it.

Implements `voicecore.world.Network`; put into the World in assembly.py.
"""

from __future__ import annotations

import functools
import ssl
from contextlib import ExitStack

import trio

from voicecore.errors import ConnectionLost
from voicecore.net.transport.failures import why_no_tls, why_not_connected, why_not_listening
from voicecore.net.transport.tcp import TcpListener, TcpStream
from voicecore.net.transport.tls import TlsStream
from voicecore.world import ByteStream, Listening, WebSocketTransport


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's client context: the system's certificates, host names checked."""
    context = ssl.create_default_context()
    context.options |= ssl.OP_NO_RENEGOTIATION  # of TLS 1.2: a write would have to wait for a read
    return context


class RealNetwork:
    """The operating system's sockets.

    ``tls`` is whom to trust as a server; None: the system's certificates, read at
    the first TLS connection.  ``websocket`` is how WebSockets are opened.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, websocket: WebSocketTransport = WebSocketTransport.OWN
    ) -> None:
        self.websocket = websocket
        self._tls = tls

    async def open_stream(self, host: str, port: int, *, tls: bool) -> ByteStream:
        """See `voicecore.world.Network`."""
        try:
            wire = TcpStream.taken_from(await trio.open_tcp_stream(host, port))
        except (OSError, UnicodeError) as error:  # the latter for names that cannot be looked up
            raise ConnectionLost(why_not_connected(error, host), peer=f"{host}:{port}") from error
        return await self._secured(wire, host, port) if tls else wire

    async def _secured(self, wire: TcpStream, host: str, port: int) -> TlsStream:
        with ExitStack() as undo:
            undo.callback(wire.close_now)
            try:
                secured = TlsStream(wire, self._tls or tls_context(), host)
                await secured.shake_hands()
            except (trio.BrokenResourceError, ValueError) as error:  # the latter for names that TLS cannot carry
                raise ConnectionLost(why_no_tls(error, host), peer=f"{host}:{port}") from error
            undo.pop_all()
        return secured

    async def listen(self, host: str, port: int) -> Listening:
        """See `voicecore.world.Network`.

        A name with several addresses and port 0 would get several ports; only the
        first address is served then.
        """
        try:
            listeners = [TcpListener(each) for each in await trio.open_tcp_listeners(port, host=host)]
        except OSError as error:
            raise OSError(error.errno, why_not_listening(error, host, port)) from error
        for each in listeners:
            if each.port != listeners[0].port:
                await each.aclose()
        return Listening([each for each in listeners if each.port == listeners[0].port], listeners[0].port)
