"""Whether a folder can be written: a file is written into it, synced and removed again."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_PROBE_BYTES = 64 * 1024  #: some, so that a full disk is noticed


def folder_problem(folder: Path) -> str | None:
    """Return why nothing can be kept in a folder; None where it can. A folder that was not there is not left there."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_into(folder)
    except OSError as error:
        reason = "it is a file, not a folder" if isinstance(error, FileExistsError) else error.strerror
        return f"{error.filename or folder.absolute()}: cannot be written: {reason}"
    finally:
        for made in missing:
            with suppress(OSError):  # it was never made, or somebody uses it by now
                made.rmdir()
    return None


def _write_into(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=".voicecore-check-", dir=folder) as probe:
        probe.write(bytes(_PROBE_BYTES))
        probe.flush()
        os.fsync(probe.fileno())
