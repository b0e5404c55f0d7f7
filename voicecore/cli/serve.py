"""`voicecore serve`: answers calls until it is stopped by a signal.

After the first SIGTERM, SIGINT or SIGHUP it takes no more calls and waits for the
running ones; a second signal, or DRAIN_S, ends them.
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
from voicecore.config import Settings
from voicecore.gc_tuning import tune_gc

log = logging.getLogger("voicecore.cli")

DRAIN_S = 60.0  #: how long running calls may go on after the first signal


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command."""
    settings, source = load_settings(options, environ)
    log.info("configuration: %s", source)
    trio.run(_serve, settings)
    return DONE


async def _serve(settings: Settings) -> None:
    with trio.open_signal_receiver(*stop_signals()) as signals:
        async with open_engine(settings) as engine:
            tune_gc()
            print(f"listening on {engine.url}", flush=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_warn_of_url, engine)
                await anext(signals)
                nursery.cancel_scope.cancel()
            log.info("stopping: no new calls are taken; running calls may go on for %.0f s", DRAIN_S)
            await _drain(engine, signals)


async def _warn_of_url(engine: Engine) -> None:
    """Warn once if the public URL does not lead here; a tunnel may come up later."""
    if (problem := await engine.find_url_problem()) is not None:
        log.warning("%s; no calls will arrive until server.public_url leads to %s", problem, engine.url)
    else:
        log.info("checked: %s leads to this process", engine.public_url)


async def _drain(engine: Engine, signals: AsyncIterator[int]) -> None:
    with trio.move_on_after(DRAIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on, signals, nursery.cancel_scope)
            await engine.drain()
            nursery.cancel_scope.cancel()


async def _cancel_on(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
