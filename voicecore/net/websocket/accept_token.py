"""What a server answers to the key of a WebSocket client. RFC 6455, section 4.2.2.

Pure.
"""

from __future__ import annotations

import base64
import hashlib

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_token(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key.

    It shows that the server speaks WebSocket and protects nothing, so SHA-1 is good enough.
    """
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
