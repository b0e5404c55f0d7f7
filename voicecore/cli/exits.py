"""How a command says that it did not work."""

from __future__ import annotations

from collections.abc import Sequence

DONE, FAILED, USAGE = 0, 1, 2


class Failed(Exception):
    """The thing failed: exit 1, with these lines."""

    code = FAILED

    def __init__(self, *lines: str) -> None:
        self.lines: Sequence[str] = lines
        super().__init__(*lines)


class WrongUsage(Failed):
    """The command, or its configuration, is wrong: exit 2."""

    code = USAGE
