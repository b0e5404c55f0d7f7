"""Tests whether a folder is writable, by writing, syncing and removing a file."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_PROBE_BYTES = 64 * 1024  #: enough to notice a full disk


def folder_problem(folder: Path) -> str | None:
    """Return why a folder is not writable; None if it is. A folder that did not exist is removed again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_into(folder)
    except OSError as error:
        reason = "it is a file, not a folder" if isinstance(error, FileExistsError) else error.strerror
        return f"{error.filename or folder.absolute()}: cannot be written: {reason}"
    finally:
        for made in missing:
            with suppress(OSError):  # it was not created, or is in use by now
                made.rmdir()
    return None


def _write_into(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=".voicecore-check-", dir=folder) as probe:
        probe.write(bytes(_PROBE_BYTES))
        probe.flush()
        os.fsync(probe.fileno())
