"""The boundary around every task in a host's nursery: it may fail its call, never the host.

Rule 1: no task is started in the host's nursery without `contained`.
Rule 2: a failure is logged once, as one ERROR with its traceback, and then handled;
a handler that fails cannot fail the host either.
Rule 3: cancellation passes through, also together with a failure.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from voicecore.errors import first_cause

log = logging.getLogger("voicecore.engine")

T = TypeVar("T")


async def contained(
    what: str, run: Callable[[], Awaitable[object]], failed: Callable[[BaseException], object] | None = None
) -> None:
    """Await ``run()``; whatever it raises is logged as "``what`` failed" and handed to ``failed``.

    Only cancellation and the end of the process (`KeyboardInterrupt`, `SystemExit`) leave.
    """
    try:
        await run()
    except* Exception as group:  # noqa: BLE001 - the boundary
        _log(what, group)
        if failed is not None:
            guarded(f"{what}, while it was failing,", partial(failed, first_cause(group)), None)


def guarded(what: str, make: Callable[[], T], otherwise: T) -> T:
    """Return ``make()``; where it raises, log it as "``what`` failed" and return ``otherwise``."""
    try:
        return make()
    except Exception as failure:  # noqa: BLE001 - the boundary
        _log(what, failure)
        return otherwise


def _log(what: str, failure: Exception) -> None:
    """Log a failure with its traceback; a log that fails (no memory is left) changes nothing."""
    cause = failure
    while isinstance(cause, ExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    with contextlib.suppress(Exception):
        log.error("%s failed", what, exc_info=cause)
