"""The real network: TCP and TLS streams, listening ports.

Rule 1: one TLS context a process; building one takes 16 to 20 ms, a whole frame.
Rule 2: no delay for small packets: a frame of speech is one.

Implements `voicecore.world.Network`; put into the World in assembly.py.
"""

from __future__ import annotations

import functools
import ssl

import trio

from voicecore.errors import ConnectionLost
from voicecore.world import Listening


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's client context: the system's certificates, host names checked."""
    return ssl.create_default_context()


class RealNetwork:
    """The operating system's sockets."""

    async def open_stream(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `voicecore.world.Network`."""
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise ConnectionLost("could not be reached", peer=f"{host}:{port}") from error
        if not tls:
            return stream
        secured = trio.SSLStream(stream, tls_context(), server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise ConnectionLost("refused TLS, or is not who it says", peer=f"{host}:{port}") from error
        except trio.Cancelled:
            await trio.aclose_forcefully(stream)
            raise
        return secured

    async def listen(self, host: str, port: int) -> Listening:
        """See `voicecore.world.Network`."""
        listeners = await trio.open_tcp_listeners(port, host=host)
        return Listening(listeners, listeners[0].socket.getsockname()[1])
