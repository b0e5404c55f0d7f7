"""The command-line arguments of the benchmark programs, and how bad ones are refused.

Rule: wrong usage is one line on stderr that says what is right, and exit code 2.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

MOST_CALLS = 500
LONGEST_S = 600.0
MOST_MS = 5_000

USAGE = 2  #: exit code


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def call_counts(text: str) -> tuple[int, ...]:
    """Return calls at once: numbers with commas between them."""
    counts = text.split(",")
    if not all(count.isascii() and count.isdecimal() and 1 <= int(count) <= MOST_CALLS for count in counts):
        raise argparse.ArgumentTypeError(f"numbers from 1 to {MOST_CALLS} with commas between them, not {text!r}")
    return tuple(int(count) for count in counts)


def seconds(text: str) -> float:
    """Return how long something is measured."""
    try:
        given_s = float(text)
    except ValueError:
        given_s = 0.0
    if not 0.1 <= given_s <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"a number from 0.1 to {LONGEST_S:g}, not {text!r}")
    return given_s


def milliseconds(text: str) -> float:
    """Return a delay, in seconds."""
    if not (text.isascii() and text.isdecimal() and int(text) <= MOST_MS):
        raise argparse.ArgumentTypeError(f"a number from 0 to {MOST_MS}, not {text!r}")
    return int(text) / 1000
