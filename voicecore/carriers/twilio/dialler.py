"""Placing calls with Twilio, and ending them.

Rule 1: a phone never rings twice for one call.  A request is made again only
where it surely had no effect: no connection was made, or Twilio refused it for
coming too soon.  Everything else that is no clear answer is `CarrierUncertain`;
status callbacks, which carry our own id of the call, tell what is true.
Rule 2: ending a call may be asked for as often as needed.
Rule 3: everything is bounded: each request, the number of tries, and all of them together.

Facts: Twilio sheet, sections 7 to 9.  Implements `voicecore.ports.Dialler`; made in assembly.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.errors import (
    CarrierError,
    CarrierRefused,
    CarrierUnavailable,
    CarrierUncertain,
    ConnectionLost,
    NotConnected,
    RemoteProtocolError,
)
from voicecore.net.http_client import HttpAnswer, HttpClient
from voicecore.ports import DialOrder, MachineDetection
from voicecore.wire import twilio_rest, twiml

_SUCCESS = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_REQUEST_TIMEOUT = 408


@attrs.frozen(kw_only=True)
class DialLimits:
    """Bounds of requests to the carrier."""

    tries: int = 3
    """How often a call is asked for, where that is safe."""
    pause_s: float = 0.5
    """Before the second try; twice as long before each further one."""
    hang_up_tries: int = 3
    hang_up_s: float = 5.0
    """All tries of ending a call together."""


class TwilioDialler:
    """Places calls from one number of an account."""

    def __init__(self, account: TwilioAccount, number: str, http: HttpClient, limits: DialLimits | None = None) -> None:
        self._account = account
        self._number = number
        self._http = http
        self._limits = limits or DialLimits()

    @property
    def number(self) -> str:
        """The number that calls are placed from."""
        return self._number

    async def dial(self, order: DialOrder) -> str:
        """See `voicecore.ports.Dialler`."""
        form = twilio_rest.new_call_form(self._new_call(order))
        url = twilio_rest.calls_url(self._account.api_base_url, self._account.account_sid)
        pause_s = self._limits.pause_s
        for last in (*[False] * (self._limits.tries - 1), True):
            answer = await self._ask_once(url, form, last=last)
            if answer is not None:
                return _call_sid(answer)
            await trio.sleep(pause_s)
            pause_s *= 2
        raise CarrierUnavailable("Twilio could not be reached")

    async def hang_up(self, carrier_call_id: str) -> None:
        """See `voicecore.ports.Dialler`."""
        account = self._account
        url = twilio_rest.call_url(account.api_base_url, account.account_sid, carrier_call_id)
        failure: CarrierError = CarrierUncertain("Twilio did not answer in time when a call was to be ended")
        with trio.move_on_after(self._limits.hang_up_s):
            for _ in range(self._limits.hang_up_tries):
                try:
                    answer = await self._post(url, twilio_rest.end_call_form())
                except ConnectionLost as lost:
                    failure = CarrierUncertain(f"a call may not have been ended: {lost}")
                else:
                    if answer.status in _SUCCESS or twilio_rest.read_problem(answer.body).says_that_the_call_is_over:
                        return
                    failure = _refusal(answer)
                await trio.sleep(self._limits.pause_s)
        raise failure

    # --- inside ----------------------------------------------------------------------

    async def _ask_once(self, url: str, form: Sequence[tuple[str, str]], *, last: bool) -> HttpAnswer | None:
        """Ask; return the answer, or None where asking once more is safe and allowed."""
        try:
            answer = await self._post(url, form)
        except NotConnected as unreached:
            if last:
                raise CarrierUnavailable(f"Twilio could not be reached: {unreached}") from unreached
            return None
        except ConnectionLost as lost:
            raise CarrierUncertain(f"Twilio gave no answer to a call: {lost}") from lost
        too_soon = answer.status == twilio_rest.TOO_MANY_REQUESTS
        return None if too_soon and not last else answer

    async def _post(self, url: str, form: Sequence[tuple[str, str]]) -> HttpAnswer:
        account = self._account
        return await self._http.post_form(url, form, auth=(account.account_sid, account.auth_token.reveal()))

    def _new_call(self, order: DialOrder) -> twilio_rest.NewCall:
        account = self._account
        before = order.detection is MachineDetection.BEFORE
        beside = order.detection is MachineDetection.BESIDE
        stream = twiml.connect_stream(account.media_url(order.token), apology=account.apology)
        return twilio_rest.NewCall(
            caller=self._number,
            callee=order.callee,
            ring_timeout_s=order.ring_timeout_s,
            status_url=account.callback_url("status", order.call_id),
            twiml=None if before else stream,
            url=account.callback_url("voice", order.call_id) if before else None,
            detects_machines=before or beside,
            waits_for_message_end=order.waits_for_beep,
            verdict_url=account.callback_url("amd", order.call_id) if beside else None,
        )


def _call_sid(answer: HttpAnswer) -> str:
    """Return the new call's id; raise what the answer means otherwise."""
    if answer.status not in _SUCCESS:
        raise _refusal(answer)
    try:
        return twilio_rest.read_call_sid(answer.body)
    except RemoteProtocolError as unreadable:
        raise CarrierUncertain(f"Twilio's answer to a call cannot be read: {unreadable}") from unreadable


def _refusal(answer: HttpAnswer) -> CarrierError:
    problem = twilio_rest.read_problem(answer.body)
    code = "" if problem.code is None else f", error {problem.code}"
    words = f"Twilio answered with HTTP status {answer.status}{code}: {problem.message}"
    if answer.status in _CLIENT_ERRORS and answer.status != _REQUEST_TIMEOUT:
        return CarrierRefused(words, status=answer.status, code=problem.code)
    return CarrierUncertain(words)
