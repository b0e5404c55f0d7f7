"""The engine in a process of its own.

`python -m voicecore.bench.processes.engine_process BASE_URL MAX_CALLS [KEY=VALUE …]`.

The real one, from settings as a configuration file has them, as `voicecore serve` runs
it: loopback, G.711 passed through, no records, no observers; each KEY=VALUE overrides a
setting.  barge_in_process.py is the same with an observer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import trio

from voicecore.assembly import open_engine
from voicecore.bench.processes.usage import report_usage
from voicecore.config import Settings
from voicecore.facts import Observer
from voicecore.gc_tuning import tune_gc
from voicecore.simulation.twilio import Account


async def main(base_url: str, max_calls: int, observers: Sequence[Observer] = (), given: Sequence[str] = ()) -> None:
    """Answer calls until the parent has gone."""
    async with open_engine(_settings(base_url, max_calls, given), observers=observers) as engine:
        tune_gc()
        await report_usage(int(engine.url.rpartition(":")[2]))


def _settings(base_url: str, max_calls: int, given: Sequence[str]) -> Settings:
    account = Account()
    overrides = {
        "server.port": 0,
        "server.max_calls": max_calls,
        "agent.instructions": "You answer the telephone.",
        "carriers.twilio.account_sid": account.account_sid,
        "carriers.twilio.auth_token": account.auth_token.reveal(),
        "providers.openai_realtime.api_key": "bench-key",
        "providers.openai_realtime.base_url": base_url,
        **dict(map(_setting, given)),
    }
    return Settings.load(None, {}, overrides)


def _setting(given: str) -> tuple[str, str | int]:
    name, _, value = given.partition("=")
    return name, int(value) if value.isdecimal() else value


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), (), sys.argv[3:])
