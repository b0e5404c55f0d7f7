"""One connection of the twin: how it ends or goes dead, and what a test sees of it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import HandshakeRefused, HandshakeTimeout
from voicecore.net.websocket.connect import DialLimits
from voicecore.simulation.openai_realtime import Behaviour, End, Ending, Handshake, RealtimeTwin
from voicecore.simulation.world import SimulatedWorld, simulated_world
from voicecore_tests.simulation.openai_realtime.client import CREATE, TALK, TELEPHONE, calling
from voicecore_tests.simulation.openai_realtime.kit import kinds

HANDSHAKE = (
    b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: twin\r\nAuthorization: Bearer sk-test\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PINGING = DialLimits(ping_every_s=2.0, gone_after_s=4.0)


@pytest.fixture
def world() -> SimulatedWorld:
    return simulated_world(1)


@pytest.mark.parametrize(
    ("how", "code"), [(End.EXPIRED, 1001), (End.GOING_AWAY, 1001), (End.BETA_DISABLED, 4000), (End.CUT, None)]
)
async def test_endings_reach_the_client(
    world: SimulatedWorld, autojump_clock: MockClock, how: End, code: int | None
) -> None:
    """A close comes with its code, a cut without one, at the moment that was asked for."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(endings=(Ending(how=how, at_s=2.0),)))
    async with twin.serve() as base_url, calling(world, base_url) as client:
        began = trio.current_time()
        lost = await client.wait_for_end()
        assert trio.current_time() - began == pytest.approx(2.0, abs=0.1)
    assert lost.code in ({code} if code is not None else {None, 1006})
    assert ("error" in kinds(client.events)) is (how in {End.EXPIRED, End.BETA_DISABLED})


async def test_stalled_socket_stays_open_and_mute(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Half-open: nothing comes, pings are not answered, and the client has to find out by itself."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(endings=(Ending(how=End.STALL, at_s=1.0),)))
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.wait_for("session.created")
        began = trio.current_time()
        lost = await client.wait_for_end()
        assert 15.0 < trio.current_time() - began < 25.0
    assert lost.code not in {1000, 1001}
    assert [line.kind for line in twin.ledger.lines if line.dir == "socket"] == ["opened", "stalled", "ended"]


@pytest.mark.parametrize("limits", [DialLimits(ping_every_s=1000.0, gone_after_s=2000.0), None])
async def test_silent_client_may_be_dropped(
    world: SimulatedWorld, autojump_clock: MockClock, limits: DialLimits | None
) -> None:
    """Close 1000 with a reason, so long after the last frame; a client that pings too rarely is no better."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(idle_close_s=5.0))
    async with twin.serve() as base_url, calling(world, base_url, limits=limits) as client:
        await trio.sleep(3.0)
        await client.send(TELEPHONE)
        began = trio.current_time()
        lost = await client.wait_for_end()
        assert trio.current_time() - began == pytest.approx(5.0, abs=0.1)
    assert (lost.code, lost.reason) == (1000, "idle timeout")
    assert twin.connections[0].loss is None


async def test_pings_keep_a_client_that_may_be_dropped(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Any frame counts: a parked client that pings often enough stays, without a message."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(idle_close_s=5.0))
    async with twin.serve() as base_url, calling(world, base_url, limits=PINGING) as client:
        with trio.move_on_after(300):
            await client.wait_for("anything")
        assert twin.open_connections == 1
        await client.send(CREATE)
        await client.wait_for("response.done")


async def test_twin_does_not_keep_a_client_alive_by_its_own_pings(
    world: SimulatedWorld, autojump_clock: MockClock
) -> None:
    """The bound may be longer than the twin's usual pause between pings."""
    patient = DialLimits(ping_every_s=1000.0, gone_after_s=2000.0)
    twin = RealtimeTwin(world.world, TALK, Behaviour(idle_close_s=100.0))
    async with twin.serve() as base_url, calling(world, base_url, limits=patient) as client:
        began = trio.current_time()
        lost = await client.wait_for_end()
        assert trio.current_time() - began == pytest.approx(100.0, abs=0.1)
    assert lost.code == 1000


async def test_connection_may_be_half_open_from_a_time_on(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Nothing is read or answered, pings neither; the stream stays open, and the twin does not see the client go."""
    twin = RealtimeTwin(world.world, TALK, Behaviour(half_open_after_s=1.0))
    async with twin.serve() as base_url:
        async with calling(world, base_url, limits=PINGING) as client:
            await client.wait_for("session.created")
            await trio.sleep(1.5)
            await client.send(CREATE)
            lost = await client.wait_for_end()
            assert trio.current_time() < 7.0
        assert lost.code not in {1000, 1001}
        [connection] = twin.connections
        assert (connection.requests, connection.loss, twin.open_connections) == ([], None, 1)
    assert twin.open_connections == 0


async def test_updates_are_kept_as_they_were_received(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Every session.update with its time and its text to the letter, refused ones too; appends by their times."""
    flat = '{ "type":"session.update",  "session":{"turn_detection":null} }'
    twin = RealtimeTwin(world.world, TALK)
    async with twin.serve() as base_url, calling(world, base_url) as client:
        await client.send(TELEPHONE, CREATE)
        await trio.sleep(1.0)
        sent_at = trio.current_time()
        await client.append(b"\xff" * 160)
        await client.socket.send(flat)
        await client.wait_for("error")
        [connection] = twin.connections
        first, second = connection.updates
        assert (first.event, second.text) == (TELEPHONE, flat)
        assert second.t == pytest.approx(sent_at, abs=0.01)
        assert kinds(connection.requests) == ["session.update", "response.create", "session.update"]
        [appended] = [line for line in twin.ledger.of(1) if line.kind == "input_audio_buffer.append"]
        assert appended.t == pytest.approx(sent_at, abs=0.01)


async def test_handshakes_and_open_connections_are_counted(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """Attempts that came to nothing are no handshakes, and what has ended is not open."""
    behaviours = [
        Behaviour(handshake=Handshake(refuse_status=503)),
        Behaviour(handshake=Handshake(accept_s=None)),
        Behaviour(),
    ]
    twin = RealtimeTwin(world.world, TALK, behaviours)
    async with twin.serve() as base_url:
        for refusal in (HandshakeRefused, HandshakeTimeout):
            with pytest.raises(refusal):
                async with calling(world, base_url):
                    raise AssertionError("was accepted")
        assert (twin.attempts, twin.handshakes, twin.open_connections) == (2, 0, 0)
        async with calling(world, base_url), calling(world, base_url) as other:
            await other.wait_for("session.created")
            assert (twin.attempts, twin.handshakes, twin.open_connections) == (4, 2, 2)
            twin.connections[0].end(End.CUT)
            await twin.connections[0].ended.wait()
            assert (twin.handshakes, twin.open_connections) == (2, 1)
        await twin.connections[1].ended.wait()
        assert (twin.handshakes, twin.open_connections) == (2, 0)


async def test_the_clients_end_is_seen(world: SimulatedWorld, autojump_clock: MockClock) -> None:
    """A close frame with its code and reason, or a stream that just ended; nothing where the twin ended it."""
    twin = RealtimeTwin(world.world, TALK)
    async with twin.serve() as base_url:
        async with calling(world, base_url) as client:
            await client.socket.close(1001, "call over")
        stream = await world.world.network.open_stream(
            "127.0.0.1", int(base_url.split(":")[2].split("/")[0]), tls=False
        )
        await stream.send_all(HANDSHAKE)
        await stream.receive_some()
        await stream.aclose()
        async with calling(world, base_url) as client:
            await client.wait_for("session.created")
            twin.connections[2].end(End.GOING_AWAY)
            await client.wait_for_end()
        for connection in twin.connections:
            await connection.ended.wait()
    closed, dropped, ended = (connection.loss for connection in twin.connections)
    assert closed is not None
    assert (closed.code, closed.reason) == (1001, "call over")
    assert dropped is not None
    assert dropped.code is None
    assert ended is None
