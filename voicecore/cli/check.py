"""`voicecore check`: what is wrong with a configuration, and what cannot be reached with it.

Everything wrong with the file is said at once, one line each, and ends in exit
2; only a whole configuration is tried on the network, and failing there is exit 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from voicecore.assembly import real_world
from voicecore.cli.configured import read_config
from voicecore.cli.exits import DONE, FAILED, USAGE
from voicecore.config import Settings
from voicecore.errors import ConnectionLost
from voicecore.net.urls import parse_websocket_url
from voicecore.world import World

_REACH_S = 5.0  #: for name, TCP and TLS


@attrs.frozen
class Finding:
    """One thing that was looked at."""

    what: str
    problem: str | None


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry out the command."""
    text = read_config(options.config)
    problems = Settings.problems(text, environ)
    findings = [Finding(problem.key, problem.problem) for problem in problems]
    if not problems and not options.offline:
        findings += trio.run(reach, real_world(), Settings.load(text, environ))
    _print(findings, as_json=options.json)
    if problems:
        return USAGE
    return FAILED if any(finding.problem for finding in findings) else DONE


async def reach(world: World, settings: Settings) -> Sequence[Finding]:
    """Try to connect to everything that the configuration names."""
    twilio = urlsplit(settings.carriers.twilio.api_base_url)
    provider = parse_websocket_url(settings.providers.openai_realtime.base_url)
    tls = twilio.scheme == "https"
    return [
        await _try(world, "providers.openai_realtime.base_url", provider.host, provider.port, tls=provider.tls),
        await _try(
            world, "carriers.twilio.api_base_url", twilio.hostname or "", twilio.port or (443 if tls else 80), tls=tls
        ),
    ]


async def _try(world: World, what: str, host: str, port: int, *, tls: bool) -> Finding:
    with trio.move_on_after(_REACH_S):
        try:
            stream = await world.network.open_stream(host, port, tls=tls)
        except ConnectionLost as lost:
            return Finding(what, f"not reachable: {lost}")
        await trio.aclose_forcefully(stream)
        return Finding(what, None)
    return Finding(what, f"not reachable: {host}:{port} did not answer within {_REACH_S:.0f} s")


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps([attrs.asdict(finding) for finding in findings]).decode())
        return
    for finding in findings:
        print(f"{finding.what}: {finding.problem or 'ok'}")
    if not any(finding.problem for finding in findings):
        print("the configuration is complete")
