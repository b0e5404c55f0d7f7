"""The REST interface that places, shows and ends calls.

Rule 1: a placed call runs in the nursery of `serve_rest`: it does not depend on any
connection, and does not outlive the interface.
Rule 2: a request that an application should never make is refused and a violation; a
request about a call that has ended meanwhile is refused, and no violation.
Rule 3: every request is kept, refused ones too.

Facts: docs/protocols/twilio-media-streams.md, section 7.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import format_datetime

import attrs
import orjson
import trio

from voicecore.net.http.messages import Request, Response, ServerLimits, Upgrade
from voicecore.net.http.routes import Parameters, Router
from voicecore.net.http.server import serve
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.observed_stream import ObservedListener, current_stream
from voicecore.simulation.twilio.application_client import ApplicationClient
from voicecore.simulation.twilio.dial_request import (
    WRONG_REQUEST,
    Form,
    RestRefusal,
    read_dial_request,
    read_form,
    single_values,
)
from voicecore.simulation.twilio.dialled_call import DialledCall
from voicecore.simulation.twilio.inbound import InboundCall
from voicecore.simulation.twilio.plan import DialPlan, DialPlanQueue, Refusal, UpdateFaults
from voicecore.simulation.twilio.progress import FINAL

NOT_FOUND = 20404
NOT_AUTHENTICATED = 20003
NOT_IN_PROGRESS = 21220

_ACCOUNT = "/2010-04-01/Accounts/{account}"
_CALLS = f"{_ACCOUNT}/Calls"
_FORM = "application/x-www-form-urlencoded"
_UPDATES = frozenset({"Status"})
_LIMITS = ServerLimits(answer_s=math.inf)  # how late a request is answered is up to the plan


@attrs.define
class RestRequest:
    """One request to the REST interface."""

    at: float
    method: str
    path: str
    form: Form = attrs.field(repr=False)
    status: int | None = None
    """The HTTP status of the answer, also of an answer that was lost; None until there is one."""


class RestState:
    """All calls that the REST interface knows, and the plans for those to come."""

    def __init__(self) -> None:
        self.dials: list[DialledCall] = []
        """Every call that was placed, in order."""
        self.inbound: list[InboundCall] = []
        """Every inbound call, in order."""
        self.requests: list[RestRequest] = []
        """Every request, in order."""
        self.plans = DialPlanQueue(DialPlan())
        self.updates = UpdateFaults()
        self.rung: Counter[str] = Counter()
        """How often a phone rang, by number."""

    def find(self, call_sid: str) -> DialledCall | InboundCall | None:
        """Return the call that has a CallSid."""
        calls: list[DialledCall | InboundCall] = [*self.dials, *self.inbound]
        return next((call for call in calls if call.is_named(call_sid)), None)


@asynccontextmanager
async def serve_rest(application: ApplicationClient, state: RestState, host: str, port: int) -> AsyncIterator[str]:
    """Listen while the block runs; gives the base URL. Leaving it ends every call. Raises OSError."""
    listening = await application.world.network.listen(host, port)
    listeners = [ObservedListener(listener) for listener in listening.listeners]
    async with open_service_nursery() as nursery:
        await nursery.start(serve, listeners, _RestInterface(application, state, nursery).answer, _LIMITS)
        yield f"http://{host}:{listening.port}"


class _RestInterface:
    """Twilio's Calls resource of one account, and the account itself."""

    def __init__(self, application: ApplicationClient, state: RestState, calls: trio.Nursery) -> None:
        """Serve a state; each placed call runs in ``calls`` until it is over."""
        self._application = application
        self._state = state
        self._calls = calls
        self._route = Router(
            {
                ("GET", f"{_ACCOUNT}.json"): self._fetch_account,
                ("POST", f"{_CALLS}.json"): self._create,
                ("POST", f"{_CALLS}/{{call}}.json"): self._update,
                ("GET", f"{_CALLS}/{{call}}.json"): self._fetch,
            }
        )

    async def answer(self, request: Request) -> Response | Upgrade:
        """Answer one request."""
        entry = RestRequest(self._application.world.now(), request.method, request.path, read_form(request.body))
        self._state.requests.append(entry)
        try:
            self._authenticate(request)
            answer = await self._route(request)
        except RestRefusal as refused:
            if refused.code not in {NOT_FOUND, NOT_IN_PROGRESS}:
                self._application.violations.append(str(refused))
            answer = _error(refused.status, refused.code, refused.problem)
        entry.status = answer.status if isinstance(answer, Response) else None
        return answer

    # --- the resource ------------------------------------------------------------------

    async def _create(self, request: Request, parameters: Parameters) -> Response:
        self._check_account(parameters)
        order = read_dial_request(_form_of(request))
        plan = self._state.plans.plan_for(order)
        if plan.refuse is not None:
            await trio.sleep(plan.answer_s)
            return _refusal(plan.refuse)
        dialled = DialledCall(self._application, order, plan, self._state.rung)
        self._state.dials.append(dialled)
        answer = Response(201, self._body(dialled), "application/json")
        self._calls.start_soon(dialled.run)
        await trio.sleep(plan.answer_s)
        if plan.answer_lost:
            await trio.aclose_forcefully(current_stream())  # the server finds that nobody reads the answer
        return answer

    async def _update(self, request: Request, parameters: Parameters) -> Response:
        call = self._find(parameters)
        await trio.sleep(self._state.updates.answer_s)
        if self._state.updates.refuse is not None:
            return _refusal(self._state.updates.refuse)
        given = single_values(_form_of(request), _UPDATES)
        if given.get("Status") not in {"completed", "canceled"}:
            raise RestRefusal(400, WRONG_REQUEST, "Status must be completed or canceled")
        if call.status in FINAL:
            raise RestRefusal(400, NOT_IN_PROGRESS, "the call is not in progress")
        if given["Status"] == "completed":
            call.complete()
        else:
            call.cancel()
        return Response(200, self._body(call), "application/json")

    async def _fetch(self, request: Request, parameters: Parameters) -> Response:  # noqa: ARG002
        return Response(200, self._body(self._find(parameters)), "application/json")

    async def _fetch_account(self, request: Request, parameters: Parameters) -> Response:  # noqa: ARG002
        self._check_account(parameters)
        account = self._application.account
        about = {"sid": account.account_sid, "friendly_name": "A test", "status": account.status, "type": account.kind}
        return Response(200, orjson.dumps(about), "application/json")

    # --- inside ------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> None:
        account = self._application.account
        user, password = _credentials(request.headers.get("authorization", ""))
        expected = account.auth_token.reveal().encode()
        if user != account.account_sid or not hmac.compare_digest(password.encode(), expected):
            raise RestRefusal(401, NOT_AUTHENTICATED, "Authenticate")

    def _check_account(self, parameters: Parameters) -> None:
        if parameters["account"] != self._application.account.account_sid:
            raise RestRefusal(404, NOT_FOUND, "there is no such account")

    def _find(self, parameters: Parameters) -> DialledCall | InboundCall:
        self._check_account(parameters)
        call = self._state.find(parameters["call"])
        if call is None:
            raise RestRefusal(404, NOT_FOUND, "there is no such call")
        return call

    def _body(self, call: DialledCall | InboundCall) -> bytes:
        account_sid = self._application.account.account_sid
        uri = f"/2010-04-01/Accounts/{account_sid}/Calls/{call.answered_sid}"
        created = format_datetime(call.created_at)
        return orjson.dumps(
            {
                "sid": call.answered_sid,
                "account_sid": account_sid,
                "parent_call_sid": None,
                "to": call.identity.get("To", ""),
                "from": call.identity.get("From", ""),
                "status": call.status,
                "direction": call.identity["Direction"],
                "api_version": "2010-04-01",
                "answered_by": call.answered_by,
                "date_created": created,
                "date_updated": created,
                "duration": None if call.duration_s is None else str(call.duration_s),
                "price": None,
                "price_unit": "USD",
                "uri": f"{uri}.json",
                "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
            }
        )


def _form_of(request: Request) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
        raise RestRefusal(400, WRONG_REQUEST, f"a request must be sent as {_FORM}")
    return read_form(request.body)


def _credentials(header: str) -> tuple[str, str]:
    """Return user name and password of HTTP basic authentication; empty ones where there are none."""
    scheme, _, packed = header.partition(" ")
    try:
        user, _, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _refusal(refusal: Refusal) -> Response:
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    if refusal.body is not None:
        return Response(refusal.status, refusal.body, refusal.content_type, list(headers.items()))
    return _error(refusal.status, refusal.code, refusal.message, headers)


def _error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    about = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Response(status, orjson.dumps(about), "application/json", list((headers or {}).items()))
