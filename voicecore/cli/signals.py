"""The signals that stop a command.

SIGINT and SIGTERM always do. SIGHUP does too, so that closing a terminal loses no
record, unless the process was started with SIGHUP ignored (nohup).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence


def stop_signals() -> Sequence[signal.Signals]:
    """Return the signals that stop a command in this process."""
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [each for each in asked if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN]
