"""The playout ledger: paced, cut at once, and never claiming more than was heard."""

from __future__ import annotations

import attrs
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore.audio.formats import PCMU_8K
from voicecore.events import ClearPlayout, LegOrder, PlaceMark, PlayAudio
from voicecore.turns.playout import EchoKind, FirstHeard, Interrupted, Played, PlayoutLedger, PlayoutSettings

FRAME_BYTES = 160
SETTINGS = PlayoutSettings(lead_s=0.2, piece_s=0.06, mark_every_s=0.2, echo_late_s=2.0, waiting_limit_s=10.0)


def ledger() -> PlayoutLedger:
    return PlayoutLedger(PCMU_8K, SETTINGS)


def speech(frames: int) -> bytes:
    return bytes(number % 251 for number in range(frames * FRAME_BYTES))


def audio(orders: list[LegOrder]) -> bytes:
    return b"".join(order.audio for order in orders if isinstance(order, PlayAudio))


def marks(orders: list[LegOrder]) -> list[str]:
    return [order.name for order in orders if isinstance(order, PlaceMark)]


def run_until(playout: PlayoutLedger, begin: float, end: float) -> list[tuple[float, LegOrder]]:
    """Carry out `due` at exactly the moments that `next_due` names."""
    sent, now = [], begin
    while True:
        sent += [(now, order) for order in playout.due(now)]
        moment = playout.next_due()
        if moment is None or moment > end:
            return sent
        now = max(now, moment)


def test_speech_starts_at_once_and_never_runs_further_ahead_than_the_lead() -> None:
    """What waits at the carrier is what a barge-in has to clear."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    assert len(audio(playout.due(0.0))) == 9 * FRAME_BYTES
    assert playout.lead_s(0.0) <= SETTINGS.lead_s


def test_c16_pacing_runs_on_absolute_times() -> None:
    """A minute of speech leaves in exactly a minute less the lead, wherever the wake-ups fall."""
    playout = PlayoutLedger(PCMU_8K, PlayoutSettings(waiting_limit_s=100.0))
    playout.push("r", "i", speech(3000))
    playout.finish("i")
    sent = run_until(playout, 0.0, 100.0)
    last_audio = max(moment for moment, order in sent if isinstance(order, PlayAudio))
    assert abs(last_audio - (60.0 - 0.2)) < 0.061
    assert audio([order for _, order in sent]) == speech(3000)


def test_a_late_wake_up_is_caught_up() -> None:
    """The lead is filled again in one go, and the gap at the carrier is counted."""
    playout = ledger()
    playout.push("r", "i", speech(100))
    playout.due(0.0)
    assert len(audio(playout.due(0.5))) == 9 * FRAME_BYTES
    assert playout.counts.under_runs == 1


def test_every_byte_leaves_in_order_and_the_last_frame_is_filled_with_silence() -> None:
    """H8: a tail shorter than a frame is neither lost nor clicked."""
    playout = ledger()
    playout.push("r", "i", speech(2) + b"\x01" * 30)
    playout.finish("i")
    assert audio(playout.due(0.0)) == speech(2) + b"\x01" * 30 + b"\xff" * 130
    assert playout.counts.padding_bytes == 130


def test_half_a_frame_waits_for_its_rest() -> None:
    """Only whole frames leave while more may come."""
    playout = ledger()
    playout.push("r", "i", speech(1)[:100])
    assert (playout.due(0.0), playout.next_due()) == ([], None)
    playout.push("r", "i", speech(1)[100:])
    assert audio(playout.due(0.0)) == speech(1)


def test_the_first_and_the_last_piece_have_a_mark_and_so_has_every_fifth_of_a_second() -> None:
    """Marks cost a message each way; between them the position is interpolated."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.finish("i")
    names = marks([order for _, order in run_until(playout, 0.0, 5.0)])
    assert len(names) == 1 + 4 + 1 - 1
    assert len(set(names)) == len(names)


def test_an_end_that_is_said_after_the_last_byte_left_still_gets_its_mark() -> None:
    """Providers say that an item is over after its last delta, sometimes much later."""
    playout = ledger()
    playout.push("r", "i", speech(6))
    first = marks(playout.due(0.0))
    assert playout.finish("i") == []
    last = marks(playout.due(0.1))
    assert (len(first), len(last)) == (1, 1)
    assert playout.echoed(last[0], 0.3)[1][-1] == Played("r", "i", assumed=False, mark=last[0])
    assert not playout.speaking


def test_an_echo_confirms_everything_before_its_mark() -> None:
    """C4: a lost echo costs nothing when the next one comes."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    playout.finish("i")
    names = marks([order for _, order in run_until(playout, 0.0, 1.0)])
    kind, found = playout.echoed(names[-1], 1.0)
    assert kind is EchoKind.HEARD
    assert found == [FirstHeard("r", "i"), Played("r", "i", assumed=False, mark=names[-1])]
    assert playout.counts.marks_heard == len(names)


def test_c2_echoes_that_match_nothing_change_nothing_and_are_counted() -> None:
    """Doubled echoes, and names that were never sent."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    (name, *_) = marks(playout.due(0.0))
    playout.echoed(name, 0.1)
    before = playout.heard_s("i", 0.1)
    assert [playout.echoed(stranger, 0.1)[0] for stranger in (name, "nobody", "g9-9", "")] == [EchoKind.UNMATCHED] * 4
    assert (playout.heard_s("i", 0.1), playout.counts.marks_unmatched) == (before, 4)


def test_heard_grows_with_the_clock_but_not_past_the_next_mark() -> None:
    """Rule 4: counted low between two echoes."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    names = marks(playout.due(0.0))
    assert playout.heard_s("i", 5.0) == 0.0
    playout.echoed(names[0], 0.06)
    assert abs(playout.heard_s("i", 0.10) - 0.10) < 1e-9
    assert playout.heard_s("i", 9.0) <= 0.18


def test_c12_the_clear_is_the_next_order_and_the_new_generation_follows_it() -> None:
    """Whatever was queued is gone; the next words come behind the clear."""
    playout = ledger()
    playout.push("r1", "i1", speech(50))
    playout.due(0.0)
    playout.clear(0.1)
    playout.push("r2", "i2", speech(3))
    orders = playout.due(0.1)
    assert orders[0] == ClearPlayout(1)
    assert {order.generation for order in orders} == {1}
    assert audio(orders) == speech(3)


def test_an_echo_after_the_clear_is_flushed_not_heard() -> None:
    """Carriers send every pending mark back on a clear; the wire does not tell the two apart, the name does."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    names = marks(playout.due(0.0))
    playout.clear(0.1)
    assert [playout.echoed(name, 0.15)[0] for name in names] == [EchoKind.FLUSHED] * len(names)
    assert playout.counts.marks_heard == 0


def test_c8_nothing_heard_is_said_as_zero() -> None:
    """A cut before the first echo leaves nothing of the item."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.due(0.0)
    assert playout.clear(0.01) == [Interrupted("r", "i", 0.0, None)]


def test_a_clear_of_speech_that_was_not_sent_writes_nothing() -> None:
    """B10: there is nothing at the carrier to clear."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.clear(0.0)
    assert (playout.due(0.0), playout.generation, playout.counts.dropped_bytes) == ([], 0, 50 * FRAME_BYTES)


def test_c6_the_tail_of_a_finished_response_is_cut_like_any_other() -> None:
    """Speaking lasts until the last mark, not until the provider is done."""
    playout = ledger()
    playout.push("r", "i", speech(500))
    playout.finish_response("r")
    names = marks([order for _, order in run_until(playout, 0.0, 4.0)])
    playout.echoed(names[-3], 4.0)
    assert playout.audible
    (cut,) = playout.clear(4.1)
    assert 3.0 < cut.heard_s <= 4.1
    assert cut.generated_s == 10.0


def test_c7_heard_starts_from_zero_for_each_item() -> None:
    """The position in turn two knows nothing of turn one."""
    playout = ledger()
    for item in ("i1", "i2"):
        playout.push("r", item, speech(5))
        playout.finish(item)
    sent = run_until(playout, 0.0, 1.0)
    names = marks([order for _, order in sent])
    playout.echoed(names[1], 0.1)
    assert playout.heard_s("i2", 5.0) == 0.0


def test_c18_marks_that_never_come_back_are_given_up_by_the_clock() -> None:
    """A lost echo costs bounded time, and is counted as assumed."""
    playout = ledger()
    playout.push("r", "i", speech(9))
    playout.finish("i")
    playout.due(0.0)
    deadline = playout.deadline()
    assert deadline is not None
    assert deadline <= 0.18 + 2.0
    found = playout.expire(2.5)
    assert found == [Played("r", "i", assumed=True)]
    assert (playout.counts.marks_assumed, playout.deadline()) == (2, None)


def test_c21_what_exceeds_the_limit_is_refused_not_kept() -> None:
    """Ten minutes is the most that is kept; the caller of push learns how much was refused."""
    playout = ledger()
    assert playout.push("r", "i", speech(499)) == 0
    assert playout.push("r", "i", speech(3)) == 2 * FRAME_BYTES
    assert playout.waiting_bytes == 500 * FRAME_BYTES


@attrs.define
class Carrier:
    """The dumbest thing that plays: a list of what arrived, played in order on the clock."""

    waiting: list[tuple[float, str | None, int]] = attrs.field(factory=list)  # (seconds, mark, bytes)
    busy_until: float = 0.0
    played_bytes: int = 0

    def take(self, order: LegOrder, now: float) -> None:
        if isinstance(order, ClearPlayout):
            self.waiting = [(now, mark, 0) for _, mark, _ in self.waiting if mark]
            self.busy_until = now
        elif isinstance(order, PlayAudio):
            self.busy_until = max(self.busy_until, now) + len(order.audio) / 8000
            self.waiting.append((self.busy_until, None, len(order.audio)))
        else:
            self.waiting.append((max(self.busy_until, now), order.name, 0))

    def advance(self, now: float) -> list[str]:
        echoes = []
        while self.waiting and self.waiting[0][0] <= now + 1e-9:
            _, mark, size = self.waiting.pop(0)
            self.played_bytes += size
            if mark:
                echoes.append(mark)
        return echoes


class PlayoutMachine(RuleBasedStateMachine):
    """The ledger against a carrier that confirms late, in any order, doubled, or not at all."""

    @initialize()
    def begin(self) -> None:
        self.playout = ledger()
        self.carrier = Carrier()
        self.now = 0.0
        self.items = 0
        self.open_item: str | None = None
        self.pushed: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.echoes: list[str] = []
        self.names: set[str] = set()
        self.generation_seen = 0
        self.done: list[str] = []
        self.cut: list[str] = []

    @rule(frames=st.integers(1, 40), odd=st.integers(0, 159))
    def agent_speaks(self, frames: int, odd: int) -> None:
        if self.open_item is None:
            self.items += 1
            self.open_item = f"i{self.items}"
            self.pushed[self.open_item] = b""
        piece = bytes([self.items % 200 + 1]) * (frames * FRAME_BYTES + odd)
        refused = self.playout.push(f"r{self.items}", self.open_item, piece)
        self.pushed[self.open_item] += piece[: len(piece) - refused]

    @rule()
    @precondition(lambda self: self.open_item)
    def agent_ends(self) -> None:
        assert self.open_item is not None
        self.note(self.playout.finish(self.open_item))
        self.open_item = None

    @rule(step_s=st.sampled_from([0.0, 0.02, 0.06, 0.2, 1.0, 2.0]))
    def time_passes(self, step_s: float) -> None:
        self.now += step_s
        self.echoes += self.carrier.advance(self.now)
        self.note(self.playout.expire(self.now))

    @rule()
    def writer_writes(self) -> None:
        for order in self.playout.due(self.now):
            assert order.generation >= self.generation_seen
            self.generation_seen = order.generation
            self.carrier.take(order, self.now)
            if isinstance(order, PlayAudio):
                self.sent[order.item_id] = self.sent.get(order.item_id, b"") + order.audio
            elif isinstance(order, PlaceMark):
                assert order.name not in self.names
                self.names.add(order.name)

    @rule(data=st.data(), times=st.integers(1, 2))
    @precondition(lambda self: self.echoes)
    def carrier_confirms(self, data: st.DataObject, times: int) -> None:
        name = data.draw(st.sampled_from(self.echoes))
        self.echoes.remove(name)
        for _ in range(times):
            self.note(self.playout.echoed(name, self.now)[1])

    @rule()
    @precondition(lambda self: self.echoes)
    def an_echo_is_lost(self) -> None:
        self.echoes.pop(0)

    @rule()
    def caller_barges_in(self) -> None:
        for cut in self.playout.clear(self.now):
            length_s = len(self.pushed[cut.item_id]) / 8000
            assert 0 <= cut.heard_s <= length_s
            self.cut.append(cut.item_id)
        self.open_item = None
        self.writer_writes()

    def note(self, found: list[FirstHeard | Played] | list[Played]) -> None:
        self.done += [event.item_id for event in found if isinstance(event, Played)]

    @invariant()
    def each_item_has_one_fate_at_most(self) -> None:
        fates = self.done + self.cut
        assert len(fates) == len(set(fates))

    @invariant()
    def items_leave_whole_and_in_order(self) -> None:
        for item, sent in self.sent.items():
            pushed = self.pushed[item]
            assert sent[: len(pushed)] == pushed[: len(sent)]
            assert set(sent[len(pushed) :]) <= {0xFF}

    @invariant()
    def never_further_ahead_than_the_lead(self) -> None:
        assert self.carrier.busy_until - self.now <= SETTINGS.lead_s + 1e-6

    @invariant()
    def never_claims_more_than_was_sent(self) -> None:
        for item, pushed in self.pushed.items():
            heard = self.playout.heard_s(item, self.now) * 8000
            assert heard <= min(len(pushed), len(self.sent.get(item, b""))) + 1e-6

    @invariant()
    def speaking_means_that_something_is_in_hand(self) -> None:
        unsettled = set(self.pushed) - set(self.done) - set(self.cut)
        assert self.playout.speaking == bool(unsettled)

    def teardown(self) -> None:
        """Liveness: with an end said and time passing, everything is played by echo or by the clock."""
        if self.open_item is not None:
            self.agent_ends()
        for _ in range(400):
            self.writer_writes()
            self.time_passes(0.06)
        self.time_passes(2.0)
        assert not self.playout.speaking
        assert (self.playout.deadline(), self.playout.next_due()) == (None, None)


PlayoutMachine.TestCase.settings = hypothesis_settings(max_examples=120, stateful_step_count=40, deadline=None)
TestPlayoutMachine = PlayoutMachine.TestCase
