"""Checks the account's credentials and status with one free request; for `voicecore check --live`.

Facts: docs/protocols/twilio-media-streams.md, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, ConnectionLost, RemoteProtocolError
from voicecore.net.http.client import HttpClient
from voicecore.wire import twilio_rest

_OK = 200
_ADVICE: Mapping[int, str] = {
    401: ": check carriers.twilio.account_sid and carriers.twilio.auth_token",
    404: ": check carriers.twilio.account_sid and carriers.twilio.api_base_url",
}


async def read_standing(account: TwilioAccount, http: HttpClient) -> str:
    """Return the account's status and type, such as "active, Full". The HTTP client limits its time.

    Raises:
        CarrierUnavailable: Twilio could not be reached, or its answer cannot be read.
        CarrierRefused: Twilio refused the request, or the account is not active.
    """
    url = twilio_rest.account_url(account.api_base_url, account.account_sid)
    token = account.auth_token.reveal()
    try:
        answer = await http.get(url, auth=(account.account_sid, token))
    except ConnectionLost as lost:
        raise CarrierUnavailable(f"Twilio could not be reached: {lost}") from lost
    if answer.status != _OK:
        raise _refusal(twilio_rest.read_problem(answer.status, answer.body, (token,)))
    try:
        return _words(twilio_rest.read_account(answer.body), answer.status)
    except RemoteProtocolError as unreadable:
        raise CarrierUnavailable(f"Twilio's answer cannot be read: {unreadable}") from unreadable


def _words(state: twilio_rest.AccountState, http_status: int) -> str:
    if state.status not in {None, "active"}:
        raise CarrierRefused(f"the account is {state.status}", status=http_status)
    trial = "Trial: it can call verified numbers only" if state.kind == "Trial" else state.kind
    return ", ".join(word for word in (state.status, trial) if word)


def _refusal(problem: twilio_rest.RestProblem) -> CarrierError:
    code = "" if problem.code is None else f", error {problem.code}"
    words = f"Twilio answered with HTTP status {problem.status}{code}: {problem.message}"
    words += _ADVICE.get(problem.status, "")
    return CarrierRefused(words, status=problem.status, code=problem.code)
