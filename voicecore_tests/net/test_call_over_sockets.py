"""A whole call over the system's sockets, with each transport; virtual time, which loopback sockets keep up with."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.assembly import open_engine
from voicecore.facts import CallEnded, CallReport, EndCause, Fact, MessageOutcome
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.client import ClientWebSocket
from voicecore.net.websocket.server import ServerWebSocket
from voicecore.net.websocket.trio_ws import TrioWebSocket
from voicecore.net.websocket.trio_ws_ends import TrioClientWebSocket, TrioServerWebSocket
from voicecore.simulation.openai_realtime import RealtimeTwin, Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, HangUp, open_twilio
from voicecore.simulation.world import simulated_world
from voicecore.world import WebSocketTransport
from voicecore_tests.kit import settings

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))


@pytest.mark.parametrize("transport", list(WebSocketTransport), ids=lambda transport: transport.value)
async def test_a_call_goes_through(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, transport: WebSocketTransport
) -> None:
    """Greeted to the end, hung up by the user; both ends of the engine speak with the chosen transport."""
    made: list[type] = []
    for kind in (ClientWebSocket, ServerWebSocket, TrioClientWebSocket, TrioServerWebSocket):
        _note_in(made, kind, monkeypatch)
    twins = attrs.evolve(simulated_world().world, network=RealNetwork())
    ours = attrs.evolve(twins, network=RealNetwork(websocket=transport))
    provider = RealtimeTwin(twins, HELLO)
    facts: list[Fact] = []
    with trio.fail_after(900):
        async with (
            provider.serve() as base_url,
            open_twilio(twins) as carrier,
            carrier.serve_rest() as api_base_url,
            open_engine(
                settings(base_url, carriers__twilio__api_base_url=api_base_url, agent__first_message="Hello."),
                world=ours,
                observers=[lambda _call_id, fact: facts.append(fact)],
            ) as engine,
        ):
            line = await carrier.call(engine.url, [HangUp(AfterAgent(0.5))])
            await engine.drain()
    (report,) = _reports(facts)
    assert line is not None
    assert line.playout.violations == carrier.violations == []
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    library = {TrioClientWebSocket, TrioServerWebSocket}
    assert set(made) & library == (library if transport is WebSocketTransport.TRIO_WEBSOCKET else set())


def _note_in(made: list[type], kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    run = kind.run  # type: ignore[attr-defined]

    async def noted(self: TrioWebSocket, *, task_status: trio.TaskStatus[None]) -> None:
        made.append(type(self))
        await run(self, task_status=task_status)

    monkeypatch.setattr(kind, "run", noted)


def _reports(facts: list[Fact]) -> list[CallReport]:
    return [fact.report for fact in facts if isinstance(fact, CallEnded)]
