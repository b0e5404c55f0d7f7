"""What the server says when it refuses: its own words, fit for a message.

Its words name what no code does: the day on which a model was switched off, the
limit that was met.  They may also repeat the key.

Rule: the key, and whatever looks like one, is struck out; the rest is cut and
made printable.
"""

from __future__ import annotations

import re

from voicecore.errors import HandshakeRefused, printable
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import refusal_message

_KEY = re.compile(r"\bsk-[^\s'\"]+")
_SHOWN_CHARS = 300
_ADVICE = {401: "check the API key", 403: "check the key's permissions", 404: "check the base URL and the model"}
_ADVICE |= {429: "over quota or limit"}


def refusal_words(refusal: HandshakeRefused, key: Secret) -> str:
    """Return what a refused upgrade means, as the end of a sentence: advice, then the server's words."""
    parts = [part for part in (_ADVICE.get(refusal.status), said(refusal_message(refusal.body), key)) if part]
    return f": {': '.join(parts)}" if parts else ""


def said(message: str | None, key: Secret) -> str:
    """Return a server's words without keys; "" for none."""
    return printable(_KEY.sub("sk-***", (message or "").replace(key.reveal(), "***")), _SHOWN_CHARS)
