"""Ctrl-C while the program is still being loaded ends it at once, quietly, with exit 130.

Python would print a traceback from the midst of some import.  A library has no
business with signals, so this is done only where the process is our own program
(`voicecore`, or `python -m voicecore`), only where SIGINT means what Python makes of
it, and only until the program itself begins.

Importing this does it; it comes before all other imports of the package.  Level 2; used by __init__.py and cli/.
"""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT  #: exit code, as shells know it


def is_our_program(shown: list[str], typed: list[str]) -> bool:
    """Whether the process is the command line; ``shown`` and ``typed`` are sys.argv and sys.orig_argv.

    While Python looks for the module that ``-m`` names, its first argument is that switch.
    """
    if shown[:1] == ["-m"]:
        return ("-m", "voicecore") in itertools.pairwise(typed)
    return bool(shown) and Path(shown[0]).stem == "voicecore"


def loaded() -> None:
    """The program begins: from here on Ctrl-C is its own affair."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(INTERRUPTED)


if (
    is_our_program(sys.argv, sys.orig_argv)
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, _leave)
