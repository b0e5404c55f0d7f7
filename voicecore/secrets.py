"""Secrets: a type that hides its text, and the removal of secrets from other texts.

Rule 1: a secret is a `Secret` from where it is read until it is sent, where it is
revealed.
Rule 2: a secret is compared in constant time, and only with another secret.
Rule 3: a peer may repeat a secret. `scrubbed` removes every secret that exists in
the process from a text: whole or in part, plain or encoded.

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
_RUN = 8  #: consecutive characters of a secret that are removed from a text
_SHORTEST = 4  #: shorter secrets are not searched for: they are part of many words
_ALIVE_LIMIT = 1000  #: the number of secrets that are searched for
_WORDS = re.compile(r"[a-z._ -]+")


@final
class Secret:
    """A string that only `reveal` returns.

    It is created from a string or another `Secret`, so that the class is an attrs
    converter.

    Raises:
        ValueError: The string is empty; an empty key would verify anything.
        TypeError: Neither a string nor a secret.
    """

    # Not an attrs class, because attrs.asdict would reveal the text.
    __slots__ = ("_known", "_text")

    def __init__(self, text: str | Secret) -> None:
        revealed = text.reveal() if isinstance(text, Secret) else text
        if not isinstance(revealed, str):
            raise TypeError("a secret must be a string")
        if not revealed:
            raise ValueError("a secret must not be empty")
        self._text: Final = revealed
        self._known: Final = _known(revealed)  # keeps the search for this secret alive

    def reveal(self) -> str:
        """Return the text, for the code that sends it."""
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
    """Return ``text`` with every existing secret removed, whole or in runs of eight characters, in any usual encoding.

    The encodings are plain, percent, hexadecimal, and base64 at any offset, as in the
    Authorization header of HTTP Basic. Lower-case letters with hyphens count as a word
    and stay, if they are only eight characters of a secret or a whole secret that is
    shorter: a token "token" would garble every line.
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
    """A secret's text, searched for as long as a `Secret` has it."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def spellings(self) -> frozenset[str]:
        """The encodings that are searched for as a whole."""
        found = {each for each in _spellings(self._text) if len(each) >= _RUN}
        is_short_word = len(self._text) < _RUN and _WORDS.fullmatch(self._text) is not None
        return frozenset(found if len(self._text) < _SHORTEST or is_short_word else found | {self._text})

    @cached_property
    def runs(self) -> frozenset[str]:
        """The runs of characters that are searched for; words are left out."""
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
    for before in range(3):  # the offset in a longer text decides how bytes are grouped in threes
        padded = bytes(before) + data
        whole = base64.b64encode(padded[: len(padded) - len(padded) % 3]).decode()[(0, 2, 3)[before] :]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _runs(text: str) -> set[str]:
    return {text[at : at + _RUN] for at in range(len(text) - _RUN + 1)}


def _hide(text: str, piece: str, hidden: bytearray) -> None:
    """Mark the characters of ``text`` that belong to an occurrence of ``piece``."""
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
