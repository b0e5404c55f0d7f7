"""Secrets: values that cannot be printed, logged, pickled or sent by accident.

Rule 1: a secret is made where it is read and revealed where it goes onto the
wire; between the two it is a `Secret`.
Rule 2: a secret is compared in constant time, and only with another secret.

Level 0.  Used by config.py, carriers/, providers/ and net/.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

_MASK = "***"


@final
class Secret:
    """A text that shows itself only to `reveal`.

    Made from a text or from another `Secret`, so that it serves as an attrs
    converter.

    Raises:
        ValueError: The text is empty; an empty key would verify anything.
        TypeError: Neither a text nor a secret.
    """

    # Not an attrs class: attrs.asdict would walk into it and bring the text out.
    __slots__ = ("_text",)

    def __init__(self, text: str | Secret) -> None:
        revealed = text.reveal() if isinstance(text, Secret) else text
        if not isinstance(revealed, str):
            raise TypeError("a secret is made from a text")
        if not revealed:
            raise ValueError("a secret must not be empty")
        self._text: Final = revealed

    def reveal(self) -> str:
        """Return the text itself, for the one place that puts it on the wire."""
        return self._text

    def __str__(self) -> str:
        return _MASK

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")

    def _bytes(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")
