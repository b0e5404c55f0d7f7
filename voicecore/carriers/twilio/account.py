"""The Twilio account: credentials, and the URLs that Twilio reaches us at.

Rule: URLs are built from the configured public URL alone; nothing in a request
changes them.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import attrs

from voicecore.secrets import Secret

APOLOGY = "We are sorry, this call cannot be continued. Please call again later."


@attrs.frozen(kw_only=True)
class TwilioAccount:
    """Credentials and URLs of a Twilio account."""

    account_sid: str
    auth_token: Secret
    public_url: str
    """Where Twilio reaches us, without a trailing slash; http for loopback only."""
    api_base_url: str = "https://api.twilio.com"
    verify_signatures: bool = True
    apology: str | None = APOLOGY
    """The sentence that the carrier speaks if a call fails on our side (no session, session lost, bug); None: none."""

    def url(self, scheme: Literal["http", "ws"]) -> str:
        """Return the public URL for http or ws, with TLS if the public URL has it."""
        secure, _, rest = self.public_url.partition("://")
        return f"{scheme}{'s' if secure.endswith('s') else ''}://{rest}"

    def media_url(self, token: str) -> str:
        """Return the URL of the media stream for a token."""
        return f"{self.url('ws')}/twilio/media/{token}"

    def callback_url(self, what: Literal["status", "amd", "voice"], call_id: str) -> str:
        """Return the URL of a webhook for a call that we placed; it contains our own call id."""
        return f"{self.url('http')}/twilio/{what}?call={quote(call_id, safe='')}"
