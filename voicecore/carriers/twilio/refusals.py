"""Log lines about refused requests: at most one a minute for each kind, with what to look at.

A wrong public URL, a rotated token and a path that a proxy changes look the same
from outside: the phone is never answered.  The log has to tell them apart.

Rule 1: a line contains no token and no signature, and nothing of the request
that could break the line.
Rule 2: advice decides nothing: a request that was refused stays refused.

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
from voicecore.net.http.messages import Request
from voicecore.wire.twilio_signature import SIGNATURE_HEADER, Form, is_signed

log = logging.getLogger("voicecore.carriers")

EVERY_S = 60.0  #: one line a kind in so long

_SHOWN_CHARS = 200
_NOT_FOUND = 404
_ROUTES = re.compile(r"(?P<prefix>.*)(?P<route>/twilio/(voice|status|amd|media/[^/]*))/?", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,4}|:[1-5][0-9]{4})?")
_TOKEN = re.compile(r"/twilio/media/[^/?]*")


class Kind(enum.Enum):
    """Why a request was refused."""

    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    STREAM = "stream"  #: a media stream with a token that is not valid
    FORM = "form"
    NOT_FOUND = "not found"
    METHOD = "method"


@attrs.define
class _Logged:
    """When a kind was logged last, and how many came since."""

    at: float
    since: int = 0


class Refusals:
    """The log of one account's refused requests."""

    def __init__(self, now: Callable[[], float], account: TwilioAccount) -> None:
        self._now = now
        self._account = account
        self._logged: dict[Kind, _Logged] = {}  # one entry a kind

    def signature(self, request: Request, scheme: Literal["http", "ws"], url: str, form: Form | None) -> None:
        """A request was not signed for ``url``."""
        given = request.headers.get(SIGNATURE_HEADER)
        if not given:
            self._log_if_due(Kind.UNSIGNED, request, "it has no signature: not from Twilio, or a proxy drops headers")
        elif self._is_due(Kind.SIGNATURE):
            advice = self._advice(request, scheme, given, form)
            self._log(Kind.SIGNATURE, request, f"its signature does not fit {_shown(url)}; {advice}")

    def stream(self, request: Request) -> None:
        """A media stream came with a token that is not valid."""
        self._log_if_due(
            Kind.STREAM,
            request,
            "its token is unknown, used, or expired; was the webhook answered by another process, or before a restart?",
        )

    def form(self, request: Request, problem: str) -> None:
        """A webhook cannot be read."""
        self._log_if_due(Kind.FORM, request, printable(problem, _SHOWN_CHARS))

    def unrouted(self, request: Request, status: int) -> None:
        """A request went where nothing is served; only paths that look like ours are logged."""
        match = _ROUTES.fullmatch(request.path)
        if match is None:
            return
        if status != _NOT_FOUND:
            self._log_if_due(
                Kind.METHOD, request, "this path takes another method; set the webhook to HTTP POST at Twilio"
            )
        elif match["prefix"]:
            served, prefix = _shown(match["route"]), _shown(match["prefix"])
            self._log_if_due(
                Kind.NOT_FOUND,
                request,
                f"nothing is served there, but {served} is; have the proxy remove the path prefix {prefix} "
                "from its requests (server.public_url keeps it)",
            )
        else:
            self._log_if_due(Kind.NOT_FOUND, request, f"nothing is served there, but {_shown(match['route'])} is")

    # --- inside -------------------------------------------------------------------------

    def _advice(self, request: Request, scheme: Literal["http", "ws"], given: str, form: Form | None) -> str:
        """Return what to look at, as exactly as it can be told."""
        reached = self._reached_by(request, scheme)
        if reached is not None and is_signed(self._account.auth_token.reveal(), reached, given, form=form):
            return f"it fits {_shown(reached)}: set server.public_url to the URL under which Twilio reaches this server"
        named = (form or {}).get("AccountSid", [self._account.account_sid])[0]
        if named != self._account.account_sid:
            return f"it names the account {printable(named, 40)}, which is not carriers.twilio.account_sid"
        return (
            "compare server.public_url with the URL configured at Twilio, path included, and "
            "carriers.twilio.auth_token with the account's primary token"
        )

    def _reached_by(self, request: Request, scheme: Literal["http", "ws"]) -> str | None:
        """Return the URL that the request's own headers name, for advice only."""
        host = request.headers.get("x-forwarded-host") or request.headers.get("host")
        if not host or _HOST.fullmatch(host) is None or not request.path.startswith("/"):
            return None
        ours = self._account.url(scheme).partition("://")[0]
        secure = request.headers.get("x-forwarded-proto", "https" if ours.endswith("s") else "http") == "https"
        query = f"?{request.query}" if request.query else ""
        return f"{scheme}{'s' if secure else ''}://{host}{request.path}{query}"

    def _is_due(self, kind: Kind) -> bool:
        """Whether a line of this kind may be written now; one that may not is counted."""
        logged = self._logged.get(kind)
        if logged is None or self._now() >= logged.at + EVERY_S:
            return True
        logged.since += 1
        return False

    def _log_if_due(self, kind: Kind, request: Request, why: str) -> None:
        if self._is_due(kind):
            self._log(kind, request, why)

    def _log(self, kind: Kind, request: Request, why: str) -> None:
        logged = self._logged.get(kind)
        more = f" ({logged.since} more like it since the last such line)" if logged is not None and logged.since else ""
        self._logged[kind] = _Logged(self._now())
        log.warning("refused %s %s: %s%s", printable(request.method, 16), _shown(request.path), why, more)


def _shown(path: str) -> str:
    """Return a path or URL for a log, without the token of a stream."""
    return printable(_TOKEN.sub("/twilio/media/***", path), _SHOWN_CHARS)
