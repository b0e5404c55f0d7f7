"""What voicecore requires: the ranges of pyproject.toml, the versions of constraints.txt, and the lowest of the ranges.

Run as a program it prints constraints for pip: the lowest version for what voicecore
itself requires, the version of constraints.txt for everything else.  `make lowest` tests
in an environment of these.  Needs nothing but Python, since it runs before there is one.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]
_RANGE = re.compile(r"([a-z0-9-]+)(?:\[[a-z]+\])?>=(\d+(?:\.\d+)*)")
_PIN = re.compile(r"([a-z0-9-]+)==([\w.]+)")


def required(extra: str | None = None) -> dict[str, str]:
    """Return the lowest version of each requirement of voicecore, or of one of its extras, by name.

    Raises ValueError where one is anything else than ``name>=version``.
    """
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return _read(_RANGE, project["dependencies"] if extra is None else project["optional-dependencies"][extra])


def pinned() -> dict[str, str]:
    """Return the version of each distribution in constraints.txt, by name. Raises ValueError as above."""
    lines = (_REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return _read(_PIN, (line for line in lines if not line.startswith("#")))


def lowest_constraints() -> str:
    """Return the constraints of `make lowest`, one a line."""
    return "".join(f"{name}=={version}\n" for name, version in (pinned() | required()).items())


def _read(form: re.Pattern[str], lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = form.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is not of the form {form.pattern}")
        found[match[1]] = match[2]
    return found


if __name__ == "__main__":
    sys.stdout.write(lowest_constraints())
