"""Secrets: values that cannot be printed, logged, pickled or sent by accident.

Rule 1: a secret is made where it is read and revealed where it goes onto the
wire; between the two it is a `Secret`.
Rule 2: a secret is compared in constant time, and only with another secret.
Rule 3: a peer may say a secret back to us.  `scrubbed` takes every secret that is
alive out of a text: whole or in part, plain or as it goes over a wire.

Level 0.
"""

from __future__ import annotations

import base64
import hmac
import re
import weakref
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NoReturn, final
from urllib.parse import quote, quote_plus

_MASK = "***"
_RUN = 8  #: characters of a secret, one behind the other, that are taken out of a text
_SHORTEST = 4  #: a secret that is shorter hides nothing, and is part of many words
_ALIVE_LIMIT = 1000  #: secrets that are looked for
_WORDS = re.compile(r"[a-z._ -]+")


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
    __slots__ = ("_known", "_text")

    def __init__(self, text: str | Secret) -> None:
        revealed = text.reveal() if isinstance(text, Secret) else text
        if not isinstance(revealed, str):
            raise TypeError("a secret is made from a text")
        if not revealed:
            raise ValueError("a secret must not be empty")
        self._text: Final = revealed
        self._known: Final = _known(revealed)  # as long as the secret lives, so long it is looked for

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


def scrubbed(text: str) -> str:
    """Return ``text`` without any secret that is alive, whole or eight characters of it, in any usual spelling.

    Usual are: plain, percent-encoded, hexadecimal, and base64 in whatever a longer
    text it stands, such as a Basic header's name and password.  What is made of small
    letters and hyphens only is taken for a word, and stays: eight characters of a
    secret, or a whole one that is shorter ("token" as a token would garble every line).
    """
    if not _alive or len(text) < _SHORTEST:
        return text
    runs = _runs(text)
    hidden = bytearray(len(text))
    for known in list(_alive.values()):
        for piece in (*known.spellings, *(known.runs & runs)):
            _hide(text, piece, hidden)
    return _masked(text, hidden) if any(hidden) else text


class _Known:
    """A text that is looked for as long as somebody has it."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def spellings(self) -> frozenset[str]:
        """What is looked for whole."""
        found = {each for each in _spellings(self._text) if len(each) >= _RUN}
        is_short_word = len(self._text) < _RUN and _WORDS.fullmatch(self._text) is not None
        return frozenset(found if len(self._text) < _SHORTEST or is_short_word else found | {self._text})

    @cached_property
    def runs(self) -> frozenset[str]:
        """What is looked for in part: never a mere word."""
        runs = set[str]().union(*map(_runs, self.spellings))
        return frozenset(run for run in runs if not _WORDS.fullmatch(run))


_alive: weakref.WeakValueDictionary[str, _Known] = weakref.WeakValueDictionary()


def _known(text: str) -> _Known | None:
    known = _alive.get(text)
    if known is None and len(_alive) < _ALIVE_LIMIT:
        known = _alive[text] = _Known(text)
    return known


def _spellings(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    yield text
    yield quote(data, safe="")
    yield quote_plus(data)
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):  # where it stands in a longer text decides how its bytes fall into groups of three
        padded = bytes(before) + data
        whole = base64.b64encode(padded[: len(padded) - len(padded) % 3]).decode()[(0, 2, 3)[before] :]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _runs(text: str) -> set[str]:
    return {text[at : at + _RUN] for at in range(len(text) - _RUN + 1)}


def _hide(text: str, piece: str, hidden: bytearray) -> None:
    """Mark the characters of ``text`` that a piece covers, wherever it stands."""
    at = text.find(piece)
    while at >= 0:
        hidden[at : at + len(piece)] = b"\1" * len(piece)
        at = text.find(piece, at + 1)


def _masked(text: str, hidden: bytearray) -> str:
    shown: list[str] = []
    for at, character in enumerate(text):
        if not hidden[at]:
            shown.append(character)
        elif at == 0 or not hidden[at - 1]:
            shown.append(_MASK)
    return "".join(shown)
