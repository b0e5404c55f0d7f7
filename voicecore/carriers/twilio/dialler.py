"""Places calls through Twilio's REST API.

Rule 1: a phone never rings twice for one call. A request is repeated only if it
certainly had no effect: no connection was made, or Twilio rate-limited it. Any other
unclear answer is `CarrierUncertain`; status callbacks, which contain our own call
id, then show what happened.
Rule 2: each request, the number of tries and the total time are bounded.

Facts: docs/protocols/twilio-media-streams.md, sections 7 to 9.
Implements `voicecore.ports.Dialler`; assembly.py creates it.
"""

from __future__ import annotations

import attrs
import trio

from voicecore.carriers.twilio.rest import SUCCESS, TwilioRest, failure_of, may_pass
from voicecore.errors import (
    CarrierError,
    CarrierRefused,
    CarrierUnavailable,
    CarrierUncertain,
    ConnectionLost,
    NotConnected,
    RemoteProtocolError,
)
from voicecore.ports import DialOrder, MachineDetection
from voicecore.wire import twilio_rest, twiml


@attrs.frozen(kw_only=True)
class DialLimits:
    """Limits of the requests that place a call."""

    tries: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    """How often a request is sent, if repeating it is safe."""
    pause_s: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    """Before the second try; doubled before each further one."""
    dial_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    """All tries together; longer than three connection timeouts."""


class TwilioDialler:
    """Places calls from one number of an account."""

    def __init__(self, rest: TwilioRest, number: str, limits: DialLimits | None = None) -> None:
        self._rest = rest
        self._number = number
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
                failure = _no_answer_to_a_call()  # from here on the request may be in flight
                try:
                    return await self._place(form, order.token)
                except (CarrierUnavailable, CarrierRefused) as nothing_rings:
                    if not may_pass(nothing_rings):
                        raise
                    failure = nothing_rings
        raise failure

    async def _place(self, form: twilio_rest.Pairs, token: str) -> str:
        """Send the request once; return the id of the call. Raises as `dial` does."""
        account = self._rest.account
        url = twilio_rest.calls_url(account.api_base_url, account.account_sid)
        try:
            answer = await self._rest.post(url, form)
        except NotConnected as unreached:
            raise CarrierUnavailable(f"Twilio could not be reached: {unreached}") from unreached
        except ConnectionLost as lost:
            raise CarrierUncertain(f"Twilio gave no answer to the request for a call: {lost}") from lost
        if answer.status not in SUCCESS:
            raise failure_of(self._rest.problem(answer, token))
        try:
            return twilio_rest.read_call_sid(answer.body)
        except RemoteProtocolError as unreadable:
            raise CarrierUncertain(
                f"Twilio's answer to the request for a call cannot be read: {unreadable}"
            ) from unreadable

    def _new_call(self, order: DialOrder) -> twilio_rest.NewCall:
        account = self._rest.account
        before = order.detection is MachineDetection.SYNC
        beside = order.detection is MachineDetection.ASYNC
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


def _no_answer_to_a_call() -> CarrierUncertain:
    return CarrierUncertain("Twilio did not answer the request for a call in time")
