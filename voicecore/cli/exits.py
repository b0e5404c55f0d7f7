"""Exit codes of the commands, and the exceptions that cause them."""

from __future__ import annotations

from collections.abc import Sequence

DONE, FAILED, USAGE = 0, 1, 2


class Failed(Exception):
    """The command failed: exit 1, with these lines on stderr."""

    code = FAILED

    def __init__(self, *lines: str) -> None:
        self.lines: Sequence[str] = lines
        super().__init__(*lines)


class WrongUsage(Failed):
    """The command line or the configuration is wrong: exit 2."""

    code = USAGE
