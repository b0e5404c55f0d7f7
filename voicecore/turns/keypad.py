"""Keys of the user's telephone, collected into one entry.

    ──key──► COLLECTING ──terminator │ pause │ full──► Entry

Rule 1: an entry is over at the terminator (which is not part of it), after a
pause, or at ``most_keys``; keys beyond belong to the next entry.
Rule 2: what was pressed is shown to the agent alone; no text of ours repeats it.

Pure; time is an argument.
"""

from __future__ import annotations

import attrs

from voicecore import kinds

KEYS = frozenset("0123456789*#ABCD")


@attrs.frozen(kw_only=True)
class KeypadSettings:
    """How keys are collected; seconds."""

    pause_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0, high=60))
    """After a key, how long the next one may take."""
    terminator: str | None = attrs.field(default="#", validator=kinds.optional(kinds.one_of(sorted(KEYS))))
    """The key that ends an entry; None: only a pause does."""
    most_keys: int = attrs.field(default=32, validator=kinds.whole(1, 64))
    """Keys in one entry at most."""


@attrs.frozen
class Entry:
    """What was keyed in."""

    keys: str = attrs.field(repr=lambda keys: f"<{len(keys)} keys>")


class Keypad:
    """The keypad of one call."""

    def __init__(self, settings: KeypadSettings | None = None) -> None:
        self.settings = settings or KeypadSettings()
        self.pressed = 0
        self.ignored = 0
        """Keys that no telephone has."""
        self._keys = ""  # bounded by most_keys
        self._deadline: float | None = None

    def press(self, key: str, now: float) -> Entry | None:
        """Take one key; return the entry that it ends, or that was over before it."""
        if key not in KEYS:
            self.ignored += 1
            return None
        self.pressed += 1
        before = self.expire(now)
        if key == self.settings.terminator:
            return before or self._end()
        self._keys += key
        is_full = len(self._keys) >= self.settings.most_keys
        self._deadline = now if is_full else now + self.settings.pause_s
        return before or (self._end() if is_full else None)

    @property
    def is_collecting(self) -> bool:
        """Whether an entry has begun."""
        return bool(self._keys)

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        return self._deadline

    def expire(self, now: float) -> Entry | None:
        """Return the entry that a pause has ended."""
        return self._end() if self._deadline is not None and self._deadline <= now else None

    def _end(self) -> Entry | None:
        keys, self._keys, self._deadline = self._keys, "", None
        return Entry(keys) if keys else None
