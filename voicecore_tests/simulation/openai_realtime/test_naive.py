"""The naive sequence loses the first message in every variant, without a sign; where nothing is wrong it is heard."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from voicecore.simulation.openai_realtime import (
    Behaviour,
    Handshake,
    RealtimeTwin,
    Recorded,
    Reply,
    Script,
    TwinConnection,
    Updates,
)
from voicecore.simulation.world import simulated_world
from voicecore_tests.simulation.openai_realtime.judge import check_event
from voicecore_tests.simulation.openai_realtime.kit import Event, audio_of, kinds, only, recording
from voicecore_tests.simulation.openai_realtime.naive import HELLO, NOTHING, call_naively, first_message_heard

GREETING = Script(replies=(Reply("you are next", speech=Recorded("agent-you-are-next")),))
LOCK_OUT = 2  #: the number of the naive lockout among the valid updates, where the flat shape is one
WELL = Behaviour(updates=Updates(accepts_flat_fields=True))
LOCK_OUTS = {
    "flat update refused whole": Behaviour(),
    "update refused whole": Behaviour(updates=Updates(accepts_flat_fields=True, refused=frozenset({LOCK_OUT}))),
    "null refused": Behaviour(updates=Updates(accepts_flat_fields=True, refuses_null_turn_detection=True)),
    "applied late": Behaviour(updates=Updates(accepts_flat_fields=True, effects={LOCK_OUT: 1.0})),
    "null kept, and shown": Behaviour(updates=Updates(accepts_flat_fields=True, ignores_null_turn_detection=True)),
    "null kept silently": Behaviour(updates=Updates(accepts_flat_fields=True, acknowledges_null_but_keeps=True)),
    "flat field ignored": Behaviour(updates=Updates(ignores_flat_turn_detection=True)),
}
SPOKE_EARLY = Behaviour(
    updates=Updates(accepts_flat_fields=True), handshake=Handshake(speech_before_update_s=(0.0, 0.3))
)


async def call(behaviour: Behaviour, client: bytes) -> tuple[TwinConnection, list[Event]]:
    """Let the naive client call a server, and judge every event of it by the official types."""
    world = simulated_world(1)
    twin = RealtimeTwin(world.world, GREETING, behaviour)
    async with twin.serve() as base_url:
        events = await call_naively(world.network, base_url, client)
        [connection] = twin.connections
        await connection.ended.wait()
    for event in events:
        check_event(event)
    return connection, events


def was_silent(connection: TwinConnection) -> bool:
    """Whether the client noticed nothing: it was the one who closed, and in good order."""
    return connection.loss is not None and connection.loss.code == 1000


@pytest.mark.parametrize("variant", LOCK_OUTS)
async def test_naive_sequence_loses_the_first_message(variant: str, autojump_clock: MockClock) -> None:
    """A client who says hello cuts it off, and the call goes on as if nothing had happened."""
    connection, events = await call(LOCK_OUTS[variant], HELLO)
    assert not first_message_heard(connection)
    assert was_silent(connection)
    lost = only(events, "response.done")[0]["response"]
    assert lost["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert lost["metadata"] == {"role": "first_message"}


@pytest.mark.parametrize("variant", LOCK_OUTS)
async def test_the_same_sequence_is_heard_by_a_silent_user(variant: str, autojump_clock: MockClock) -> None:
    """Which is why it passes at the desk: without speech nothing of it matters."""
    connection, events = await call(LOCK_OUTS[variant], NOTHING)
    assert first_message_heard(connection)
    assert audio_of(events) == recording("agent-you-are-next")


@pytest.mark.parametrize("client", [HELLO, NOTHING], ids=["hello", "nothing"])
async def test_speech_before_the_update_loses_it_too(client: bytes, autojump_clock: MockClock) -> None:
    """The lockout is applied at once and too late: the turn before it is being answered, and the greeting refused."""
    connection, events = await call(SPOKE_EARLY, client)
    assert not first_message_heard(connection)
    assert was_silent(connection)
    [refusal] = only(events, "error")
    assert refusal["error"]["code"] == "conversation_already_has_active_response"
    assert [each["response"]["metadata"] for each in only(events, "response.created")] == [None]


@pytest.mark.parametrize("client", [HELLO, NOTHING], ids=["hello", "nothing"])
async def test_where_nothing_is_wrong_it_is_heard(client: bytes, autojump_clock: MockClock) -> None:
    """A server that still reads the flat shape, and applies it at once: the greeting outlives a client who speaks."""
    connection, events = await call(WELL, client)
    assert first_message_heard(connection)
    assert "input_audio_buffer.speech_started" not in kinds(events)
