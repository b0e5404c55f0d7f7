"""The engine in a process of its own: `python -m voicecore.bench.engine_process BASE_URL MAX_CALLS`.

The real one, from settings as a configuration file gives them: loopback, G.711
passed through, no records, no observers.

Started by child.py.
"""

from __future__ import annotations

import sys

import trio

from voicecore.assembly import open_engine
from voicecore.bench.controlled import obey
from voicecore.config import Settings
from voicecore.simulation.carrier_twin import Account


async def main(base_url: str, max_calls: int) -> None:
    """Answer calls until the parent has gone."""
    async with open_engine(_settings(base_url, max_calls)) as engine:
        await obey(int(engine.url.rpartition(":")[2]))


def _settings(base_url: str, max_calls: int) -> Settings:
    account = Account()
    overrides = {
        "server.port": 0,
        "server.max_calls": max_calls,
        "agent.instructions": "You answer the telephone.",
        "carriers.twilio.account_sid": account.account_sid,
        "carriers.twilio.auth_token": account.auth_token.reveal(),
        "providers.openai_realtime.api_key": "bench-key",
        "providers.openai_realtime.base_url": base_url,
    }
    return Settings.load(None, {}, overrides)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
