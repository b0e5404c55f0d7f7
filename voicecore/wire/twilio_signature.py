"""Verifies Twilio's request signatures, on webhooks and on media stream upgrades.

Rule 1: the URL is the configured public URL; nothing in the request changes it.
Rule 2: fail closed: a missing header, an unknown scheme or a stray byte is refused.
Rule 3: signatures are compared in constant time.

Source: docs/protocols/twilio-media-streams.md, section 11 (taken from the official validator).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit, urlunsplit

SIGNATURE_HEADER = "x-twilio-signature"
BODY_DIGEST_PARAMETER = "bodySHA256"

Form = Mapping[str, Sequence[str]]
"""The decoded fields of a form, with all values of each name."""

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def signature(token: str, url: str, form: Form | None = None, algorithm: str = "sha1") -> str:
    """Return the signature of a request: base64 of an HMAC over URL and sorted form fields.

    ``algorithm`` is "sha1" with an account's auth token, "sha256" with a webhook secret.
    """
    message = url + "".join(name + value for name in sorted(form or {}) for value in sorted(set((form or {})[name])))
    digest = hmac.new(token.encode(), message.encode("utf-8", "surrogatepass"), algorithm).digest()
    return base64.b64encode(digest).decode("ascii")


def is_signed(token: str, url: str, given: str | None, *, form: Form | None = None, body: bytes | None = None) -> bool:
    """Whether ``given`` signs this request.

    Pass ``form`` for a form POST, ``body`` for any other body, neither for GET
    and for a WebSocket upgrade. The URL is tried with and without its default
    port, because Twilio uses both.
    """
    if not given:
        return False
    if body is not None and not _has_digest_of(url, body):
        return False
    wanted = given.encode("utf-8", "replace")
    # Every variant is computed, so that the time taken does not reveal which one matched.
    matches = [hmac.compare_digest(signature(token, variant, form).encode(), wanted) for variant in _port_variants(url)]
    return any(matches)


def _port_variants(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    yield url
    port = _DEFAULT_PORTS.get(parts.scheme)
    if port is None or parts.hostname is None:
        return
    bare = parts.netloc.removesuffix(f":{port}")
    if bare != parts.netloc:
        yield urlunsplit(parts._replace(netloc=bare))
    elif parts.port is None:
        yield urlunsplit(parts._replace(netloc=f"{bare}:{port}"))


def _has_digest_of(url: str, body: bytes) -> bool:
    given = dict(parse_qsl(urlsplit(url).query)).get(BODY_DIGEST_PARAMETER, "")
    return hmac.compare_digest(given.lower().encode(), hashlib.sha256(body).hexdigest().encode())
