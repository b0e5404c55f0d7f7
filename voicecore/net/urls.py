"""WebSocket URLs taken apart once, with errors that show nothing of a URL's secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

from voicecore.errors import LocalProtocolError

_TARGET = re.compile(r"[!-~]+")  #: as h11 would refuse the rest, with the whole of it in its message
_SCHEMES = {"ws": False, "http": False, "wss": True, "https": True}


@attrs.frozen
class WebSocketUrl:
    """Where to connect, and what to ask for there."""

    host: str
    port: int
    tls: bool
    target: str = attrs.field(repr=False)
    """Path and query; may contain a token."""

    @property
    def origin(self) -> str:
        """``host:port``, as the Host header and logs show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_websocket_url(url: str) -> WebSocketUrl:
    """Read a ws(s) or http(s) URL.

    Raises:
        LocalProtocolError: Another scheme, no host, a bad port, credentials in the URL,
            or characters that are not escaped.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise LocalProtocolError("a WebSocket URL whose host or port cannot be read") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise LocalProtocolError("a WebSocket URL begins with ws://, wss://, http:// or https:// and names a host")
    if parts.username is not None:
        raise LocalProtocolError("a WebSocket URL must not contain credentials; pass them as a header")
    if not parts.hostname.isascii():
        raise LocalProtocolError("the host of a WebSocket URL must be in ASCII: write it as xn--…")
    tls = _SCHEMES[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise LocalProtocolError("path or query of a WebSocket URL contain characters that are not escaped")
    return WebSocketUrl(parts.hostname, port or (443 if tls else 80), tls, target)
