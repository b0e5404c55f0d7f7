"""Error messages from the server's refusals, with API keys removed.

The server's message has details that no code has, such as the date on which a model
was retired, or the limit that was reached. It may also repeat the key.

Rule: the key, and anything that looks like one, is removed; the rest is cut and
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
_ADVICE |= {429: "over quota, or over a rate limit"}


def refusal_words(refusal: HandshakeRefused, key: Secret) -> str:
    """Return the reason of a refused upgrade, to end a sentence: advice, then the server's message."""
    parts = [part for part in (_ADVICE.get(refusal.status), said(refusal_message(refusal.body), key)) if part]
    return f": {': '.join(parts)}" if parts else ""


def said(message: str | None, key: Secret) -> str:
    """Return a server's message without keys; "" for none."""
    return printable(_KEY.sub("sk-***", (message or "").replace(key.reveal(), "***")), _SHOWN_CHARS)
