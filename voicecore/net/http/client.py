"""HTTP requests on the World's network and within bounds: httpx builds them, httpcore sends them.

Rule 1: connections come from the World, so that a request works in virtual time
on memory streams as it does on sockets; TLS is the network's business.
Rule 2: an answer is capped while it is read, never decompressed, and redirects are not
followed: credentials go where they were sent and nowhere else.
Rule 3: a connection serves one request.  Requests are few, and one on a reused
connection that the peer is just closing fails without telling whether it took
effect: neither placing nor ending a call may be left to a guess.
Rule 4: foreign errors become `ConnectionLost`, without URL or headers.

Why not httpx's own client and transport on the real network:
- the client logs every URL, account ids and media tokens included;
- a request that is cancelled leaves its body's async generator unfinished (at 2 of 21
  steps of a small POST), which Trio reports as a ResourceWarning; ours has none;
- there would be two paths, and the simulated worlds would not test the one that speaks
  to real peers.  Below the one `_Backend` everything is httpcore in both.
Reuse of connections is not lost, because of Rule 3; the CPU differs by 5 %.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import attrs
import httpcore
import httpx
import trio

from voicecore.errors import ConnectionLost, LocalProtocolError, NotConnected
from voicecore.net.http.headers import encode_headers
from voicecore.world import Network

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_PEER_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError)

Form = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
"""A form; a name with several values is written once for each."""


@attrs.frozen(kw_only=True)
class HttpLimits:
    """Bounds of requests; seconds, bytes and counts."""

    connect_s: float = 5.0
    """Name lookup, TCP and TLS."""
    request_s: float = 15.0
    """The whole of a request, from before connecting to the last byte read."""
    answer_bytes: int = 2**20
    """Of a whole answer as it comes over the wire, head included."""
    max_connections: int = 64
    """Requests under way at the same time; others wait, within ``request_s``."""


@attrs.frozen
class HttpAnswer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    """Names are found in any case."""
    body: bytes = attrs.field(repr=False)


class HttpClient:
    """Sends requests. Made by `open_http_client`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, limits: HttpLimits) -> None:
        self._pool = pool
        self._limits = limits

    async def post_form(
        self,
        url: str,
        fields: Form,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a form and return the answer, whatever its status.

        ``auth`` is user name and password. Cancelled, the request may or may not have taken effect.

        Raises:
            LocalProtocolError: The URL is not one, or a header may not be sent.
            NotConnected: No connection could be made; nothing was sent.
            ConnectionLost: No answer, not in time, or one that is too large or packed.
        """
        return await self._within_bounds(_form_request(url, fields, headers or {}, auth))

    async def get(self, url: str, *, auth: tuple[str, str] | None = None) -> HttpAnswer:
        """Fetch a URL and return the answer, whatever its status. Raises as `post_form` does."""
        return await self._within_bounds(_request("GET", url, [], b"", auth))

    async def _within_bounds(self, request: httpx.Request) -> HttpAnswer:
        with trio.move_on_after(self._limits.request_s):
            return await self._exchange(request)
        raise ConnectionLost(f"did not answer within {self._limits.request_s:g} s", peer=_peer(request))

    async def _exchange(self, request: httpx.Request) -> HttpAnswer:
        url = request.url
        wire_url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        body_out = _WholeBody(request.content)
        wire_request = httpcore.Request(request.method, wire_url, headers=request.headers.raw, content=body_out)
        try:
            response = await self._pool.handle_async_request(wire_request)
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except _PEER_ERRORS as error:
            raise ConnectionLost("did not answer an HTTP request", peer=_peer(request)) from error
        headers = httpx.Headers(response.headers)
        if headers.get("content-encoding", "identity") != "identity":
            raise ConnectionLost("sent a packed answer although none was asked for", peer=_peer(request))
        return HttpAnswer(response.status, headers, body)


class _WholeBody:
    """A request's body in one piece; no generator, because a cancelled request would leave one unfinished."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body] if body else []

    def __aiter__(self) -> _WholeBody:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


@asynccontextmanager
async def open_http_client(network: Network, limits: HttpLimits | None = None) -> AsyncIterator[HttpClient]:
    """Open a client; leaving the block closes its connections."""
    limits = limits or HttpLimits()
    async with httpcore.AsyncConnectionPool(
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # never used: the network has its own
        max_connections=limits.max_connections,
        max_keepalive_connections=0,
        network_backend=_Backend(network, limits),
    ) as pool:
        yield HttpClient(pool, limits)


def _form_request(url: str, fields: Form, headers: Mapping[str, str], auth: tuple[str, str] | None) -> httpx.Request:
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    content = urlencode(list(pairs), doseq=True).encode("ascii")
    given = [*encode_headers(headers.items()), (b"content-type", b"application/x-www-form-urlencoded")]
    return _request("POST", url, given, content, auth)


def _request(
    method: str, url: str, headers: Sequence[tuple[bytes, bytes]], content: bytes, auth: tuple[str, str] | None
) -> httpx.Request:
    ours = [(b"accept-encoding", b"identity"), (b"connection", b"close")]
    try:
        request = httpx.Request(method, url, content=content, headers=[*headers, *ours])
    except httpx.InvalidURL:
        raise LocalProtocolError("a URL that cannot be read") from None
    if request.url.scheme not in {"http", "https"} or not request.url.host:
        raise LocalProtocolError("a URL for a request begins with http:// or https:// and names a host")
    return next(httpx.BasicAuth(*auth).sync_auth_flow(request)) if auth else request


def _peer(request: httpx.Request) -> str:
    return request.url.netloc.decode("ascii")


class _Backend(httpcore.AsyncNetworkBackend):
    """httpcore's way to the network."""

    def __init__(self, network: Network, limits: HttpLimits) -> None:
        self._network = network
        self._limits = limits

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        return _Connection(self._network, host, port, self._limits)


class _Connection(httpcore.AsyncNetworkStream):
    """Connects when it is known whether TLS is wanted: the network does both in one."""

    def __init__(self, network: Network, host: str, port: int, limits: HttpLimits) -> None:
        self._network = network
        self._host, self._port = host, port
        self._limits = limits
        self._read_bytes = 0
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
            data = bytes(await stream.receive_some(max_bytes))
        except _GONE as error:
            raise httpcore.ReadError from error
        self._read_bytes += len(data)
        if self._read_bytes > self._limits.answer_bytes:
            raise ConnectionLost("sent an answer that is too large", peer=f"{self._host}:{self._port}")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        stream = await self._open(tls=False)
        try:
            await stream.send_all(buffer)
        except _GONE as error:  # by this name httpcore goes on to read: the answer may be there already
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        return None

    async def _open(self, *, tls: bool) -> trio.abc.Stream:
        """Return the stream; the first call decides about TLS."""
        if self._stream is None:
            peer = f"{self._host}:{self._port}"
            try:
                with trio.move_on_after(self._limits.connect_s):
                    self._stream = await self._network.open_stream(self._host, self._port, tls=tls)
            except ConnectionLost as lost:
                raise NotConnected(lost.problem, peer=lost.peer) from lost
            if self._stream is None:
                raise NotConnected(f"no connection within {self._limits.connect_s:g} s", peer=peer)
        return self._stream
