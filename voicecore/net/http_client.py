"""HTTP requests: httpx, on the World's network and within bounds.

Rule 1: connections come from the World, so that a request works in virtual time
on memory streams as it does on sockets; TLS is the network's business.
Rule 2: an answer is capped while it is read, never unpacked, and never followed
to another place: credentials go where they were sent and nowhere else.
Rule 3: foreign errors become `ConnectionLost`, without URL or headers.

Used by carriers (REST) and the carrier twin (webhooks).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import attrs
import httpcore
import httpx
import trio

from voicecore.errors import ConnectionLost
from voicecore.world import Network


@attrs.frozen(kw_only=True)
class HttpLimits:
    """Bounds of one request; seconds and bytes."""

    connect_s: float = 5.0
    request_s: float = 15.0
    """The whole of it, from the first byte sent to the last one read."""
    answer_bytes: int = 2**20


@attrs.frozen
class HttpAnswer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


class HttpClient:
    """Sends requests. Made by `open_http_client`."""

    def __init__(self, client: httpx.AsyncClient, limits: HttpLimits) -> None:
        self._client = client
        self._limits = limits

    async def post_form(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a form and return the answer, whatever its status.

        Raises:
            ConnectionLost: No answer, not in time, or one that is too large.
        """
        request = self._client.build_request("POST", url, data=dict(fields), headers=dict(headers or {}))
        peer = request.url.host
        with trio.move_on_after(self._limits.request_s):
            try:
                return await self._send(request, httpx.BasicAuth(*auth) if auth else None)
            except httpx.HTTPError as error:
                raise ConnectionLost("did not answer an HTTP request", peer=peer) from error
        raise ConnectionLost(f"did not answer within {self._limits.request_s} s", peer=peer)

    async def _send(self, request: httpx.Request, auth: httpx.Auth | None) -> HttpAnswer:
        response = await self._client.send(request, stream=True, auth=auth, follow_redirects=False)
        try:
            body = bytearray()
            async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as pieces:
                async for piece in pieces:
                    body += piece
                    if len(body) > self._limits.answer_bytes:
                        raise ConnectionLost("sent an answer that is too large", peer=request.url.host)
        finally:
            await response.aclose()
        return HttpAnswer(response.status_code, response.headers, bytes(body))


@asynccontextmanager
async def open_http_client(network: Network, limits: HttpLimits | None = None) -> AsyncIterator[HttpClient]:
    """Open a client; leaving the block closes its connections."""
    limits = limits or HttpLimits()
    transport = _Transport(network, limits)
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(
        transport=transport, headers=headers, timeout=limits.request_s, trust_env=False
    ) as client:
        yield HttpClient(client, limits)


class _Transport(httpx.AsyncBaseTransport):
    """httpx's own transport knows only real sockets; this one asks the World."""

    def __init__(self, network: Network, limits: HttpLimits) -> None:
        # A connection that idles may be closed by its peer in the instant in which it is used again, and a
        # request that may not be repeated is then lost.  Requests are rare here: each has its own connection.
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=_Backend(network, limits), max_keepalive_connections=0
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        wire = httpcore.Request(request.method, url, headers=request.headers.raw, content=_Content(request.content))
        try:
            response = await self._pool.handle_async_request(wire)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise httpx.TransportError(type(error).__name__, request=request) from error
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Content:
    """A request's body in one piece; an iterator, because a cancelled generator would be left unfinished."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body] if body else []

    def __aiter__(self) -> _Content:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.aiter_stream():
                yield piece
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise httpx.ReadError(type(error).__name__) from error

    async def aclose(self) -> None:
        await self._response.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: Network, limits: HttpLimits) -> None:
        self._network = network
        self._limits = limits

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        return _Connection(self._network, host, port, timeout or self._limits.connect_s)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Connection(httpcore.AsyncNetworkStream):
    """Connects when it is known whether TLS is wanted: the network does both in one."""

    def __init__(self, network: Network, host: str, port: int, connect_s: float) -> None:
        self._network = network
        self._host, self._port, self._connect_s = host, port, connect_s
        self._stream: trio.abc.Stream | None = None

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002
        server_hostname: str | None = None,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        await self._open(tls=True)
        return self

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        stream = await self._open(tls=False)
        try:
            return bytes(await stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        stream = await self._open(tls=False)
        try:
            await stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        return None

    async def _open(self, *, tls: bool) -> trio.abc.Stream:
        if self._stream is None:
            try:
                with trio.fail_after(self._connect_s):
                    self._stream = await self._network.open_stream(self._host, self._port, tls=tls)
            except (ConnectionLost, trio.TooSlowError) as error:
                raise httpcore.ConnectError from error
        return self._stream
