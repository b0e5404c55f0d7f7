"""The kinds of values a setting may be: how its text is read, what is accepted.

A `Kind` is the attrs validator of its field, so that a value made in Python
passes the same check as one from the file, and `loader.py` finds the kind of a
key by looking at the field.

Rule 1: ``accept`` raises ValueError with the problem in words, nothing else.
Rule 2: a text is repeated in a problem only where a number or one of a few
words was expected: what stands elsewhere by mistake may be a secret.

Level 4.
"""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import attrs

from voicecore.errors import ConfigError, printable
from voicecore.secrets import Secret

T = TypeVar("T")

_SHOWN_CHARS = 40
_PUBLIC_URL_CHARS = 500  #: it stands in TwiML, whose length is bounded; & and quotes count as they are written there
_SHOWN_BITS = 64  #: larger integers are not written out; Python refuses beyond 4,300 digits
_ENCRYPTED = frozenset({"https", "wss"})
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+")
_ACCOUNT_SID = re.compile(r"AC[A-Za-z0-9]+")  # stands in URL paths
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


@attrs.frozen
class Kind(Generic[T]):
    """What one setting may be."""

    accept: Callable[[object], T]
    """Return the value in its final form. Raises ValueError saying what was expected."""
    parse: Callable[[str], object] = str
    """Turn the environment's text into a value; raises ValueError where it cannot."""

    def from_text(self, text: str) -> object:
        """Return the value that the text stands for, or the text itself for ``accept`` to refuse."""
        try:
            return self.parse(text)
        except ValueError:
            return text

    def __call__(self, _instance: object, attribute: attrs.Attribute[T], value: T) -> None:
        """Check a field, as attrs asks its validators to. Raises ConfigError naming the field."""
        try:
            self.accept(value)
        except ValueError as error:
            raise ConfigError(attribute.name, str(error)) from None


def _shown(value: object) -> str:
    """Return a value for a message, short and printable."""
    match value:
        case str():
            return f"'{printable(value, _SHOWN_CHARS)}'"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > _SHOWN_BITS:
            return "a huge integer"
        case int() | float():
            return str(value)
    return _type_name(value)


def _type_name(value: object) -> str:
    """Return what kind of value stands there, in TOML's words, without repeating it."""
    names = {str: "a text", bool: "a boolean", int: "an integer", float: "a number"}
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return names.get(type(value), f"a {type(value).__name__}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {_type_name(value)}")  # noqa: TRY004
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _word(value: object) -> str:
    text = _text(value)
    if not text.isprintable() or " " in text:
        raise ValueError("must be one word: no spaces, no control characters")
    return text


def _optional(accept: Callable[[object], T]) -> Callable[[object], T | None]:
    """Accept None too, and an empty text for it: TOML has no word for "none"."""

    def accept_or_none(value: object) -> T | None:
        return None if value is None or value == "" else accept(value)

    return accept_or_none


def spoken(limit_chars: int) -> Kind[str | None]:
    """A text that a carrier is to say, or none; ``limit_chars`` as it is written in XML."""

    def accept(value: object) -> str:
        text = _text(value)
        if (chars := len(html.escape(text, quote=False))) > limit_chars:
            raise ValueError(f"too long to be said: {chars} characters as XML, and {limit_chars} may be")
        return text

    return Kind(_optional(accept))


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    text = _word(value)
    if not text.isascii():
        raise ValueError("must be plain ASCII, as the header that carries it")
    return Secret(text)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_shown(value)}")  # noqa: TRY004
    return value


def _parse_switch(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise ValueError(text)


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = _text(value)
    if "\0" in text:
        raise ValueError("not a path")
    return Path(text)


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[object], str]:
    def accept(value: object) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return accept


def whole(low: int, high: int) -> Kind[int]:
    """An integer from ``low`` to ``high``, both included."""

    def accept(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected an integer, got {_shown(value)}")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}, got {_shown(value)}")
        return value

    return Kind(accept, int)


def optional_whole(low: int, high: int) -> Kind[int | None]:
    """The same, or nothing."""
    kind = whole(low, high)
    return Kind(_optional(kind.accept), kind.parse)


def number(low: float, high: float) -> Kind[float]:
    """A number from ``low`` to ``high``, both included."""

    def accept(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"expected a number, got {_shown(value)}")  # noqa: TRY004
        if not low <= value <= high:  # also refuses "not a number"
            raise ValueError(f"must be from {low} to {high}, got {_shown(value)}")
        return float(value)

    return Kind(accept, float)


def one_of(words: Sequence[T]) -> Kind[T]:
    """One of a few words."""

    def accept(value: object) -> T:
        for word in words:
            if value == word:
                return word
        expected = " or ".join(f"'{word}'" for word in words)
        raise ValueError(f"expected {expected}, got {_shown(value)}")

    return Kind(accept)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine and never another one."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(secure: str, plain: str, *others: str) -> Callable[[object], str]:
    """A base URL: encrypted (``plain`` ones for loopback only), no credentials, no query, no slash at the end.

    ``others`` are written as the scheme that stands for them: ws for http, or http for ws.
    """
    expected = f"expected a URL such as {secure}://host/path"

    def accept(value: object) -> str:
        text = _word(value)
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(expected) from None
        if parts.scheme not in {secure, plain, *others} or not _HOST_NAME.fullmatch(host):
            raise ValueError(expected)
        if "@" in parts.netloc:
            raise ValueError("a URL must not carry a user name or password")
        if "?" in text or "#" in text:
            raise ValueError("a base URL has neither query nor fragment")
        if parts.scheme not in _ENCRYPTED and not is_loopback(host):
            raise ValueError(f"{parts.scheme} is allowed for loopback only: use {secure}")
        return (parts.scheme + text[len(parts.scheme) :]).rstrip("/")

    return accept


def _public_url(value: object) -> str:
    """A URL of the server itself; ws and wss name the same port and become http and https."""
    url = _url("https", "http", "wss", "ws")(value)
    if len(html.escape(url)) > _PUBLIC_URL_CHARS:
        raise ValueError(f"must have {_PUBLIC_URL_CHARS} characters at most")
    return "http" + url[2:] if url.startswith("ws") else url


TEXT = Kind(_text)
OPTIONAL_TEXT = Kind(_optional(_text))
WORD = Kind(_word)
OPTIONAL_WORD = Kind(_optional(_word))
SECRET = Kind(_secret)
OPTIONAL_SECRET = Kind(_optional(_secret))
SWITCH = Kind(_switch, _parse_switch)
PATH = Kind(_optional(_path))
ACCOUNT_SID = Kind(_matching(_ACCOUNT_SID, "AC and then letters and digits"))
PHONE_NUMBER = Kind(_optional(_matching(_E164, "a number in E.164 form, such as +15551234567")))
HTTP_URL = Kind(_url("https", "http"))
WEBSOCKET_URL = Kind(_url("wss", "ws", "https", "http"))
PUBLIC_URL = Kind(_optional(_public_url))
