"""Logs refused requests with the likely cause: at most one line a minute for each kind.

A wrong public URL, a rotated token and a path that a proxy changes look the same
to a user: the phone is never answered. The log tells the operator which it is.

Rule 1: a line contains no token and no signature; text from the request is made
printable.
Rule 2: the advice has no effect on the request, which stays refused.

Synchronous.
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

EVERY_S = 60.0  #: the interval between two lines of a kind

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
    """When a kind was last logged, and how many followed since."""

    at: float
    since: int = 0


class Refusals:
    """The log of one account's refused requests."""

    def __init__(self, now: Callable[[], float], account: TwilioAccount) -> None:
        self._now = now
        self._account = account
        self._logged: dict[Kind, _Logged] = {}  # one entry a kind

    def signature(self, request: Request, scheme: Literal["http", "ws"], url: str, form: Form | None) -> None:
        """Log a request that was not signed for ``url``."""
        given = request.headers.get(SIGNATURE_HEADER)
        if not given:
            self._log_if_due(
                Kind.UNSIGNED, request, "it has no signature: it is not from Twilio, or a proxy removes headers"
            )
        elif self._is_due(Kind.SIGNATURE):
            advice = self._advice(request, scheme, given, form)
            self._log(Kind.SIGNATURE, request, f"its signature does not match {_shown(url)}; {advice}")

    def stream(self, request: Request) -> None:
        """Log a media stream whose token is not valid."""
        self._log_if_due(
            Kind.STREAM,
            request,
            "its token is unknown, used, or expired; was the webhook answered by another process, or before a restart?",
        )

    def form(self, request: Request, problem: str) -> None:
        """Log a webhook that cannot be read."""
        self._log_if_due(Kind.FORM, request, printable(problem, _SHOWN_CHARS))

    def unrouted(self, request: Request, status: int) -> None:
        """Log a request for an unknown path or method, if the path looks like ours."""
        match = _ROUTES.fullmatch(request.path)
        if match is None:
            return
        if status != _NOT_FOUND:
            self._log_if_due(
                Kind.METHOD, request, "the method is wrong; set the webhook to HTTP POST in Twilio's console"
            )
        elif match["prefix"]:
            served, prefix = _shown(match["route"]), _shown(match["prefix"])
            self._log_if_due(
                Kind.NOT_FOUND,
                request,
                f"the path is unknown, but {served} is served; let the proxy remove the path prefix {prefix} "
                "from its requests (server.public_url keeps it)",
            )
        else:
            self._log_if_due(Kind.NOT_FOUND, request, f"the path is unknown, but {_shown(match['route'])} is served")

    # --- inside -------------------------------------------------------------------------

    def _advice(self, request: Request, scheme: Literal["http", "ws"], given: str, form: Form | None) -> str:
        """Return what to check, as specifically as possible."""
        reached = self._reached_by(request, scheme)
        if reached is not None and is_signed(self._account.auth_token.reveal(), reached, given, form=form):
            return f"it matches {_shown(reached)}: set server.public_url to the URL at which Twilio reaches this server"
        named = (form or {}).get("AccountSid", [self._account.account_sid])[0]
        if named != self._account.account_sid:
            return f"it names the account {printable(named, 40)}, which is not carriers.twilio.account_sid"
        return (
            "compare server.public_url with the URL configured at Twilio, path included, and "
            "carriers.twilio.auth_token with the account's primary token"
        )

    def _reached_by(self, request: Request, scheme: Literal["http", "ws"]) -> str | None:
        """Return the URL that the request's headers name; used for advice only."""
        host = request.headers.get("x-forwarded-host") or request.headers.get("host")
        if not host or _HOST.fullmatch(host) is None or not request.path.startswith("/"):
            return None
        ours = self._account.url(scheme).partition("://")[0]
        secure = request.headers.get("x-forwarded-proto", "https" if ours.endswith("s") else "http") == "https"
        query = f"?{request.query}" if request.query else ""
        return f"{scheme}{'s' if secure else ''}://{host}{request.path}{query}"

    def _is_due(self, kind: Kind) -> bool:
        """Whether a line of this kind may be written now; if not, count it."""
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
        more = f" ({logged.since} more since the last such line)" if logged is not None and logged.since else ""
        self._logged[kind] = _Logged(self._now())
        log.warning("refused %s %s: %s%s", printable(request.method, 16), _shown(request.path), why, more)


def _shown(path: str) -> str:
    """Return a path or URL for the log, without stream tokens."""
    return printable(_TOKEN.sub("/twilio/media/***", path), _SHOWN_CHARS)
