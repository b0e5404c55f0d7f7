"""A tunnel or reverse proxy between carrier and application: it terminates TLS and rewrites requests.

    carrier ── https://voice.example.test/prefix/… ──► tunnel ── http://127.0.0.1:…/… ──► application

Rule 1: it listens where the public URL points, so that whoever uses that URL goes through it.
Rule 2: what the carrier signed stays as it was: method, path below the prefix, query and the form's values.
Rule 3: after the head of an answer, bytes are passed on unchanged both ways until both sides have ended.

Facts: docs/protocols/twilio-media-streams.md, sections 2 and 11.
Simulated worlds only: there, any host can be listened on.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.nurseries import open_service_nursery
from voicecore.world import ByteStream, World

_PIECE_BYTES = 97
_PIECE_S = 0.01  #: between two pieces of a request
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class RequestForm(enum.Enum):
    """How a request with a body is written; a request without one is passed on as usual."""

    USUAL = "usual"
    HTTP_1_0 = "HTTP/1.0"  #: with Connection: close, as nginx does by default
    CHUNKED = "chunked"
    EXPECT = "expect"  #: the body is sent once the application has answered 100 Continue
    PIECES = "pieces"  #: head and body cut anywhere, each piece a moment after the last
    ABSOLUTE = "absolute"  #: a whole URL as the target
    CHARSET = "charset"  #: another spelling of the content type, with a charset
    PERCENT_20 = "%20"  #: instead of each +


@attrs.frozen(kw_only=True)
class TunnelSettings:
    """What a tunnel does with requests."""

    public_url: str
    """Where it listens; a path in it is the prefix."""
    strips_prefix: bool = True
    """Whether the application sees paths without the prefix; others are answered with 404 then."""
    form: RequestForm = RequestForm.USUAL
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Additional header fields for each request, names in lower case; those that the client sent win."""


@attrs.frozen
class ForwardedRequest:
    """One forwarded request: both heads, as the application read and wrote them."""

    request: bytes = attrs.field(repr=False)
    answer: bytes = attrs.field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return int(self.answer.split(b" ", 2)[1])


@asynccontextmanager
async def open_tunnel(world: World, upstream_url: str, settings: TunnelSettings) -> AsyncIterator[Tunnel]:
    """Forward requests to ``upstream_url`` while the block runs; leaving it ends every connection. Raises OSError."""
    public = urlsplit(settings.public_url)
    port = public.port or (443 if public.scheme == "https" else 80)
    listening = await world.network.listen(public.hostname or "", port)
    tunnel = Tunnel(world, upstream_url, settings)
    async with open_service_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, tunnel.carry, list(listening.listeners)))
        yield tunnel


class Tunnel:
    """A running tunnel. Made by `open_tunnel`."""

    def __init__(self, world: World, upstream_url: str, settings: TunnelSettings) -> None:
        self.forwarded: list[ForwardedRequest] = []
        """Every request that was answered, in the order of the answers."""
        self._world = world
        self._upstream = urlsplit(upstream_url)
        self._settings = settings

    async def carry(self, wire: ByteStream) -> None:
        """Serve one connection to its end."""
        async with wire:
            client = _Side(wire)
            try:
                head = await client.read_head()
                if head:
                    await self._pass_on(client, _Request.parse(head))
            except _GONE:
                return  # the other side is closed as well

    async def _pass_on(self, client: _Side, request: _Request) -> None:
        body = await client.read_exactly(int(request.fields.get("content-length", "0")))
        try:
            host, port = self._upstream.hostname or "", self._upstream.port or 80
            wire = await self._world.network.open_stream(host, port, tls=False)
        except ConnectionLost:
            await client.wire.send_all(_BAD_GATEWAY)
            return
        async with wire:
            server, form = _Side(wire), self._settings.form if body else RequestForm.USUAL
            head, body = _written(self._changed(request), body, form)
            answer = await _ask(server, head, body, form)
            if not answer:
                return
            self.forwarded.append(ForwardedRequest(head, answer))
            await client.wire.send_all(answer)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, server.wire)
                nursery.start_soon(_pump, server, client.wire)

    def _changed(self, request: _Request) -> _Request:
        """Return a request as the application receives it."""
        public = urlsplit(self._settings.public_url)
        added = {
            "x-forwarded-for": "198.51.100.7",
            "x-forwarded-host": public.netloc,
            "x-forwarded-proto": public.scheme,
            **self._settings.headers,
        }
        target = request.target.removeprefix(public.path) if self._settings.strips_prefix else request.target
        return attrs.evolve(request, target=target, fields={**added, **request.fields, "accept-encoding": "gzip"})


@attrs.frozen
class _Request:
    """The head of a request; names of fields in lower case, as HTTP/2 has them."""

    method: str
    target: str
    fields: Mapping[str, str]
    version: str = "1.1"

    @classmethod
    def parse(cls, head: bytes) -> _Request:
        line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ")
        pairs = [each.partition(":") for each in rest]
        return cls(method, target, {name.lower(): value.strip() for name, _, value in pairs})

    def write(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/{self.version}", *map(": ".join, self.fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def changed(self, **fields: str) -> _Request:
        """Return the same request with other values of some fields; underscores are written as hyphens."""
        return attrs.evolve(self, fields={**self.fields, **{name.replace("_", "-"): v for name, v in fields.items()}})


def _written(request: _Request, body: bytes, form: RequestForm) -> tuple[bytes, bytes]:
    """Return head and body of a request in a form."""
    match form:
        case RequestForm.HTTP_1_0:
            request = attrs.evolve(request.changed(connection="close"), version="1.0")
        case RequestForm.CHUNKED:
            fields = {name: value for name, value in request.fields.items() if name != "content-length"}
            request = attrs.evolve(request, fields={**fields, "transfer-encoding": "chunked"})
            halves = (body[: len(body) // 2], body[len(body) // 2 :], b"")
            body = b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves)
        case RequestForm.EXPECT:
            request = request.changed(expect="100-continue")
        case RequestForm.ABSOLUTE:
            request = attrs.evolve(request, target=f"http://{request.fields['host']}{request.target}")
        case RequestForm.CHARSET:
            request = request.changed(content_type="Application/X-WWW-Form-URLEncoded; charset=UTF-8")
        case RequestForm.PERCENT_20:
            body = body.replace(b"+", b"%20")
            request = request.changed(content_length=str(len(body)))
    return request.write(), body


async def _ask(server: _Side, head: bytes, body: bytes, form: RequestForm) -> bytes:
    """Send a request, and return the head of its answer."""
    whole = head + body
    if form is RequestForm.EXPECT:
        await server.wire.send_all(head)
        answer = await server.read_head()
        if answer.split(b" ", 2)[1:2] != [b"100"]:
            return answer  # decided without the body
        whole = body
    size = _PIECE_BYTES if form is RequestForm.PIECES else max(len(whole), 1)
    for begin in range(0, len(whole), size):
        if begin:
            await trio.sleep(_PIECE_S)
        await server.wire.send_all(whole[begin : begin + size])
    return await server.read_head()


class _Side:
    """One side's connection, with what was read ahead."""

    def __init__(self, wire: ByteStream) -> None:
        self.wire = wire
        self._unread = b""

    async def read_head(self) -> bytes:
        """Return a head with its blank line; b"" where the side ended first."""
        while b"\r\n\r\n" not in self._unread:
            if not await self._read_more():
                return b""
        head, end, self._unread = self._unread.partition(b"\r\n\r\n")
        return head + end

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes. Raises trio.BrokenResourceError where the side ended first."""
        while len(self._unread) < size:
            if not await self._read_more():
                raise trio.BrokenResourceError("ended within a body")
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    async def read_some(self) -> bytes:
        """Return what comes next; b"" at the end."""
        data, self._unread = self._unread, b""
        return data or await self.wire.receive_some()

    async def _read_more(self) -> bytes:
        data = await self.wire.receive_some()
        self._unread += data
        return data


async def _pump(source: _Side, sink: ByteStream) -> None:
    """Pass on what comes until the side ends, and that end too; a broken connection closes the other one."""
    try:
        while data := await source.read_some():
            await sink.send_all(data)
        await sink.send_eof()
    except _GONE:
        source.wire.close_now()
        sink.close_now()
