"""What is said of requests that were refused: at most one line a minute a kind, with what to look at.

A wrong public URL, a rotated token and a path that a proxy changes all look alike
from outside: calls that never come.  Whoever reads the log must find the reason.

Rule 1: a line shows neither a token nor a signature, and nothing of a request
that could break it.
Rule 2: what is said decides nothing: a request that was refused stays refused.

Synchronous; used by webhooks.py.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Callable
from typing import Literal

import attrs

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.errors import printable
from voicecore.net.http_messages import Request
from voicecore.wire.twilio_signature import SIGNATURE_HEADER, Form, is_signed

log = logging.getLogger("voicecore.carriers")

EVERY_S = 60.0  #: one line a kind in so long

_SHOWN_CHARS = 200
_ROUTES = re.compile(r"(?P<prefix>.*)(?P<route>/twilio/(voice|status|amd|media/[^/]*))/?", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4})?")
_TOKEN = re.compile(r"/twilio/media/[^/?]*")


class Kind(enum.Enum):
    """Why a request was refused."""

    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    STREAM = "stream"  #: a media stream whose token is worth nothing
    FORM = "form"
    NOT_FOUND = "not found"
    METHOD = "method"


@attrs.define
class _Said:
    """When a line was said of a kind, and what came since."""

    at: float
    since: int = 0


class Refusals:
    """The log of one account's refused requests."""

    def __init__(self, now: Callable[[], float], account: TwilioAccount) -> None:
        self._now = now
        self._account = account
        self._said: dict[Kind, _Said] = {}  # one entry a kind

    def signature(self, request: Request, scheme: Literal["http", "ws"], url: str, form: Form | None) -> None:
        """A request was not signed for ``url``."""
        given = request.headers.get(SIGNATURE_HEADER)
        if not given:
            self._say(Kind.UNSIGNED, request, "it has no signature: it is not Twilio's, or a proxy drops its headers")
            return
        shown = f"its signature does not fit {_shown(url)}"
        reached = self._reached_by(request, scheme)
        if reached is not None and is_signed(self._account.auth_token.reveal(), reached, given, form=form):
            advice = f"it fits {_shown(reached)}: set server.public_url to how Twilio reaches this server"
        else:
            advice = (
                "compare server.public_url with the address that Twilio has, path and all, and "
                "carriers.twilio.auth_token with the account's primary token"
            )
        self._say(Kind.SIGNATURE, request, f"{shown}; {advice}")

    def stream(self, request: Request) -> None:
        """A media stream came under a token that is worth nothing."""
        self._say(
            Kind.STREAM,
            request,
            "its token is unknown, used, or too old; was its call answered by another process, or before a restart?",
        )

    def form(self, request: Request, problem: str) -> None:
        """A webhook cannot be read."""
        self._say(Kind.FORM, request, printable(problem, _SHOWN_CHARS))

    def unrouted(self, request: Request, status: int) -> None:
        """Nothing is served where a request went; paths that do not look like ours are not spoken of."""
        match = _ROUTES.fullmatch(request.path)
        if match is None:
            return
        if status == 404:
            served, prefix = _shown(match["route"]), _shown(match["prefix"])
            advice = (
                f"{served} is; let the proxy take the path prefix {prefix} off"
                if match["prefix"]
                else f"{served} is, without more behind it"
            )
            self._say(
                Kind.NOT_FOUND, request, f"nothing is served there, {advice} (server.public_url keeps its own prefix)"
            )
        else:
            self._say(Kind.METHOD, request, "it is served by another method; set the webhook to HTTP POST at Twilio")

    def _reached_by(self, request: Request, scheme: Literal["http", "ws"]) -> str | None:
        """Return the URL by which a request says that it came, for advice alone."""
        host = request.headers.get("x-forwarded-host") or request.headers.get("host")
        if not host or _HOST.fullmatch(host) is None or not request.path.startswith("/"):
            return None
        ours = self._account.url(scheme).partition("://")[0]
        secure = request.headers.get("x-forwarded-proto", "https" if ours.endswith("s") else "http") == "https"
        query = f"?{request.query}" if request.query else ""
        return f"{scheme}{'s' if secure else ''}://{host}{request.path}{query}"

    def _say(self, kind: Kind, request: Request, why: str) -> None:
        now = self._now()
        said = self._said.get(kind)
        if said is not None and now < said.at + EVERY_S:
            said.since += 1
            return
        more = f" ({said.since} more like it since the last such line)" if said is not None and said.since else ""
        self._said[kind] = _Said(now)
        log.warning("refused %s %s: %s%s", printable(request.method, 16), _shown(request.path), why, more)


def _shown(path: str) -> str:
    """Return a path or URL for a log, without the token of a stream."""
    return printable(_TOKEN.sub("/twilio/media/***", path), _SHOWN_CHARS)
