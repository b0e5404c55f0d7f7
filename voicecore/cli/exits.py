"""How a command says that it did not work.

Used by every command; turned into lines and exit codes by main.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def read_config(path: Path | None) -> str | None:
    """Return the text of a configuration file; None where none was named.

    Raises:
        WrongUsage: It cannot be read, or is not text.
    """
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path}: is not UTF-8 text") from error
