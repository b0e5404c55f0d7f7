"""An engine that counts its resources.

`python -m voicecore.bench.processes.counting_process BASE_URL MAX_CALLS FIRST_MESSAGE`.

Besides processor time and memory it reports, after a garbage collection: tasks,
threads, files, objects of calls, entries of its registry, how many calls it has filed,
and how many of them did not end by a hang-up.  With an empty FIRST_MESSAGE the user
speaks first.
"""

from __future__ import annotations

import sys
from collections import Counter

import attrs
import trio

from voicecore.assembly import Engine, open_engine
from voicecore.bench.processes.resource_counts import process_counts, registered
from voicecore.bench.processes.usage import Usage, own_usage, report_usage
from voicecore.config import Settings
from voicecore.facts import CallEnded, EndCause, Fact
from voicecore.simulation.twilio import Account

_HANG_UPS = {EndCause.REMOTE_HUNG_UP, EndCause.LEG_LOST}


async def main(base_url: str, max_calls: int, first_message: str) -> None:
    """Answer calls until the parent has gone."""
    outcomes: Counter[EndCause] = Counter()

    def observe(_call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            outcomes[fact.report.outcome] += 1

    async with open_engine(_settings(base_url, max_calls, first_message), observers=[observe]) as engine:
        await report_usage(int(engine.url.rpartition(":")[2]), lambda: _look(engine, outcomes))


def _look(engine: Engine, outcomes: Counter[EndCause]) -> Usage:
    statistics = engine.statistics()
    odd = sum(count for outcome, count in outcomes.items() if outcome not in _HANG_UPS)
    counts = {**process_counts(), "registry": registered(statistics), "filed": statistics.filed, "odd": odd}
    return attrs.evolve(own_usage(), counts=counts)


def _settings(base_url: str, max_calls: int, first_message: str) -> Settings:
    account = Account()
    overrides = {
        "server.port": 0,
        "server.max_calls": max_calls,
        "agent.instructions": "You answer the telephone.",
        "agent.first_message": first_message or None,
        "carriers.twilio.account_sid": account.account_sid,
        "carriers.twilio.auth_token": account.auth_token.reveal(),
        "providers.openai_realtime.api_key": "bench-key",
        "providers.openai_realtime.base_url": base_url,
    }
    return Settings.load(None, {}, {key: value for key, value in overrides.items() if value is not None})


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
