"""The twin's playout buffer does what Twilio's does; what it kept is the truth of what was heard."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicecore.simulation.twilio.playout import BUFFER_LIMIT_S, LinePlayout, MarkReturn
from voicecore_tests.chance import examples

SECOND = bytes(range(1, 251)) * 32


def test_media_is_played_in_order_and_marks_come_back_when_they_are_reached() -> None:
    """A mark behind a second of audio is echoed after a second."""
    line = LinePlayout(0.0)
    line.media(SECOND, 0.0)
    line.mark("m1", 0.0)
    assert line.advance(0.99) == []
    assert line.next_mark_at() == 1.0
    assert line.advance(1.0) == [MarkReturn("m1", played=True)]
    assert line.heard_bytes() == SECOND


def test_a_mark_with_nothing_buffered_comes_back_at_once() -> None:
    """Also after the buffer ran dry."""
    line = LinePlayout(0.0)
    line.mark("m1", 5.0)
    assert line.advance(5.0) == [MarkReturn("m1", played=True)]


def test_a_clear_drops_the_rest_and_returns_every_pending_mark_in_order() -> None:
    """What was played until then stays heard, to the byte."""
    line = LinePlayout(0.0)
    for name in ("m1", "m2", "m3"):
        line.media(SECOND, 0.0)
        line.mark(name, 0.0)
    returns = line.clear(1.5)
    assert returns == [MarkReturn("m1", played=True), MarkReturn("m2", played=False), MarkReturn("m3", played=False)]
    assert line.heard_bytes() == SECOND + SECOND[:4000]
    assert not line.is_playing(1.5)


def test_more_than_ten_minutes_are_discarded_and_said_once() -> None:
    """31931."""
    line = LinePlayout(0.0)
    for _ in range(int(BUFFER_LIMIT_S) + 10):
        line.media(SECOND, 0.0)
    assert line.violations == ["31931"]
    assert line.plays_until <= BUFFER_LIMIT_S + 1.0


def test_the_track_has_silence_where_nothing_was_played() -> None:
    """Continuous from the start of the stream."""
    line = LinePlayout(10.0)
    line.media(b"\x01" * 80, 10.02)
    line.advance(11.0)
    assert line.heard_track(10.04) == b"\xff" * 160 + b"\x01" * 80 + b"\xff" * 80


class PlayoutMachine(RuleBasedStateMachine):
    """Against the dumbest player: one byte at a time."""

    @initialize()
    def begin(self) -> None:
        self.line = LinePlayout(0.0)
        self.now_bytes = 0  # the clock, in bytes of 125 µs
        self.queue: list[int | str] = []
        self.heard = bytearray()
        self.returned: list[str] = []
        self.names = 0
        self.next_byte = 0

    @property
    def now(self) -> float:
        return self.now_bytes / 8000

    @rule(size=st.sampled_from([1, 160, 333, 480]))
    def media(self, size: int) -> None:
        audio = bytes((self.next_byte + i) % 251 for i in range(size))
        self.next_byte += size
        self.line.media(audio, self.now)
        self.queue += audio

    @rule()
    def mark(self) -> None:
        self.names += 1
        self.line.mark(f"m{self.names}", self.now)
        self.queue.append(f"m{self.names}")
        self.settle()

    @rule()
    def clear(self) -> None:
        names = [item for item in self.queue if isinstance(item, str)]
        assert [back.name for back in self.line.clear(self.now)] == names
        self.queue.clear()
        self.returned += names

    @rule(size=st.sampled_from([0, 1, 160, 500, 4000]))
    def time_passes(self, size: int) -> None:
        for _ in range(size):
            self.settle()
            if self.queue and isinstance(self.queue[0], int):
                self.heard.append(self.queue.pop(0))  # type: ignore[arg-type]
            self.now_bytes += 1
        self.settle()

    def settle(self) -> None:
        """Everything that is due now has come back."""
        while self.queue and isinstance(self.queue[0], str):
            self.returned.append(str(self.queue.pop(0)))

    @invariant()
    def marks_come_back_and_audio_is_heard_as_the_model_says(self) -> None:
        due = [back.name for back in self.line.advance(self.now)]
        assert due == self.returned[len(self.returned) - len(due) :]
        whole = self.line.heard_bytes()
        assert self.heard[: len(whole)] == whole
        assert len(self.heard) - len(whole) <= 480


PlayoutMachine.TestCase.settings = examples(40, steps=25)
TestPlayoutMachine = PlayoutMachine.TestCase
