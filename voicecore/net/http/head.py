"""The head of an HTTP request, line by line, stricter than h11: no two readers can take it for different requests.

h11 lets pass a bare LF, a folded header, a second Content-Length and a
Content-Length beside a Transfer-Encoding.  A proxy in front of us may read each
of them otherwise, and take one request for two (RFC 9112, section 11.2).

Rule 1: what can be read in two ways is refused with 400.
Rule 2: what is too long is refused as soon as that is known, with 414 or 431.
Rule 3: the host that a request names, in its target or beside it, decides nothing.

Sans-IO; used by net/http/server_connection.py.
"""

from __future__ import annotations

import re

from voicecore.net.http.messages import BadRequest, ServerLimits

_SCHEMES = ("http://", "https://")
_ABSOLUTE = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(:[0-9]{0,5})?(?P<rest>[/?][^#]*)?", re.IGNORECASE)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class HeadLines:
    """The lines of one request's head, judged as they come."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._lines: list[bytes] = []  # bounded by head_bytes
        self._bytes = 0
        self._has_framing = False

    @property
    def have_begun(self) -> bool:
        """Whether a line has been taken."""
        return bool(self._lines)

    def take(self, buffer: bytearray) -> bytes | None:
        """Take whole lines off the buffer; return the head once its blank line is there.

        Raises:
            BadRequest: 400 for what can be read in two ways, 414 and 431 for what is too long.
        """
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            if not line.endswith(b"\r") or b"\r" in line[:-1]:
                raise BadRequest(400)
            self._add(line[:-1])
            if line == b"\r":
                return b"\r\n".join([*self._lines, b""])
        if len(buffer) > self._limits.line_bytes + 1:
            raise self._too_long()
        return None

    def _add(self, line: bytes) -> None:
        self._bytes += len(line) + 2
        if len(line) > self._limits.line_bytes or self._bytes > self._limits.head_bytes:
            raise self._too_long()
        if self._lines and line:
            self._judge_header(line)
        self._lines.append(line)

    def _judge_header(self, line: bytes) -> None:
        if len(self._lines) > self._limits.max_headers:
            raise BadRequest(431)
        if line.startswith((b" ", b"\t")):  # the previous header goes on here for some readers
            raise BadRequest(400)
        raw_name, _, value = line.partition(b":")
        name = raw_name.rstrip().lower()
        if name in _FRAMING:
            if self._has_framing or (name == b"content-length" and not value.strip().isdigit()):
                raise BadRequest(400)  # two opinions on where the body ends
            self._has_framing = True

    def _too_long(self) -> BadRequest:
        return BadRequest(431 if self._lines else 414)


def path_and_query(target: str) -> tuple[str, str]:
    """Return where a request goes: of its own path, or of the one in a whole URL, as a client says it to a proxy.

    RFC 9112, section 3.2.2: a server takes both.

    Raises:
        BadRequest: 400 for a URL of another shape: without a host, with a user name, with a fragment.
    """
    if target.lower().startswith(_SCHEMES):
        if (absolute := _ABSOLUTE.fullmatch(target)) is None:
            raise BadRequest(400)
        rest = absolute["rest"] or "/"
        target = rest if rest.startswith("/") else f"/{rest}"
    path, _, query = target.partition("?")
    return path, query
