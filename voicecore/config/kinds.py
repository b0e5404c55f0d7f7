"""Kinds of values that only files and the environment have: addresses, paths, secrets, texts for a carrier.

See voicecore/kinds.py for all others, and for the rules.

Level 4.
"""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from voicecore.kinds import TEXT, WORD, Kind, optional
from voicecore.secrets import Secret

T = TypeVar("T")

_PUBLIC_URL_CHARS = 500  #: it is part of TwiML, whose length is bounded; & and quotes count as they are written there
_ENCRYPTED = frozenset({"https", "wss"})
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+")
_ACCOUNT_SID = re.compile(r"AC[A-Za-z0-9]+")  # part of URL paths
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


def spoken(limit_chars: int) -> Kind[str | None]:
    """A text that a carrier is to say, or none; ``limit_chars`` as it is written in XML."""

    def accept(value: object) -> str:
        text = TEXT.accept(value)
        if (chars := len(html.escape(text, quote=False))) > limit_chars:
            raise ValueError(f"too long to be said: {chars} characters as XML, and {limit_chars} may be")
        return text

    return optional(Kind(accept=accept, bounds=f"at most {limit_chars:,} characters"))


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    text = WORD.accept(value)
    if not text.isascii():
        raise ValueError("must be plain ASCII, as the header that carries it")
    return Secret(text)


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = TEXT.accept(value)
    if "\0" in text:
        raise ValueError("not a path")
    return Path(text)


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[object], str]:
    def accept(value: object) -> str:
        text = TEXT.accept(value)
        if not pattern.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return accept


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
        text = WORD.accept(value)
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


SECRET = Kind(accept=_secret, noun="secret")
OPTIONAL_SECRET = optional(SECRET)
PATH = optional(Kind(accept=_path, noun="path"))
ACCOUNT_SID = Kind(accept=_matching(_ACCOUNT_SID, "AC and then letters and digits"), bounds="AC…")
PHONE_NUMBER = optional(
    Kind(accept=_matching(_E164, "a number in E.164 form, such as +15551234567"), noun="phone number", bounds="E.164")
)
HTTP_URL = Kind(accept=_url("https", "http"), noun="URL", bounds="https, or http for loopback")
WEBSOCKET_URL = Kind(
    accept=_url("wss", "ws", "https", "http"), noun="URL", bounds="wss or https; ws or http for loopback"
)
PUBLIC_URL = optional(Kind(accept=_public_url, noun="URL", bounds="https, or http for loopback"))
