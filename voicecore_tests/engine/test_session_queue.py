"""The session queue keeps order, joins audio, and has bounds with a count."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from voicecore.engine.session_queue import ORDER_LIMIT, Converted, SessionQueue
from voicecore.errors import LocalProtocolError
from voicecore.events import AppendUserAudio, CommitUserAudio, SessionOrder


class Sent:
    """A session that takes ``room`` orders at once."""

    def __init__(self, queue: SessionQueue, room: int) -> None:
        self.orders: list[SessionOrder] = []
        self._queue = queue
        self._room = room
        queue.send_by(self.append, self.send)

    def send(self, order: SessionOrder) -> bool:
        if len(self.orders) < self._room:
            self.orders.append(order)
            return True
        return False

    def append(self, audio: bytes) -> None:
        """Convert it, and give back what was not taken."""
        if not self.send(order := AppendUserAudio(audio.upper())):
            self._queue.put_converted(Converted(order, len(audio)))


async def everything(queue: SessionQueue) -> list[SessionOrder | Converted]:
    taken: list[SessionOrder | Converted] = []
    with trio.move_on_after(0):
        while True:
            taken.append(await queue.take())
    return taken


async def test_audio_that_waits_is_joined_and_orders_keep_their_place() -> None:
    """What gathers during a slow write leaves as one."""
    queue = SessionQueue(1000)
    for item in (b"a", b"b", CommitUserAudio(), b"c"):
        queue.put_audio(item) if isinstance(item, bytes) else queue.put(item)
    assert await everything(queue) == [AppendUserAudio(b"ab"), CommitUserAudio(), AppendUserAudio(b"c")]


async def test_a_waiting_taker_is_woken() -> None:
    """While the writer keeps up, each piece leaves by itself."""
    queue, got = SessionQueue(1000), []

    async def take() -> None:
        got.append(await queue.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        queue.put_audio(b"a")
    assert got == [AppendUserAudio(b"a")]


async def test_a_cancelled_take_takes_nothing() -> None:
    """Whoever comes next gets it."""
    queue = SessionQueue(1000)
    with trio.move_on_after(0):
        await queue.take()
    queue.put_audio(b"a")
    assert await everything(queue) == [AppendUserAudio(b"a")]


async def test_while_nothing_waits_what_is_put_is_sent_at_once() -> None:
    """No task is woken; what is refused waits, and everything behind it too, in order."""
    queue = SessionQueue(1000)
    sent = Sent(queue, room=2)
    queue.put_audio(b"a")
    queue.put(CommitUserAudio())
    queue.put(CommitUserAudio())  # refused
    queue.put_audio(b"b")
    queue.put_audio(b"c")
    queue.put(CommitUserAudio())
    assert sent.orders == [AppendUserAudio(b"A"), CommitUserAudio()]
    assert await everything(queue) == [CommitUserAudio(), AppendUserAudio(b"bc"), CommitUserAudio()]


async def test_nothing_is_sent_past_what_the_writer_holds() -> None:
    """It has taken an item and may still be writing it."""
    queue = SessionQueue(1000)
    queue.put_audio(b"a")
    sent = Sent(queue, room=9)
    assert await queue.take() == AppendUserAudio(b"a")
    queue.put_audio(b"b")
    assert (sent.orders, await queue.take()) == ([], AppendUserAudio(b"b"))
    with trio.move_on_after(0):
        await queue.take()
    queue.put_audio(b"c")
    assert sent.orders == [AppendUserAudio(b"C")]


async def test_what_was_converted_and_not_taken_goes_first_and_as_it_is() -> None:
    """A filter has a memory: nothing goes through it twice."""
    queue = SessionQueue(1000)
    Sent(queue, room=0)
    queue.put_audio(b"a")
    queue.put_audio(b"b")
    assert await everything(queue) == [Converted(AppendUserAudio(b"A"), 1), AppendUserAudio(b"b")]


def test_orders_are_bounded() -> None:
    """More orders than a call can have under way are a bug, and said so."""
    queue = SessionQueue(1000)
    for _ in range(ORDER_LIMIT):
        queue.put(CommitUserAudio())
    with pytest.raises(LocalProtocolError, match=f"{ORDER_LIMIT} orders wait"):
        queue.put(CommitUserAudio())


@given(st.lists(st.one_of(st.binary(max_size=30), st.none()), max_size=30))
async def test_i6_every_byte_is_taken_in_order_or_counted_as_dropped(puts: list[bytes | None]) -> None:
    """Beyond the limit the oldest audio goes, by the byte; orders stay."""
    queue = SessionQueue(50)
    for item in puts:
        queue.put(CommitUserAudio()) if item is None else queue.put_audio(item)
    taken = await everything(queue)
    audio = b"".join(order.audio for order in taken if isinstance(order, AppendUserAudio))
    everything_put = b"".join(item for item in puts if item is not None)
    assert len(audio) + queue.dropped_bytes == len(everything_put)
    assert len(audio) <= 50
    assert everything_put.endswith(audio)
    assert taken.count(CommitUserAudio()) == puts.count(None)
