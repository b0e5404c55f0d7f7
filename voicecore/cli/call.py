"""`voicecore call`: places one call, shows it, prints what it came to.

The engine that places it listens as `serve` does: the carrier brings the media
and the statuses there.  The first SIGINT, SIGTERM or SIGHUP hangs up; leaving always does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Mapping

import trio

from voicecore import facts
from voicecore.assembly import Engine, open_engine
from voicecore.cli.configured import load_settings
from voicecore.cli.exits import DONE, Failed, WrongUsage
from voicecore.cli.live import LivePrinter
from voicecore.cli.signals import stop_signals
from voicecore.config import Settings
from voicecore.engine.placed import PlacedCall
from voicecore.errors import ConfigError
from voicecore.facts import EndCause
from voicecore.observe.store import record_json

_TALKED = frozenset({EndCause.CALLER_HUNG_UP, EndCause.HUNG_UP, EndCause.MESSAGE_LEFT, EndCause.TIME_LIMIT})


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry out the command."""
    settings = load_settings(options, environ, {"agent.first_message": options.first_message})
    report = trio.run(place, settings, options.number, options.json)
    if options.json:
        print(record_json(report).decode(), end="")
    else:
        print("\n".join(summary(report)))
    if report.outcome not in _TALKED:
        raise Failed(f"the call failed: {_words(report)}")
    return DONE


async def place(settings: Settings, number: str, quietly: bool) -> facts.CallReport:
    """Place the call; return its report."""
    observers = [] if quietly else [LivePrinter(sys.stdout)]
    with trio.open_signal_receiver(*stop_signals()) as signals:
        async with open_engine(settings, observers=observers) as engine:
            return await _hold(engine, number, signals)


async def _hold(engine: Engine, number: str, signals: AsyncIterator[int]) -> facts.CallReport:
    try:
        async with trio.open_nursery() as nursery, engine.dial(number) as call:
            nursery.start_soon(_hang_up_on, signals, call)
            async for _ in call.facts():
                pass
            nursery.cancel_scope.cancel()
    except* ConfigError as wrong:
        raise WrongUsage(*map(str, wrong.exceptions)) from None
    return call.report


async def _hang_up_on(signals: AsyncIterator[int], call: PlacedCall) -> None:
    await anext(signals)
    call.hang_up()


def summary(report: facts.CallReport) -> list[str]:
    """Return a report in a few lines for a terminal."""
    lines = ["", f"outcome        {_words(report)}", f"rang           {report.ringing_s:.1f} s"]
    if report.pickup is not None:
        source, waited_ms = report.pickup.source, report.pickup.waited_s * 1000
        lines.append(f"session        {source}, ready {waited_ms:.1f} ms after pick-up")
        lines.append(f"talked         {report.duration_s:.1f} s")
    for name, message in (("first message", report.first_message), ("left message", report.left_message)):
        lines += _message(name, message)
    lines += [f"{line.speaker.value:<14} {line.text}" for line in report.transcript if line.text]
    return lines


def _message(name: str, message: facts.MessageReport | None) -> list[str]:
    if message is None:
        return []
    heard = "" if message.heard_s is None else f", to its end {message.heard_s:.2f} s after pick-up"
    lines = [f"{name:<14} {message.fate.value}{heard}"]
    return [*lines, f"{'':<14} {message.verdict}"] if message.verdict else lines


def _words(report: facts.CallReport) -> str:
    words = report.outcome.value.replace("_", " ")
    return f"{words} ({report.outcome_detail})" if report.outcome_detail else words
