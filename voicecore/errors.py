"""Exceptions that voicecore raises, by the side that failed.

    VoicecoreError
    ├── LocalProtocolError    our own code asked for something that the state does not allow
    ├── RemoteProtocolError   a peer sent something illegal: .peer, .field, .excerpt
    ├── ConnectionLost        a connection ended or broke: .peer, .code, .reason
    │   └── NotConnected      it was never open: nothing was sent
    ├── CarrierError
    │   ├── CarrierRefused      the carrier refused a request: .status, .code
    │   ├── CarrierUnavailable  the request never reached it: nothing has happened
    │   ├── CarrierUncertain    the request got no clear answer: it may have been carried out
    │   └── LegLost           the media stream ended without a stop
    ├── ProviderError
    │   ├── ProviderUnavailable   could not be reached in time: a retry may succeed
    │   ├── ProviderRefused       refused the session: .status, .code, .retryable
    │   └── SessionLost           an open session ended or broke: .code
    ├── EngineBusy            the engine takes no more calls
    └── ConfigError           a setting is wrong: .key (dotted)

Rule 1: details are fields, not only words in the message; the message says what
was wrong and what to do.
Rule 2: no secret, URL with credentials or raw payload ever enters a message; a
secret that a peer repeats is removed (`voicecore.secrets.scrubbed`).
Rule 3: exceptions of other libraries are converted once, where they arise, and
kept as ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicecore.secrets import scrubbed

_EXCERPT_CHARS = 120
_MARGIN_CHARS = 256  #: read beyond a limit, so that a secret that crosses the limit is recognised


class VoicecoreError(Exception):
    """Base of all exceptions that voicecore raises on purpose."""

    def __init__(self, *words: object) -> None:
        super().__init__(*(scrubbed(word) if isinstance(word, str) else word for word in words))


class LocalProtocolError(VoicecoreError):
    """Our side asked for something that the current state does not allow.

    It is a bug in voicecore or in the calling code; retrying cannot help.
    """


class RemoteProtocolError(VoicecoreError):
    """A peer sent something that its protocol does not allow.

    ``field`` is the dotted path of the offending field ("" when the whole
    message is at fault); ``excerpt`` is a short, printable piece of it.
    """

    def __init__(self, problem: str, *, peer: str, field: str = "", excerpt: str = "") -> None:
        self.problem = problem
        self.peer = peer
        self.field = field
        self.excerpt = printable(excerpt)
        where = f"{field}: " if field else ""
        shown = f" (in {self.excerpt!r})" if excerpt else ""
        super().__init__(f"{peer} sent an illegal message: {where}{problem}{shown}")


class ConnectionLost(VoicecoreError):
    """A connection ended, or could not be established, for a reason outside this process.

    ``code`` is the WebSocket close code when the peer gave one.
    """

    def __init__(self, problem: str, *, peer: str, code: int | None = None, reason: str = "") -> None:
        self.problem = problem
        self.peer = peer
        self.code = code
        self.reason = printable(reason)
        shown = "" if code is None else f" (close code {code}{': ' if reason else ''}{self.reason})"
        super().__init__(f"{peer}: {problem}{shown}")


class NotConnected(ConnectionLost):
    """No connection could be made, so nothing was sent and a retry is safe."""


class HandshakeRefused(ConnectionLost):
    """The peer answered the WebSocket upgrade with an HTTP status instead of 101.

    ``body`` is the beginning of the response body, raw. It may repeat what was sent, so no message includes it.
    """

    def __init__(self, *, peer: str, status: int, body: bytes = b"") -> None:
        self.status = status
        self.body = body
        super().__init__(f"refused the WebSocket upgrade with HTTP status {status}", peer=peer)


class HandshakeTimeout(ConnectionLost):
    """The connection or the upgrade was not completed in time."""


class CarrierError(VoicecoreError):
    """Something went wrong on the carrier's side of a call."""


class CarrierRefused(CarrierError):
    """The carrier refused a request: ``status`` is the HTTP status, ``code`` the carrier's error number, if any."""

    def __init__(self, message: str, *, status: int, code: int | None = None) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class CarrierUnavailable(CarrierError):
    """The request never reached the carrier, because no connection could be made. A retry is safe."""


class CarrierUncertain(CarrierError):
    """The carrier gave no clear answer to a request, which may have been carried out.

    A retry might do it twice; the carrier's status callbacks show what happened.
    """


class LegLost(CarrierError):
    """The carrier's media stream ended without a stop message; the call is over."""


class ProviderError(VoicecoreError):
    """Something went wrong on the provider's side of a call."""


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, or did not answer in time; retrying may help."""


class ProviderRefused(ProviderError):
    """The provider refused a session or a request.

    ``status`` is the HTTP status of a refused upgrade, ``code`` the provider's
    own error code; ``retryable`` says whether the same request may succeed later.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, retryable: bool = False
    ) -> None:
        self.status = status
        self.code = code
        self.retryable = retryable
        super().__init__(message)


class SessionLost(ProviderError):
    """An open session ended unexpectedly; ``code`` is the WebSocket close code, if any."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        self.code = code
        super().__init__(message)


class EngineBusy(VoicecoreError):
    """The engine takes no more calls: it is at its limit, or it is closing."""


class ConfigError(VoicecoreError):
    """A setting is missing or wrong; ``key`` is its dotted name."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        super().__init__(f"{key}: {problem}")


def first_cause(failure: BaseException) -> BaseException:
    """Return the most telling exception of a group: the first that is not ours, or else the first."""
    leaves = list(_leaves(failure))
    return next((leaf for leaf in leaves if not isinstance(leaf, VoicecoreError)), leaves[0])


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        for inner in failure.exceptions:
            yield from _leaves(inner)
    else:
        yield failure


def printable(text: str, limit_chars: int = _EXCERPT_CHARS) -> str:
    """Return ``text`` for a log line: secrets removed, cut to the limit, unprintable characters escaped."""
    shown = scrubbed(text[: limit_chars + _MARGIN_CHARS])
    fits = len(shown) <= limit_chars and len(text) <= limit_chars + _MARGIN_CHARS
    cut = shown if fits else shown[:limit_chars] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def pieces(text: str, limit_bytes: int) -> list[str]:
    """Return ``text`` without secrets, split into pieces of at most ``limit_bytes`` of UTF-8."""
    rest, found = scrubbed(text).encode("utf-8", "backslashreplace"), []
    while rest:
        end = min(limit_bytes, len(rest))
        while end < len(rest) and rest[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        found.append(rest[:end].decode())
        rest = rest[end:]
    return found or [""]
