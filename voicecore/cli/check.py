"""`voicecore check`: checks the configuration, the data folder, the network and, with --live, the keys.

All errors of the configuration are reported at once, one line each, with exit 2. A
valid configuration is then tried out: it writes into the data folder, connects to
carrier and provider, and with ``--live`` checks the keys, which is not billed. A
failure there is exit 1.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from voicecore.assembly import real_world
from voicecore.audio.formats import PCMU_8K
from voicecore.carriers.twilio import read_standing
from voicecore.cli.configured import read, source
from voicecore.cli.exits import DONE, FAILED, USAGE
from voicecore.cli.probe import folder_problem
from voicecore.config import Settings
from voicecore.configured import openai_realtime, twilio
from voicecore.errors import CarrierError, ConnectionLost, ProviderError, printable
from voicecore.net.http.client import open_http_client
from voicecore.net.urls import parse_websocket_url
from voicecore.ports import Brief
from voicecore.world import World

_REACH_S = 5.0  #: for DNS, TCP and TLS
_LIVE_S = 20.0  #: for the carrier's answer, and as long again for the session


@attrs.frozen
class Finding:
    """The result of one check."""

    what: str
    problem: str | None
    note: str = ""
    """Additional information if there is no problem."""


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command."""
    given = read(options)
    problems = Settings.problems(given.text, environ)
    findings = [Finding("configuration", None, f"read from {source(given)}")]
    findings += [Finding(problem.key, problem.problem) for problem in problems]
    if not problems:
        findings += trio.run(_try_out, real_world(), Settings.load(given.text, environ), options)
    _print(findings, as_json=options.json)
    if problems:
        return USAGE
    return FAILED if any(finding.problem for finding in findings) else DONE


async def _try_out(world: World, settings: Settings, options: argparse.Namespace) -> list[Finding]:
    findings = [each async for each in _disk(settings)]
    if options.offline:
        return findings
    provider, carrier = [each async for each in reach(world, settings)]
    findings += [provider, carrier]
    if options.live and carrier.problem is None:
        findings.append(await ask_carrier(world, settings))
    if options.live and provider.problem is None:
        findings.append(await open_one_session(world, settings))
    return findings


async def _disk(settings: Settings) -> AsyncIterator[Finding]:
    folder = settings.server.data_dir
    if folder is not None:
        problem = await trio.to_thread.run_sync(folder_problem, folder, abandon_on_cancel=True)
        yield Finding("server.data_dir", problem, f"{folder.absolute()} is writable")


# --- the network ---------------------------------------------------------------------------


async def reach(world: World, settings: Settings) -> AsyncIterator[Finding]:
    """Try to connect to the provider, then to the carrier."""
    api = urlsplit(settings.carriers.twilio.api_base_url)
    provider = parse_websocket_url(settings.providers.openai_realtime.base_url)
    tls = api.scheme == "https"
    port = api.port or (443 if tls else 80)
    yield await _try(world, "providers.openai_realtime.base_url", provider.host, provider.port, tls=provider.tls)
    yield await _try(world, "carriers.twilio.api_base_url", api.hostname or "", port, tls=tls)


async def _try(world: World, what: str, host: str, port: int, *, tls: bool) -> Finding:
    with trio.move_on_after(_REACH_S):
        try:
            stream = await world.network.open_stream(host, port, tls=tls)
        except ConnectionLost as lost:
            return Finding(what, f"not reachable: {lost}")
        await trio.aclose_forcefully(stream)
        return Finding(what, None, f"{host}:{port} can be reached")
    return Finding(what, f"not reachable: {host}:{port} did not answer within {_REACH_S:.0f} s")


# --- the keys ------------------------------------------------------------------------------


async def ask_carrier(world: World, settings: Settings) -> Finding:
    """Read the carrier's account, with the credentials that calls use."""
    what, given = "carriers.twilio", settings.carriers.twilio
    with trio.move_on_after(_LIVE_S):
        try:
            async with open_http_client(world.network) as http:
                standing = await read_standing(twilio(given).account(""), http)
        except CarrierError as failure:
            return Finding(what, printable(str(failure), 500))
        return Finding(what, None, f"the account was read: {standing or 'no status reported'}")
    return Finding(what, f"did not answer within {_LIVE_S:.0f} s")


async def open_one_session(world: World, settings: Settings) -> Finding:
    """Open and configure a session as a call would, and close it; nothing is generated, so nothing is billed."""
    what, given = "providers.openai_realtime", settings.providers.openai_realtime
    brief = Brief(instructions=settings.agent.instructions, audio_format=PCMU_8K)
    with trio.move_on_after(_LIVE_S):
        began_at = world.now()
        try:
            async with openai_realtime(given).open_session(world, brief):
                took_ms = (world.now() - began_at) * 1000
        except ProviderError as failure:
            return Finding(what, printable(str(failure), 500))
        return Finding(what, None, f"a session with {given.model} was opened and configured in {took_ms:.0f} ms")
    return Finding(what, f"opened no session within {_LIVE_S:.0f} s")


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps([attrs.asdict(finding) for finding in findings]).decode())
        return
    for finding in findings:
        print(f"{finding.what}: {finding.problem or finding.note or 'ok'}")
    if not any(finding.problem for finding in findings):
        print("the configuration is complete")
