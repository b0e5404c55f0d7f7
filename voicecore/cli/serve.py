"""`voicecore serve`: answers calls until it is told to stop.

The first SIGTERM, SIGINT or SIGHUP stops taking calls and waits for those that
run; a second one, or DRAIN_S, ends them.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import AsyncIterator, Mapping

import trio

from voicecore.assembly import Engine, open_engine
from voicecore.cli.configured import load_settings
from voicecore.cli.exits import DONE
from voicecore.cli.signals import stop_signals
from voicecore.collector import settle_collector
from voicecore.config import Settings

log = logging.getLogger("voicecore.cli")

DRAIN_S = 60.0  #: how long running calls may go on after the first signal


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry out the command."""
    trio.run(_serve, load_settings(options, environ))
    return DONE


async def _serve(settings: Settings) -> None:
    with trio.open_signal_receiver(*stop_signals()) as signals:
        async with open_engine(settings) as engine:
            settle_collector()
            print(f"listening on {engine.url}", flush=True)
            await anext(signals)
            log.info("stopping: no new calls; those that run have %.0f s", DRAIN_S)
            await _drain(engine, signals)


async def _drain(engine: Engine, signals: AsyncIterator[int]) -> None:
    with trio.move_on_after(DRAIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on, signals, nursery.cancel_scope)
            await engine.drain()
            nursery.cancel_scope.cancel()


async def _cancel_on(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
