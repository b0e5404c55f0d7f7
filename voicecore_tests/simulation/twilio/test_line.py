"""What a line does wrong by chance or for a while: echoes that vary, get lost or end, late media, a slow reader."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.simulation.twilio import At, HangUp, LineFaults
from voicecore.simulation.twilio.line import Line
from voicecore.simulation.twilio.messages import StreamWriter

PIECES = 50
PIECE_S = 0.06
STREAM = "MZ" + "0" * 32
PIECE = base64.b64encode(bytes(480)).decode()


class Speaker:
    """An application that sends a piece and its mark every 60 ms; a socket, as the line sees it."""

    peer = "the application"

    def __init__(self) -> None:
        self.echoes: list[tuple[float, str]] = []
        self._begins_at = trio.current_time()
        self._sent = 0

    async def receive(self) -> list[str]:
        if self._sent == PIECES:
            await trio.sleep_forever()
        await trio.sleep_until(self._begins_at + self._sent * PIECE_S)
        self._sent += 1
        media = {"event": "media", "streamSid": STREAM, "media": {"payload": PIECE}}
        mark = {"event": "mark", "streamSid": STREAM, "mark": {"name": f"m{self._sent}"}}
        return [json.dumps(media), json.dumps(mark)]

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.send_nowait(text)

    def send_nowait(self, text: str) -> bool:
        message = json.loads(text)
        if message["event"] == "mark":
            self.echoes.append((trio.current_time(), message["mark"]["name"]))
        return True

    async def close(self, code: int = 1000, reason: str = "") -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()


@attrs.frozen
class Spoken:
    """A line over which something was said, and the socket that it had."""

    line: Line
    socket: Speaker

    @property
    def trips_s(self) -> list[float]:
        """By how much each echo was later than on a healthy line, in the order in which they came."""
        return [at - self.line.began_at - int(name[1:]) * PIECE_S for at, name in self.socket.echoes]

    @property
    def arrivals_s(self) -> Sequence[float]:
        return [line.at - self.line.began_at for line in self.line.ledger if line.kind == "media" and line.size_bytes]


async def spoken(faults: LineFaults) -> Spoken:
    writer = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, STREAM)
    script, now, socket = [HangUp(At(8.0))], trio.current_time(), Speaker()
    line = Line(call_sid="CA", stream_sid=STREAM, writer=writer, script=script, faults=faults, now=now)
    await line.run(socket, {}, trio.lowlevel.checkpoint)
    return Spoken(line, socket)


async def test_a_healthy_line_answers_each_mark_when_it_is_reached(autojump_clock: MockClock) -> None:
    """Nothing is drawn, nothing is late."""
    it = await spoken(LineFaults())
    assert it.trips_s == pytest.approx([0.0] * PIECES, abs=1e-6)
    assert it.line.playout.gaps == 0


async def test_echoes_vary_and_keep_their_order(autojump_clock: MockClock) -> None:
    """Within what was asked for, and no two seeds alike."""
    it = await spoken(LineFaults(mark_delay_s=0.1, mark_jitter_s=0.4, seed=5))
    assert [int(name[1:]) for _, name in it.socket.echoes] == list(range(1, PIECES + 1))
    assert 0.1 <= min(it.trips_s) < 0.2
    assert 0.4 < max(it.trips_s) <= 0.5 + 1e-6
    again, other = [await spoken(LineFaults(mark_delay_s=0.1, mark_jitter_s=0.4, seed=seed)) for seed in (5, 6)]
    assert it.trips_s == pytest.approx(again.trips_s)
    assert it.trips_s != pytest.approx(other.trips_s)


async def test_a_share_of_the_echoes_is_lost(autojump_clock: MockClock) -> None:
    """The others are as they were."""
    it = await spoken(LineFaults(mark_loss=0.5))
    assert PIECES * 0.3 < len(it.trips_s) < PIECES * 0.7
    assert it.trips_s == pytest.approx([0.0] * len(it.trips_s), abs=1e-6)
    assert (await spoken(LineFaults(mark_loss=1.0))).trips_s == []


async def test_echoes_end_at_a_moment(autojump_clock: MockClock) -> None:
    """What is reached later is not told, what is played is played."""
    it = await spoken(LineFaults(marks_until_s=1.5))
    assert len(it.trips_s) == math.floor(1.5 / PIECE_S) - 1
    assert len(it.line.playout.heard_bytes()) == PIECES * 480


async def test_media_arrives_with_jitter_and_in_order(autojump_clock: MockClock) -> None:
    """A piece every 60 ms that may be 300 ms late leaves holes."""
    it = await spoken(LineFaults(media_jitter_s=0.3))
    assert list(it.arrivals_s) == sorted(it.arrivals_s)
    late = [arrival - number * PIECE_S for number, arrival in enumerate(it.arrivals_s)]
    assert 0.0 <= min(late) < 0.1
    assert 0.2 < max(late) <= 0.3 + 1e-6
    assert len(late) == PIECES
    assert it.line.playout.gaps > 0


async def test_a_slow_reader_reads_nothing_for_a_while_and_then_everything(autojump_clock: MockClock) -> None:
    """What came before is played meanwhile."""
    it = await spoken(LineFaults(does_not_read_between_s=(1.0, 2.5)))
    assert not [arrival for arrival in it.arrivals_s if 1.07 < arrival < 2.5]
    assert len(it.arrivals_s) == PIECES
    assert it.line.playout.gaps == 1
