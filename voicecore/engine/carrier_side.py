"""The host as one carrier sees it, and the choice of the carrier that places a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from voicecore.engine.hosted_call import HostedCall
from voicecore.errors import ConfigError, printable
from voicecore.ports import (
    AmdResult,
    CallHost,
    Dialler,
    Leg,
    MediaPass,
    NotTaken,
    OpenCarrier,
    RingingCall,
    StatusReport,
)


class HostOfAll(CallHost, Protocol):
    """A host that several carriers report to."""

    def incoming(self, ringing: RingingCall, carrier: OpenCarrier | None = None) -> str | NotTaken:
        """See `voicecore.ports.CallHost`; ``carrier``: who brings the call."""
        ...

    def accepts(self, hosted: HostedCall, carrier_call_id: str) -> bool:
        """Whether a stream under this carrier id may be the call's."""
        ...

    async def run_media(self, hosted: HostedCall, leg: Leg) -> bool:
        """Give the call its media; return once nothing uses them any more: whether they kept their protocol."""
        ...

    def media_never_came(self, hosted: HostedCall, detail: str) -> None:
        """The stream ended before it began."""
        ...


class ForCarrier:
    """A host that knows whatever comes in as one carrier's; implements `voicecore.ports.CallHost`."""

    def __init__(self, host: HostOfAll, carrier: OpenCarrier) -> None:
        self._host = host
        self._carrier = carrier

    def incoming(self, ringing: RingingCall) -> str | NotTaken:
        """See `voicecore.ports.CallHost`."""
        return self._host.incoming(ringing, self._carrier)

    def token_valid(self, token: str) -> bool:
        """See `voicecore.ports.CallHost`."""
        return self._host.token_valid(token)

    def take_token(self, token: str) -> MediaPass | None:
        """See `voicecore.ports.CallHost`."""
        return self._host.take_token(token)

    def status(self, report: StatusReport) -> None:
        """See `voicecore.ports.CallHost`."""
        self._host.status(report)

    def amd_result(self, report: AmdResult) -> None:
        """See `voicecore.ports.CallHost`."""
        self._host.amd_result(report)

    def answered(self, report: AmdResult) -> str | None:
        """See `voicecore.ports.CallHost`."""
        return self._host.answered(report)


def dialler_of(carriers: Sequence[OpenCarrier], name: str | None) -> tuple[OpenCarrier, Dialler]:
    """Return the carrier of this name that places calls; None: the first one that does.

    Raises:
        ConfigError: There is no such carrier, or it has no number to place calls from.
    """
    named = [carrier for carrier in carriers if name in {None, carrier.name}]
    for carrier in named:
        if carrier.dialler is not None:
            return carrier, carrier.dialler
    there = ", ".join(carrier.name for carrier in carriers) or "none"
    if named:
        raise ConfigError("carriers", f"none has a phone number that calls can be placed from (there is: {there})")
    wanted = "no carrier was given" if name is None else f"no such carrier: {printable(name)} (there is: {there})"
    raise ConfigError("carriers", wanted)


class HostedPass:
    """A media token that was taken; implements `voicecore.ports.MediaPass`."""

    def __init__(self, host: HostOfAll, hosted: HostedCall) -> None:
        self._host = host
        self._hosted = hosted

    def accepts(self, carrier_call_id: str) -> bool:
        return self._host.accepts(self._hosted, carrier_call_id)

    async def run_call(self, leg: Leg) -> bool:
        return await self._host.run_media(self._hosted, leg)

    def media_never_came(self, detail: str) -> None:
        self._host.media_never_came(self._hosted, detail)
