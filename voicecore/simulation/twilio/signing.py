"""Twilio's request signature as Twilio makes it; written apart from the one under test, so that the two can disagree.

Facts: docs/protocols/twilio-media-streams.md, section 11.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping


def sign(auth_token: str, url: str, fields: Mapping[str, str] | None = None) -> str:
    """Return the X-Twilio-Signature of a form POST, or of an upgrade where there are no fields."""
    text = url
    for name in sorted(fields or {}):
        text += name + (fields or {})[name]
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()
