"""Header fields that we send, checked before a library sees them: libraries quote what they refuse.

Rule: an error names the field; its value, perhaps a key, is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from voicecore.errors import LocalProtocolError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def encode_headers(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return the fields as bytes (RFC 9110, section 5).

    Raises:
        LocalProtocolError: A name is no token; or a value is not printable ASCII, or
            begins or ends with space: often the line end of a key that was read from a file.
    """
    return [_encode(name, value) for name, value in fields]


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name):
        raise LocalProtocolError("a header's name contains a character that may not be sent")
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise LocalProtocolError(f"the value of the header {name} contains a character that may not be sent")
    return name.encode(), value.encode()
