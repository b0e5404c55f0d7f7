"""Placing calls with Twilio, and ending them.

Rule 1: a phone never rings twice for one call.  A request is made again only
where it surely had no effect: no connection was made, or Twilio refused it for
coming too soon.  Everything else that is no clear answer is `CarrierUncertain`;
status callbacks, which carry our own id of the call, tell what is true.
Rule 2: ending a call may be asked for as often as needed.
Rule 3: everything is bounded: each request, the number of tries, and all of them together.
Rule 4: a refusal's words are passed on without the tokens that they may repeat.

Facts: Twilio sheet, sections 7 to 9.  Implements `voicecore.ports.Dialler`; made in assembly.py.
"""

from __future__ import annotations

from collections.abc import Collection

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

    tries: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    """How often a call is asked for, where that is safe."""
    pause_s: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    """Between two tries; when placing a call, twice as long before each further one."""
    dial_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    """All tries of placing a call together; longer than three connections that nobody accepts."""
    hang_up_tries: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    hang_up_s: float = attrs.field(default=5.0)
    """All tries of ending a call and their pauses together."""

    @hang_up_s.validator
    def _leaves_time_for_tries(self, _: object, value: float) -> None:
        if value <= self.pause_s * (self.hang_up_tries - 1):
            raise ValueError("hang_up_s must be more than the pauses between hang_up_tries")

    @property
    def hang_up_try_s(self) -> float:
        """The share of one try: an answer that never comes leaves time for the others."""
        return (self.hang_up_s - self.pause_s * (self.hang_up_tries - 1)) / self.hang_up_tries


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
        failure: CarrierError = _no_answer_to_a_call()
        with trio.move_on_after(self._limits.dial_s):
            for number in range(self._limits.tries):
                if number > 0:
                    await trio.sleep(self._limits.pause_s * 2 ** (number - 1))
                failure = _no_answer_to_a_call()  # from here on the request may be under way
                try:
                    return await self._place(form, order.token)
                except (CarrierUnavailable, CarrierRefused) as nothing_rings:
                    if not _may_pass(nothing_rings):
                        raise
                    failure = nothing_rings
        raise failure

    async def hang_up(self, carrier_call_id: str) -> None:
        """See `voicecore.ports.Dialler`."""
        failure: CarrierError = _not_surely_ended()
        for number in range(self._limits.hang_up_tries):
            if number > 0:
                await trio.sleep(self._limits.pause_s)
            failure = _not_surely_ended()
            with trio.move_on_after(self._limits.hang_up_try_s):
                try:
                    return await self._end(carrier_call_id)
                except CarrierError as failed:
                    if not _may_pass(failed):
                        raise
                    failure = failed
        raise failure

    # --- one request -------------------------------------------------------------------

    async def _place(self, form: twilio_rest.Pairs, token: str) -> str:
        """Ask once for a call; return its id. Raises as `dial` does."""
        url = twilio_rest.calls_url(self._account.api_base_url, self._account.account_sid)
        try:
            answer = await self._post(url, form)
        except NotConnected as unreached:
            raise CarrierUnavailable(f"Twilio could not be reached: {unreached}") from unreached
        except ConnectionLost as lost:
            raise CarrierUncertain(f"Twilio gave no answer to a call: {lost}") from lost
        if answer.status not in _SUCCESS:
            raise _failure(self._problem(answer, token))
        try:
            return twilio_rest.read_call_sid(answer.body)
        except RemoteProtocolError as unreadable:
            raise CarrierUncertain(f"Twilio's answer to a call cannot be read: {unreadable}") from unreadable

    async def _end(self, carrier_call_id: str) -> None:
        """Ask once for the end of a call. Raises as `hang_up` does."""
        account = self._account
        url = twilio_rest.call_url(account.api_base_url, account.account_sid, carrier_call_id)
        try:
            answer = await self._post(url, twilio_rest.end_call_form())
        except ConnectionLost as lost:
            raise CarrierUncertain(f"a call may not have been ended: {lost}") from lost
        if answer.status not in _SUCCESS:
            problem = self._problem(answer)
            if not problem.says_that_the_call_is_over:
                raise _failure(problem)

    async def _post(self, url: str, form: twilio_rest.Pairs) -> HttpAnswer:
        account = self._account
        return await self._http.post_form(url, form, auth=(account.account_sid, account.auth_token.reveal()))

    def _problem(self, answer: HttpAnswer, *tokens: str) -> twilio_rest.RestProblem:
        secrets: Collection[str] = (self._account.auth_token.reveal(), *tokens)
        return twilio_rest.read_problem(answer.status, answer.body, secrets)

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


def _failure(problem: twilio_rest.RestProblem) -> CarrierRefused | CarrierUncertain:
    """Return what an answer means that is no success."""
    code = "" if problem.code is None else f", error {problem.code}"
    words = f"Twilio answered with HTTP status {problem.status}{code}: {problem.message}"
    if problem.status in _CLIENT_ERRORS and problem.status != _REQUEST_TIMEOUT:
        return CarrierRefused(words, status=problem.status, code=problem.code)
    return CarrierUncertain(words)


def _may_pass(failure: CarrierError) -> bool:
    """Whether the same request may succeed a moment later."""
    return not isinstance(failure, CarrierRefused) or failure.status == twilio_rest.TOO_MANY_REQUESTS


def _no_answer_to_a_call() -> CarrierUncertain:
    return CarrierUncertain("Twilio gave no answer to a call in time")


def _not_surely_ended() -> CarrierUncertain:
    return CarrierUncertain("a call may not have been ended: Twilio did not answer in time")
