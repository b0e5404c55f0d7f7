"""The provider twin as a process of its own: `python -m voicecore.simulation.openai_realtime --port 0`.

Prints `listening on ws://HOST:PORT/v1` when it is ready, and serves until it is
stopped.  With --echo it sends every piece of user audio straight back; otherwise it
answers each turn with a sentence.
"""

from __future__ import annotations

import argparse
import random
import sys

import attrs
import trio

from voicecore.assembly import real_world
from voicecore.simulation.openai_realtime.script import Echo, Recorded, Reply, Script
from voicecore.simulation.openai_realtime.server import RealtimeTwin

_TALK = Script(
    replies=(
        Reply("Hello.", speech=Recorded("agent-hello")),
        Reply("One moment, please.", speech=Recorded("agent-one-moment")),
    )
)


def main() -> int:
    """Serve until the process is stopped; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m voicecore.simulation.openai_realtime", description="A simulated OpenAI Realtime server."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--seed", type=int, default=None, help="draw ids and delta sizes from this seed")
    parser.add_argument("--echo", action="store_true", help="send user audio straight back")
    options = parser.parse_args()
    world = real_world()
    if options.seed is not None:
        world = attrs.evolve(world, random=random.Random(options.seed))
    script = Script(replies=Echo()) if options.echo else _TALK
    try:
        trio.run(_serve, RealtimeTwin(world, script), options.host, options.port)
    except* KeyboardInterrupt:
        pass
    return 1


async def _serve(twin: RealtimeTwin, host: str, port: int) -> None:
    async with twin.serve(host, port) as base_url:
        sys.stdout.write(f"listening on {base_url}\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    sys.exit(main())
