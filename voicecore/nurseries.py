"""Nurseries that stay invisible to the block they serve.

A context manager that needs tasks of its own opens a nursery around the
user's block.  Trio then wraps whatever the block raises in a group of one;
here it comes out as it went in.

Level 2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_service_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery for tasks that end with the block; its one exception leaves unwrapped.

    When the block is left the nursery is cancelled, and its tasks are joined.
    Several exceptions at once leave as the group that they are.
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
