"""The error tree: whose fault it was, and what the catcher can do.

    VoicecoreError
    ├── LocalProtocolError    our own code asked for what the state does not allow
    ├── RemoteProtocolError   a peer sent something illegal: .peer, .field, .excerpt
    ├── ConnectionLost        a socket ended under us: .peer, .code, .reason
    │   └── NotConnected      it was never open: nothing was sent
    ├── CarrierError
    │   ├── CarrierRefused      the carrier said no: .status, .code
    │   ├── CarrierUnavailable  was never asked: nothing has happened
    │   ├── CarrierUncertain    was asked and did not answer: it may have happened
    │   └── LegLost           the media stream ended without a stop
    ├── ProviderError
    │   ├── ProviderUnavailable   could not be reached in time: worth another try
    │   ├── ProviderRefused       said no: .status, .code, .retryable
    │   └── SessionLost           the session ended under us: .code
    ├── EngineBusy            no more calls are taken
    └── ConfigError           a setting is wrong: .key (dotted)

Rule 1: facts are fields, not words in the message; a message still says what
was wrong and what to do.
Rule 2: no secret, URL with credentials or raw payload ever enters a message; where
a peer says a secret back to us, it is taken out (`voicecore.secrets.scrubbed`).
Rule 3: foreign exceptions are mapped once, where they arise, and stay as
``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicecore.secrets import scrubbed

_EXCERPT_CHARS = 120
_MARGIN_CHARS = 256  #: of a text beyond its limit, so that a secret that begins before it is known for one


class VoicecoreError(Exception):
    """Base of everything that voicecore raises on purpose."""

    def __init__(self, *words: object) -> None:
        super().__init__(*(scrubbed(word) if isinstance(word, str) else word for word in words))


class LocalProtocolError(VoicecoreError):
    """Our side asked for something that the present state does not allow.

    A bug in voicecore or in the code that drives it; retrying cannot help.
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
    """A connection ended, or was never completed, for a reason on its far side.

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
    """No connection could be made, so nothing was sent: another try cannot do anything twice."""


class HandshakeRefused(ConnectionLost):
    """The peer answered the WebSocket upgrade with an HTTP status instead of 101.

    ``body`` is the beginning of its answer, raw; it may repeat what was sent, so it stands in no message.
    """

    def __init__(self, *, peer: str, status: int, body: bytes = b"") -> None:
        self.status = status
        self.body = body
        super().__init__(f"refused the WebSocket upgrade with HTTP status {status}", peer=peer)


class HandshakeTimeout(ConnectionLost):
    """The peer did not connect or did not answer the upgrade within its bound."""


class CarrierError(VoicecoreError):
    """Something went wrong on the carrier's side of a call."""


class CarrierRefused(CarrierError):
    """The carrier answered a request with an error: HTTP status and its own error number, where it gave one."""

    def __init__(self, message: str, *, status: int, code: int | None = None) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class CarrierUnavailable(CarrierError):
    """The carrier was never asked: no connection could be made. Asking again is safe."""


class CarrierUncertain(CarrierError):
    """The carrier was asked and gave no clear answer: what was asked may have happened.

    Asking again might do it twice; the carrier's status callbacks tell what is true.
    """


class LegLost(CarrierError):
    """The carrier's media stream ended without a stop message; the call is over."""


class ProviderError(VoicecoreError):
    """Something went wrong on the provider's side of a call."""


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, or did not answer in time; retrying may help."""


class ProviderRefused(ProviderError):
    """The provider answered, and the answer was no.

    ``status`` is the HTTP status of a refused upgrade, ``code`` the provider's
    own error code; ``retryable`` says if another try can succeed unchanged.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, retryable: bool = False
    ) -> None:
        self.status = status
        self.code = code
        self.retryable = retryable
        super().__init__(message)


class SessionLost(ProviderError):
    """An open session ended under us; ``code`` is the close code when there was one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        self.code = code
        super().__init__(message)


class EngineBusy(VoicecoreError):
    """The engine takes no more calls now: it is full, or it is closing."""


class ConfigError(VoicecoreError):
    """A setting is missing or wrong; ``key`` is its dotted name."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        super().__init__(f"{key}: {problem}")


def first_cause(failure: BaseException) -> BaseException:
    """Return the one exception of a group that says most: an unknown one before our own, the earliest first."""
    leaves = list(_leaves(failure))
    return next((leaf for leaf in leaves if not isinstance(leaf, VoicecoreError)), leaves[0])


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        for inner in failure.exceptions:
            yield from _leaves(inner)
    else:
        yield failure


def printable(text: str, limit_chars: int = _EXCERPT_CHARS) -> str:
    """Return ``text`` fit for a log line: without secrets, cut to the limit, control and format characters escaped."""
    shown = scrubbed(text[: limit_chars + _MARGIN_CHARS])
    fits = len(shown) <= limit_chars and len(text) <= limit_chars + _MARGIN_CHARS
    cut = shown if fits else shown[:limit_chars] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def pieces(text: str, limit_bytes: int) -> list[str]:
    """Return ``text`` without secrets, in pieces of ``limit_bytes`` of UTF-8 at most; joined they are all of it."""
    rest, found = scrubbed(text).encode("utf-8", "backslashreplace"), []
    while rest:
        end = min(limit_bytes, len(rest))
        while end < len(rest) and rest[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        found.append(rest[:end].decode())
        rest = rest[end:]
    return found or [""]
