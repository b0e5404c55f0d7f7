"""An engine that records its barge-ins: `python -m voicecore.bench.processes.barge_in_process BASE_URL MAX_CALLS FILE`.

The engine of engine_process.py; when it exits, it writes to the file how long each
barge-in took by its own facts: from the onset read to the clear written, in seconds, as
a JSON list.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import trio

from voicecore.bench.processes import engine_process
from voicecore.facts import BargeInConfirmed, CallEnded, ClearSent, Fact


class ClearTimes:
    """An observer of all calls."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        """From onset to clear, oldest first; bounded by the run's length."""
        self._onsets: dict[str, float] = {}  # of the newest barge-in, by call

    def take(self, call_id: str, fact: Fact) -> None:
        """See `voicecore.facts.Observer`."""
        if isinstance(fact, BargeInConfirmed):
            self._onsets[call_id] = fact.overlap_at_s
        elif isinstance(fact, ClearSent) and call_id in self._onsets:
            self.seconds.append(fact.at_s - self._onsets.pop(call_id))
        elif isinstance(fact, CallEnded):
            self._onsets.pop(call_id, None)


def main(base_url: str, max_calls: int, path: Path) -> None:
    """Answer calls until the parent has gone."""
    times = ClearTimes()
    trio.run(engine_process.main, base_url, max_calls, [times.take])
    path.write_bytes(orjson.dumps(times.seconds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
