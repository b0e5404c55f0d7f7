"""The twin on a network: handshake, several connections, what tests may look at.

One connection's ends are in test_connection.py.  In memory and virtual time; the
same server on real sockets is in test_official_client.py.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import ConnectionLost, HandshakeRefused, HandshakeTimeout
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Handshake,
    NumberedFrames,
    Pace,
    RealtimeTwin,
    Reply,
    Script,
    ScriptedVad,
)
from voicecore.simulation.world import SimulatedWorld, simulated_world
from voicecore_tests.kit import run_seeded
from voicecore_tests.simulation.openai_realtime.client import CREATE, KEY, TALK, TELEPHONE, calling
from voicecore_tests.simulation.openai_realtime.kit import PCMU, SERVER_VAD, audio_of, kinds, recording


@pytest.fixture
def world() -> SimulatedWorld:
    return simulated_world(1)


async def test_a_conversation_over_the_wire(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Opening, configuration and an answer; the audio is whole and the model is the one of the URL."""
    twin = RealtimeTwin(world.world, TALK)
    async with twin.serve() as base_url, calling(world, base_url) as client:
        created = await client.wait_for("session.created")
        assert created["session"]["model"] == "gpt-realtime"
        await client.send(TELEPHONE)
        await client.wait_for("session.updated")
        await client.send(CREATE)
        await client.wait_for("response.done")
    assert audio_of(client.events) == recording("agent-one-moment")


async def test_answers_take_their_time(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Delays are those of the behaviour, on Trio's clock."""
    behaviour = Behaviour(handshake=Handshake(accept_s=0.5, created_s=0.25), pace=Pace(first_delta_s=1.0))
    began = trio.current_time()
    async with RealtimeTwin(world.world, TALK, behaviour).serve() as base_url, calling(world, base_url) as client:
        assert trio.current_time() - began == pytest.approx(0.5, abs=0.01)
        await client.wait_for("session.created")
        assert trio.current_time() - began == pytest.approx(0.75, abs=0.01)
        await client.send(CREATE)
        await client.wait_for("response.output_audio.delta")
        assert trio.current_time() - began == pytest.approx(1.75, abs=0.01)


async def test_the_test_sees_what_the_twin_knows(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Client audio byte for byte, requests, the effective configuration, and what a truncation left."""
    twin = RealtimeTwin(world.world, TALK)
    speech = recording("caller-hello-it")
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send(TELEPHONE)
        for begin in range(0, len(speech), 160):
            await client.append(speech[begin : begin + 160])
        await client.send(CREATE)
        done = await client.wait_for("response.done")
        item_id = done["response"]["output"][0]["id"]
        await client.send(
            {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 300}
        )
        await client.wait_for("conversation.item.truncated")
        [connection] = twin.connections
        assert bytes(connection.session.user_audio) == speech
        assert kinds(connection.requests) == ["session.update", "response.create", "conversation.item.truncate"]
        assert connection.session.effective["audio"]["input"]["turn_detection"] is None
        [item] = connection.session.conversation.items
        assert bytes(item.audio) == recording("agent-one-moment")[:2400]


async def test_the_ledger_has_a_line_for_each_message(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Both directions and the socket, in order, with times; the same text has the same digest."""
    twin = RealtimeTwin(world.world, TALK)
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send(CREATE, CREATE)
        await client.wait_for("response.done")
    await twin.connections[0].ended.wait()
    lines = list(twin.ledger.lines)
    assert [(line.dir, line.kind) for line in lines[:4]] == [
        ("socket", "opened"),
        ("out", "session.created"),
        ("out", "conversation.created"),
        ("in", "response.create"),
    ]
    first, second = (line for line in lines if line.dir == "in")
    assert first.sha == second.sha
    assert first.size_bytes == len(orjson.dumps(CREATE))
    assert [(line.kind, line.id) for line in lines[-2:]] == [("lost", "1000"), ("ended", "")]
    assert [line.t for line in lines] == sorted(line.t for line in lines)
    response_ids = {line.id for line in lines if line.kind.startswith("response.") and line.dir == "out"}
    assert response_ids == {twin.connections[0].session.responses[0].response_id}


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ([], "/realtime?model=m", 401),
        ([("Authorization", "Bearer sk-wrong")], "/realtime?model=m", 401),
        ([("Authorization", "Basic sk-test")], "/realtime?model=m", 401),
        (KEY, "/elsewhere?model=m", 404),
        (KEY, "/realtime", 400),
        (KEY, "/realtime?model=m&call_id=c", 400),
    ],
)
async def test_upgrades_are_checked(
    world: SimulatedWorld, autojump_clock: MockClock, headers: list[tuple[str, str]], path: str, status: int
) -> None:
    """Bearer key, path, and either model or call_id; a refused client gets no session."""
    twin = RealtimeTwin(world.world, TALK, api_key=Secret("sk-test"))
    async with twin.serve() as base_url:
        with pytest.raises(HandshakeRefused) as refused:
            async with calling(world, base_url, headers, path):
                raise AssertionError("was accepted")
        assert refused.value.status == status
        assert twin.connections == []
        assert [(line.kind, line.id) for line in twin.ledger.lines] == [("refused", str(status))]
        async with calling(world, base_url) as client:
            await client.wait_for("session.created")


async def test_key_is_shown_nowhere(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Neither the ledger nor the sessions hold the client's key."""
    twin = RealtimeTwin(world.world, TALK, api_key=Secret("sk-test"))
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.wait_for("session.created")
    assert "sk-test" not in repr((twin.ledger.lines, twin.connections[0].requests, vars(twin)))


@pytest.mark.parametrize("status", [403, 429, 503])
async def test_upgrade_may_be_refused_once(world: SimulatedWorld, autojump_clock: MockClock, status: int) -> None:
    """Behaviours go by connection: the first is refused, the second is served."""
    refusing = Behaviour(handshake=Handshake(refuse_status=status))
    async with RealtimeTwin(world.world, TALK, [refusing, Behaviour()]).serve() as base_url:
        with pytest.raises(HandshakeRefused) as refused:
            async with calling(world, base_url):
                raise AssertionError("was accepted")
        assert refused.value.status == status
        async with calling(world, base_url) as client:
            await client.wait_for("session.created")


async def test_upgrade_may_be_hung_up_on(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """TCP connects and ends without a word; the next connection is served."""
    twin = RealtimeTwin(world.world, TALK, [Behaviour(handshake=Handshake(hangs_up=True)), Behaviour()])
    async with twin.serve() as base_url:
        with pytest.raises(ConnectionLost):
            async with calling(world, base_url):
                raise AssertionError("was accepted")
        async with calling(world, base_url) as client:
            await client.wait_for("session.created")
    assert (twin.attempts, twin.handshakes) == (2, 1)


async def test_upgrade_may_never_be_answered(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """TCP connects, and then nothing: the client's own bound ends it."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(handshake=Handshake(accept_s=None)))
    async with twin.serve() as base_url:
        with pytest.raises(HandshakeTimeout):
            async with calling(world, base_url):
                raise AssertionError("was accepted")


async def test_connections_are_independent(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Each has its own session, script and numbers; one that breaks leaves the other alone."""
    scripts = [Script(replies=(Reply(speech=NumberedFrames(0.5)),)), TALK]
    twin = RealtimeTwin(world.world, scripts)
    async with twin.serve() as base_url, calling(world, base_url) as one, calling(world, base_url) as other:
        for client in (one, other):
            await client.wait_for("session.created")
            await client.send(TELEPHONE, CREATE)
        await one.wait_for("response.done")
        await other.wait_for("response.output_audio.delta")
        twin.connections[0].end(End.CUT)
        await one.wait_for_end()
        await other.wait_for("response.done")
    assert [connection.number for connection in twin.connections] == [1, 2]
    assert audio_of(other.events) == recording("agent-one-moment")


async def test_healthy_socket_answers_pings(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """An idle session stays open for minutes."""
    async with RealtimeTwin(world.world, TALK).serve() as base_url, calling(world, base_url) as client:
        await client.wait_for("session.created")
        with trio.move_on_after(300):
            await client.wait_for("anything")
        await client.send(CREATE)
        done = await client.wait_for("response.done")
        assert done["response"]["status"] == "completed"


async def test_beta_header_is_turned_away(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """OpenAI-Beta: realtime=v1 gives beta_api_shape_disabled and close 4000."""
    async with RealtimeTwin(world.world, TALK).serve() as base_url:
        async with calling(world, base_url, [*KEY, ("OpenAI-Beta", "realtime=v1")]) as client:
            lost = await client.wait_for_end()
        assert lost.code == 4000
        assert kinds(client.events) == ["error"]


async def test_text_that_is_no_json_is_refused(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """It gets an error; the session goes on."""
    async with RealtimeTwin(world.world, TALK).serve() as base_url, calling(world, base_url) as client:
        await client.socket.send('{"type":')
        refused = await client.wait_for("error")
        assert refused["error"]["event_id"] is None
        await client.send(CREATE)
        await client.wait_for("response.created")


async def test_speech_by_hand_is_sent_at_once(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """A test that says "speech starts now" wakes a connection that is at rest."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(vad=ScriptedVad()))
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send({"type": "session.update", "session": {"type": "realtime"}})
        await client.wait_for("session.updated")
        now = trio.current_time()
        twin.connections[0].speech_starts()
        await client.wait_for("input_audio_buffer.speech_started")
        twin.connections[0].speech_stops()
        await client.wait_for("input_audio_buffer.committed")
        assert trio.current_time() - now < 0.01


async def test_fifteen_mebibytes_fit_into_one_append(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """The documented limit of an append is the twin's."""
    twin = RealtimeTwin(world.world, TALK)
    audio = b"\xff" * (15 * 1024 * 1024)
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send(TELEPHONE)
        await client.append(audio)
        await client.send({"type": "input_audio_buffer.clear"})
        await client.wait_for("input_audio_buffer.cleared")
        assert bytes(twin.connections[0].session.user_audio) == audio


async def test_leaving_the_block_closes_everything(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Clients are told 1001, stalled connections are dropped, no stream is left."""
    stalling = Behaviour(endings=(Ending(how=End.STALL, at_s=0.5),))
    twin = RealtimeTwin(world.world, TALK, [Behaviour(), stalling])
    losses: list[ConnectionLost] = []

    async def stay(base_url: str) -> None:
        async with calling(world, base_url) as client:
            losses.append(await client.wait_for_end())

    async with trio.open_nursery() as clients, twin.serve() as base_url:
        clients.start_soon(stay, base_url)
        clients.start_soon(stay, base_url)
        await trio.sleep(1.0)
    assert losses[0].code == 1001
    assert all(connection.ended.is_set() for connection in twin.connections)
    assert [twin.ledger.of(number)[-1].kind for number in (1, 2)] == ["ended", "ended"]
    assert world.network.open_streams == 0


def test_same_seed_same_wire() -> None:
    """Everything that is sent follows from the world's seed: equal ledgers, times included."""

    async def run() -> list[Any]:
        world = simulated_world(9)
        twin = RealtimeTwin(world.world, TALK)
        async with twin.serve() as base_url, calling(world, base_url) as client:
            await client.send(TELEPHONE, CREATE)
            await client.wait_for("response.done")
        return [(line.t, line.kind, line.sha) for line in twin.ledger.lines]

    first, second = run_seeded(run), run_seeded(run)
    assert first == second


async def test_vad_turn_over_the_wire(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """A recorded client is heard, answered, and cut off by nobody."""
    session = {"type": "realtime", "audio": {"input": {"format": PCMU, "turn_detection": SERVER_VAD}}}
    twin = RealtimeTwin(world.world, TALK)
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send({"type": "session.update", "session": session})
        await client.append(recording("caller-transfer-fr") + b"\xff" * 8000)
        done = await client.wait_for("response.done")
    assert done["response"]["status"] == "completed"
    assert kinds(client.events).index("input_audio_buffer.committed") < kinds(client.events).index("response.created")
