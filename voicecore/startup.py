"""Handles Ctrl-C while the command line is still loading: exit 130 without a traceback.

Python would print a traceback from within an import. A library must not install
signal handlers, so this happens only if the process is our own program (`voicecore`
or `python -m voicecore`), only if SIGINT has Python's default handler, and only
until the program starts.

Importing this module installs the handler; it is imported before the rest of the
package. Level 2.
"""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT  #: exit code, by the shells' convention


def is_our_program(shown: list[str], typed: list[str]) -> bool:
    """Whether the process is the command line; ``shown`` and ``typed`` are sys.argv and sys.orig_argv.

    While Python searches for the module of ``-m``, the first argument is "-m".
    """
    if shown[:1] == ["-m"]:
        return ("-m", "voicecore") in itertools.pairwise(typed)
    return bool(shown) and Path(shown[0]).stem == "voicecore"


def loaded() -> None:
    """Restore Python's handler; the program has started and handles Ctrl-C itself."""
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
