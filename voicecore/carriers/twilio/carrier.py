"""Twilio as a `Carrier`: the settings of an account, and what they open into.

Implements `voicecore.ports.Carrier` and `voicecore.ports.OpenCarrier`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.carriers.twilio.account import TwilioAccount
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
    """A Twilio account that calls come and go through."""

    account_sid: str
    auth_token: Secret = attrs.field(converter=Secret)
    """Signs webhooks and authenticates REST requests."""
    phone_number: str | None = None
    """Our own number in E.164 form, which calls are placed from; None: none are placed."""
    api_base_url: str = "https://api.twilio.com"
    verify_signatures: bool = True
    apology: str | None = None
    """What Twilio says when a call cannot go on (no session, a lost one, a fault of ours); None: nothing."""

    @property
    def name(self) -> str:
        return "twilio"

    def account(self, public_url: str) -> TwilioAccount:
        """Return the account as it is reached under a public URL."""
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
            raise ConfigError("server.public_url", "missing; Twilio has to be told where to find the engine")
        account = self.account(public_url)
        async with open_http_client(world.network) as http:
            yield OpenTwilio(world, account, TwilioRest(account, http), self.phone_number)


class OpenTwilio:
    """An account that can be used."""

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
        """See `voicecore.ports.OpenCarrier`: Twilio goes on with the TwiML behind the stream, if there is any."""
        return self._account.apology is not None

    def routes(self, host: CallHost) -> Routes:
        """See `voicecore.ports.OpenCarrier`."""
        self._inbound = TwilioInbound(self._world, self._account, host)
        return self._inbound.routes()

    def unrouted(self, request: Request, status: int) -> None:
        """See `voicecore.ports.OpenCarrier`."""
        if self._inbound is not None:
            self._inbound.unrouted(request, status)
