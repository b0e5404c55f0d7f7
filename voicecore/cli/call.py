"""`voicecore call`: places one call, shows it as it happens, and prints its report.

The engine that places it listens as `serve` does: the carrier brings the media
and the statuses there.  The first SIGINT, SIGTERM or SIGHUP hangs up; leaving always does.

Before dialling, the engine checks that its own public URL leads to this process:
another one there would refuse the media of a phone that was answered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

import trio

from voicecore import facts
from voicecore.assembly import Engine, open_engine
from voicecore.cli.configured import load_settings
from voicecore.cli.exits import DONE, Failed, WrongUsage
from voicecore.cli.live import LivePrinter
from voicecore.cli.signals import stop_signals
from voicecore.config import Settings
from voicecore.config.kinds import is_loopback
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.settings import checked_number
from voicecore.errors import ConfigError
from voicecore.facts import EndCause
from voicecore.observe.store import record_json

_TALKED = frozenset({EndCause.REMOTE_HUNG_UP, EndCause.HUNG_UP, EndCause.MESSAGE_LEFT, EndCause.TIME_LIMIT})


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry out the command."""
    settings, source = load_settings(options, environ, {"agent.first_message": options.first_message})
    try:
        checked_number(options.number)
    except ConfigError as wrong:
        raise WrongUsage(str(wrong)) from None
    if not options.json:
        print(f"configuration: {source}", flush=True)
    report = trio.run(place, settings, options)
    if options.json:
        print(record_json(report).decode(), end="")
    else:
        print("\n".join(summary(report)))
    if report.outcome not in _TALKED:
        raise Failed(f"the call failed: {_words(report)}")
    return DONE


async def place(settings: Settings, options: argparse.Namespace) -> facts.CallReport:
    """Place the call; return its report."""
    if settings.carriers.twilio.phone_number is None:
        raise WrongUsage("carriers.twilio.phone_number: missing; calls are placed from it")
    with trio.open_signal_receiver(*stop_signals()) as signals:
        observers = [] if options.json else [LivePrinter(sys.stdout)]
        async with open_engine(settings, observers=observers) as engine:
            if not options.no_url_check:
                await _check_url(engine, settings)
            if not options.json:
                print(f"the carrier is given {engine.public_url}", flush=True)
            gone = observers[0].gone if observers else trio.Event()
            return await _hold(engine, options.number, signals, gone)


async def _check_url(engine: Engine, settings: Settings) -> None:
    """Fail where the carrier would bring the call's media to somebody else: the phone would ring for nothing."""
    carrier = urlsplit(settings.carriers.twilio.api_base_url).hostname or ""
    if is_loopback(urlsplit(engine.public_url).hostname or "") and not is_loopback(carrier):
        raise Failed(
            f"nobody was called: {engine.public_url} is an address of this machine, which the carrier cannot reach",
            "set server.public_url (or --public-url) to a URL that leads here",
        )
    if (problem := await engine.find_url_problem()) is not None:
        raise Failed(
            f"nobody was called: {problem}",
            f"the carrier would bring the call's media there; have server.public_url (or --public-url) point to "
            f"{engine.url}, or call with --no-url-check if it does and cannot be reached from here",
        )


async def _hold(engine: Engine, number: str, signals: AsyncIterator[int], gone: trio.Event) -> facts.CallReport:
    try:
        async with trio.open_nursery() as nursery, engine.dial(number) as call:
            nursery.start_soon(_hang_up_on, signals, call, engine)
            nursery.start_soon(_hang_up_when, gone, call, engine)
            async for _ in call.facts():
                pass
            nursery.cancel_scope.cancel()
    except* ConfigError as wrong:
        raise WrongUsage(*map(str, wrong.exceptions)) from None
    return call.report


async def _hang_up_when(gone: trio.Event, call: CallHandle, engine: Engine) -> None:
    await gone.wait()
    call.hang_up()
    await engine.drain()  # which does not wait long for the carrier's last word


async def _hang_up_on(signals: AsyncIterator[int], call: CallHandle, engine: Engine) -> None:
    async with trio.open_nursery() as nursery:
        async for _ in signals:  # more than one changes nothing, and must not break off the summary
            call.hang_up()
            nursery.start_soon(engine.drain)


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
    lines = [f"{name:<14} {message.outcome.value}{heard}"]
    return [*lines, f"{'':<14} {message.verdict}"] if message.verdict else lines


def _words(report: facts.CallReport) -> str:
    words = report.outcome.value.replace("_", " ")
    return f"{words} ({report.outcome_detail})" if report.outcome_detail else words
