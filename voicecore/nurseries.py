"""A nursery for context managers, which does not wrap exceptions of their block in a group.

A context manager with background tasks opens a nursery around its block. Trio wraps
an exception of the block in an ExceptionGroup; this nursery raises it unchanged.

Level 2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_service_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery whose tasks are cancelled and joined when the block is left.

    A single exception is raised unwrapped, several as a group.
    """
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__
