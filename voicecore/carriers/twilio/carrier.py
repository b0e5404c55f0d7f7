"""The `Twilio` carrier that an engine is given: account settings, and the open carrier behind them.

Implements `voicecore.ports.Carrier` and `voicecore.ports.OpenCarrier`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.carriers.twilio.account import APOLOGY, TwilioAccount
from voicecore.carriers.twilio.dialler import TwilioDialler
from voicecore.carriers.twilio.rest import TwilioControl, TwilioRest
from voicecore.carriers.twilio.webhooks import TwilioInbound
from voicecore.errors import ConfigError
from voicecore.net.http.client import open_http_client
from voicecore.net.http.messages import Request
from voicecore.net.http.routes import Routes
from voicecore.ports import CallHost
from voicecore.secrets import Secret
from voicecore.world import World


@attrs.frozen(kw_only=True)
class Twilio:
    """Settings of a Twilio account; a `voicecore.ports.Carrier`."""

    account_sid: str
    auth_token: Secret = attrs.field(converter=Secret)
    """Signs webhooks and authenticates REST requests."""
    phone_number: str | None = None
    """The number in E.164 form that calls are placed from; None: no calls can be placed."""
    api_base_url: str = "https://api.twilio.com"
    verify_signatures: bool = True
    apology: str | None = APOLOGY
    """The sentence that Twilio speaks if a call fails on our side (no session, session lost, bug); None: none."""

    @property
    def name(self) -> str:
        return "twilio"

    def account(self, public_url: str) -> TwilioAccount:
        """Return the account with the public URL at which Twilio reaches us."""
        return TwilioAccount(
            account_sid=self.account_sid,
            auth_token=self.auth_token,
            public_url=public_url,
            api_base_url=self.api_base_url,
            verify_signatures=self.verify_signatures,
            apology=self.apology,
        )

    @asynccontextmanager
    async def open_carrier(self, world: World, public_url: str) -> AsyncIterator[OpenTwilio]:
        """See `voicecore.ports.Carrier`."""
        if not public_url:
            raise ConfigError("server.public_url", "missing; Twilio needs a URL at which it reaches the engine")
        account = self.account(public_url)
        async with open_http_client(world.network) as http:
            yield OpenTwilio(world, account, TwilioRest(account, http), self.phone_number)


class OpenTwilio:
    """An account that is ready for calls."""

    def __init__(self, world: World, account: TwilioAccount, rest: TwilioRest, number: str | None) -> None:
        self.control = TwilioControl(rest)
        self.dialler = None if number is None else TwilioDialler(rest, number)
        self._world = world
        self._account = account
        self._inbound: TwilioInbound | None = None

    @property
    def name(self) -> str:
        return "twilio"

    @property
    def media_format(self) -> AudioFormat:
        return PCMU_8K

    @property
    def outlives_stream(self) -> bool:
        """See `voicecore.ports.OpenCarrier`: Twilio continues with the TwiML after the stream, if there is any."""
        return self._account.apology is not None

    def routes(self, host: CallHost) -> Routes:
        """See `voicecore.ports.OpenCarrier`."""
        self._inbound = TwilioInbound(self._world, self._account, host)
        return self._inbound.routes()

    def unrouted(self, request: Request, status: int) -> None:
        """See `voicecore.ports.OpenCarrier`."""
        if self._inbound is not None:
            self._inbound.unrouted(request, status)
