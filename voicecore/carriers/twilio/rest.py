"""Twilio's REST API: sends requests, classifies error responses, and ends calls.

Rule 1: the request that ends a call may be repeated; a call that is already over
counts as ended.
Rule 2: each request, the number of tries and the total time are bounded.
Rule 3: tokens that an error response may repeat are removed from its message.

Facts: docs/protocols/twilio-media-streams.md, sections 7 and 12;
docs/protocols/twilio-transfer-and-wideband.md, section 6.
`TwilioControl` implements `voicecore.ports.CallControl`; assembly.py creates it.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs
import trio

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.errors import CarrierError, CarrierRefused, CarrierUncertain, ConnectionLost
from voicecore.net.http.client import HttpAnswer, HttpClient
from voicecore.wire import twilio_rest

SUCCESS = range(200, 300)  #: HTTP statuses

_CLIENT_ERRORS = range(400, 500)
_REQUEST_TIMEOUT = 408


@attrs.frozen(kw_only=True)
class HangUpLimits:
    """Limits of the requests that end a call."""

    tries: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    pause_s: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    """Between two tries."""
    total_s: float = attrs.field(default=5.0)
    """All tries and pauses together."""

    @total_s.validator
    def _leaves_time_for_tries(self, _: object, value: float) -> None:
        if value <= self.pause_s * (self.tries - 1):
            raise ValueError("total_s must be more than the pauses between tries")

    @property
    def try_s(self) -> float:
        """The time of one try, so that one without an answer leaves time for the others."""
        return (self.total_s - self.pause_s * (self.tries - 1)) / self.tries


class TwilioRest:
    """The REST API of one account."""

    def __init__(self, account: TwilioAccount, http: HttpClient) -> None:
        self.account = account
        self._http = http

    async def post(self, url: str, form: twilio_rest.Pairs) -> HttpAnswer:
        """Send a form. Raises ConnectionLost."""
        account = self.account
        return await self._http.post_form(url, form, auth=(account.account_sid, account.auth_token.reveal()))

    def problem(self, answer: HttpAnswer, *tokens: str) -> twilio_rest.RestProblem:
        """Read an error response, with the account's token and ``tokens`` removed."""
        secrets: Collection[str] = (self.account.auth_token.reveal(), *tokens)
        return twilio_rest.read_problem(answer.status, answer.body, secrets)


class TwilioControl:
    """Ends calls of an account, incoming and outbound."""

    def __init__(self, rest: TwilioRest, limits: HangUpLimits | None = None) -> None:
        self._rest = rest
        self._limits = limits or HangUpLimits()

    async def hang_up(self, carrier_call_id: str) -> None:
        """See `voicecore.ports.CallControl`."""
        failure: CarrierError = _not_surely_ended()
        for number in range(self._limits.tries):
            if number > 0:
                await trio.sleep(self._limits.pause_s)
            failure = _not_surely_ended()
            with trio.move_on_after(self._limits.try_s):
                try:
                    return await self._end(carrier_call_id)
                except CarrierError as failed:
                    if not may_pass(failed):
                        raise
                    failure = failed
        raise failure

    async def _end(self, carrier_call_id: str) -> None:
        """Send the request once. Raises as `hang_up` does."""
        account = self._rest.account
        url = twilio_rest.call_url(account.api_base_url, account.account_sid, carrier_call_id)
        try:
            answer = await self._rest.post(url, twilio_rest.end_call_form())
        except ConnectionLost as lost:
            raise CarrierUncertain(f"a call may not have been ended: {lost}") from lost
        if answer.status not in SUCCESS:
            problem = self._rest.problem(answer)
            if not problem.says_that_the_call_is_over:
                raise failure_of(problem)


def failure_of(problem: twilio_rest.RestProblem) -> CarrierRefused | CarrierUncertain:
    """Return the error for an error response."""
    code = "" if problem.code is None else f", error {problem.code}"
    words = f"Twilio answered with HTTP status {problem.status}{code}: {problem.message}"
    if problem.status in _CLIENT_ERRORS and problem.status != _REQUEST_TIMEOUT:
        return CarrierRefused(words, status=problem.status, code=problem.code)
    return CarrierUncertain(words)


def may_pass(failure: CarrierError) -> bool:
    """Whether the same request may succeed if repeated."""
    return not isinstance(failure, CarrierRefused) or failure.status == twilio_rest.TOO_MANY_REQUESTS


def _not_surely_ended() -> CarrierUncertain:
    return CarrierUncertain("a call may not have been ended: Twilio did not answer in time")
