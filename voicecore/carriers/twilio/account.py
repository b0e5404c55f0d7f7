"""The account that calls come and go through, and the addresses that Twilio knows us by.

Rule: addresses are made from the configured public URL alone; nothing that a
request says changes them.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import attrs

from voicecore.secrets import Secret


@attrs.frozen(kw_only=True)
class TwilioAccount:
    """The account that calls come and go through."""

    account_sid: str
    auth_token: Secret
    public_url: str
    """How Twilio reaches us, without a slash at its end; http for loopback only."""
    api_base_url: str = "https://api.twilio.com"
    verify_signatures: bool = True
    apology: str | None = "We are sorry, this call cannot be continued. Please call again later."
    """What the carrier says when a call cannot go on (no session, a lost one, a fault of ours); None: nothing."""

    def url(self, scheme: Literal["http", "ws"]) -> str:
        """Return the public URL for http or for ws, secure where it is."""
        secure, _, rest = self.public_url.partition("://")
        return f"{scheme}{'s' if secure.endswith('s') else ''}://{rest}"

    def media_url(self, token: str) -> str:
        """Return where the media stream of a token's call goes."""
        return f"{self.url('ws')}/twilio/media/{token}"

    def callback_url(self, what: Literal["status", "amd", "voice"], call_id: str) -> str:
        """Return where Twilio tells of a call that we placed; our own id comes back in it."""
        return f"{self.url('http')}/twilio/{what}?call={quote(call_id, safe='')}"
