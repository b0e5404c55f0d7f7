"""The playout ledger against everything that a line can do, together.

The carrier is the dumbest thing that plays, behind a network with trips and jitter that change; its
marks come back late, in any order, doubled, in bulk after a clear, or not at all. What it has really
played is the truth that the ledger's claims are held against.
"""

from __future__ import annotations

import itertools

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore.audio.formats import PCMU_8K
from voicecore.events import ClearPlayout, LegOrder, PlaceMark, PlayAudio
from voicecore.facts import ConfirmedBy, HeardBy, HeardPosition
from voicecore.turns.playout.ledger import FirstHeard, MarkSupport, Played, PlayoutLedger, PlayoutSettings
from voicecore_tests.chance import examples

FRAME_BYTES = 160
BYTES_PER_S = 8000
SETTINGS = PlayoutSettings(waiting_limit_s=10.0)
SLACK_S = 1e-6
DELAYS_S = st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.8, 3.0])


@attrs.define
class Carrier:
    """Plays what arrives, in order, on the clock."""

    busy_until: float = 0.0
    pieces: list[tuple[float, float, str]] = attrs.field(factory=list)  # (begins, ends, item)
    marks: list[tuple[float, str]] = attrs.field(factory=list)  # (reached at, name)

    def take(self, order: LegOrder, now: float) -> None:
        if isinstance(order, ClearPlayout):
            self.pieces = [(begin, min(end, now), item) for begin, end, item in self.pieces if begin < now]
            self.marks = [(min(at, now), name) for at, name in self.marks]
            self.busy_until = min(self.busy_until, now)
        elif isinstance(order, PlayAudio):
            begin = max(self.busy_until, now)
            self.busy_until = begin + len(order.audio) / BYTES_PER_S
            self.pieces.append((begin, self.busy_until, order.item_id))
        else:
            self.marks.append((max(self.busy_until, now), order.name))

    def reached(self, now: float) -> list[tuple[float, str]]:
        """Return the marks that go back by now, with when."""
        back = list(itertools.takewhile(lambda mark: mark[0] <= now, self.marks))
        del self.marks[: len(back)]
        return back

    def played_s(self, item_id: str, now: float) -> float:
        return sum(max(0.0, min(end, now) - begin) for begin, end, item in self.pieces if item == item_id)


class PlayoutMachine(RuleBasedStateMachine):
    """Trips, jitter, faults and barge-ins in any order."""

    @initialize(echoes=st.sampled_from(MarkSupport), lead_limit_s=st.sampled_from([0.2, 1.0]))
    def begin(self, echoes: MarkSupport, lead_limit_s: float) -> None:
        self.settings = attrs.evolve(SETTINGS, echoes=echoes, lead_limit_s=lead_limit_s)
        self.playout = PlayoutLedger(PCMU_8K, self.settings)
        self.carrier = Carrier()
        self.clock = Carrier()  # one that is reached at once: what the clock alone would say
        self.now = 0.0
        self.there_s = self.back_s = self.jitter_s = 0.0
        self.on_the_way: list[tuple[float, LegOrder]] = []  # (arrives at the carrier, order)
        self.coming_back: list[tuple[float, str]] = []  # (arrives here, name)
        self.items = 0
        self.open_item: str | None = None
        self.pushed: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.names: set[str] = set()
        self.generation_seen = 0
        self.clock_end = 0.0
        self.done: list[str] = []
        self.cut: dict[str, HeardPosition] = {}

    # --- the agent -------------------------------------------------------------------

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

    # --- the line ----------------------------------------------------------------------

    @rule(there_s=DELAYS_S, back_s=DELAYS_S, jitter_s=DELAYS_S)
    def line_changes(self, there_s: float, back_s: float, jitter_s: float) -> None:
        self.there_s, self.back_s, self.jitter_s = there_s, back_s, jitter_s

    @rule(step_s=st.sampled_from([0.0, 0.02, 0.06, 0.2, 1.0, 2.0]), late=st.floats(0.0, 1.0))
    def time_passes(self, step_s: float, late: float) -> None:
        self.now += step_s
        while self.on_the_way and self.on_the_way[0][0] <= self.now:
            at, order = self.on_the_way.pop(0)
            self.echo(self.carrier.reached(at), late)
            self.carrier.take(order, at)
        self.echo(self.carrier.reached(self.now), late)
        self.note(self.playout.expire(self.now))

    @rule(late=st.floats(0.0, 1.0))
    def writer_writes(self, late: float) -> None:
        orders = self.playout.due(self.now)
        for order in orders:
            assert order.generation >= self.generation_seen
            self.generation_seen = order.generation
            self.take_note(order)
            self.clock.take(order, self.now)
            arrives_at = self.now + self.there_s + late * self.jitter_s
            self.on_the_way.append((max([arrives_at, *(at for at, _ in self.on_the_way[-1:])]), order))
        if any(isinstance(order, PlayAudio) for order in orders):
            assert self.clock_end - self.now <= self.playout.line.lead_s + SLACK_S

    def take_note(self, order: LegOrder) -> None:
        if isinstance(order, PlayAudio):
            assert order.item_id not in self.cut
            self.sent[order.item_id] = self.sent.get(order.item_id, b"") + order.audio
            self.clock_end = max(self.clock_end, self.now) + len(order.audio) / BYTES_PER_S
        elif isinstance(order, PlaceMark):
            assert self.settings.echoes is MarkSupport.RETURNED
            assert order.name not in self.names
            self.names.add(order.name)
        else:
            self.clock_end = self.now

    def echo(self, marks: list[tuple[float, str]], late: float) -> None:
        self.coming_back += [(at + self.back_s + late * self.jitter_s, name) for at, name in marks]

    def here(self) -> list[tuple[float, str]]:
        """Return the echoes that may be read now."""
        return [echo for echo in self.coming_back if echo[0] <= self.now]

    @rule(data=st.data(), times=st.integers(1, 2))
    @precondition(lambda self: self.here())
    def one_echo_is_read(self, data: st.DataObject, times: int) -> None:
        echo = data.draw(st.sampled_from(self.here()))
        self.coming_back.remove(echo)
        for _ in range(times):
            self.note(self.playout.echoed(echo[1], self.now)[1])

    @rule()
    @precondition(lambda self: self.here())
    def all_echoes_are_read(self) -> None:
        for echo in sorted(self.here()):
            self.coming_back.remove(echo)
            self.note(self.playout.echoed(echo[1], self.now)[1])

    @rule()
    @precondition(lambda self: self.here())
    def an_echo_is_lost(self) -> None:
        self.coming_back.remove(self.here()[0])

    # --- the user -----------------------------------------------------------------------

    @rule(late=st.floats(0.0, 1.0))
    def user_barges_in(self, late: float) -> None:
        for cut in self.playout.clear(self.now):
            self.cut[cut.item_id] = cut.heard
        self.open_item = None
        self.writer_writes(late)

    def note(self, found: list[FirstHeard | Played] | list[Played]) -> None:
        self.done += [event.item_id for event in found if isinstance(event, Played)]

    # --- what always holds -------------------------------------------------------------------

    @invariant()
    def each_item_has_one_fate_at_most(self) -> None:
        outcomes = self.done + list(self.cut)
        assert len(outcomes) == len(set(outcomes))

    @invariant()
    def items_leave_whole_and_in_order(self) -> None:
        for item, sent in self.sent.items():
            pushed = self.pushed[item]
            assert sent[: len(pushed)] == pushed[: len(sent)]
            assert set(sent[len(pushed) :]) <= {0xFF}

    @invariant()
    def what_is_claimed_is_what_was_played(self) -> None:
        """Of items in hand now, and of those that were cut, with what came of them since."""
        for item in self.pushed:
            at_hand = item not in self.cut and item not in self.done
            claim = self.playout.position(item, self.now) if at_hand else self.cut.get(item)
            if claim is not None:
                self.check_claim(item, claim)

    def check_claim(self, item: str, claim: HeardPosition) -> None:
        most_s = min(len(self.pushed[item]), len(self.sent.get(item, b""))) / BYTES_PER_S
        assert 0.0 <= claim.lower_s <= claim.best_s <= claim.upper_s <= most_s + SLACK_S
        played_s = min(self.carrier.played_s(item, self.now), len(self.pushed[item]) / BYTES_PER_S)
        assert played_s <= claim.upper_s + SLACK_S
        assert claim.best_s <= max(claim.lower_s, self.clock.played_s(item, self.now)) + SLACK_S
        if claim.source is not HeardBy.ESTIMATE:
            assert claim.lower_s <= played_s + SLACK_S

    @invariant()
    def the_lead_stays_within_its_bounds(self) -> None:
        line = self.playout.line
        assert self.settings.lead_s <= line.lead_s <= line.max_lead_s <= self.settings.lead_limit_s
        assert self.playout.lead_s(self.now) <= line.max_lead_s + SLACK_S

    @invariant()
    def speaking_means_that_something_is_in_hand(self) -> None:
        unsettled = set(self.pushed) - set(self.done) - set(self.cut)
        assert self.playout.speaking == bool(unsettled)

    @invariant()
    def the_figures_say_what_confirmed(self) -> None:
        counts, line = self.playout.counts, self.playout.line
        if self.settings.echoes is MarkSupport.NONE:
            assert counts.marks_placed == 0
            assert line.confirmed_by in {ConfirmedBy.CLOCK, ConfirmedBy.NOTHING}
        assert (line.round_trip_s is None) == (counts.marks_heard + counts.marks_late == 0)
        assert counts.marks_heard + counts.marks_assumed <= counts.marks_placed

    def teardown(self) -> None:
        """Liveness: with an end said and time passing, everything is played by echo or by the clock."""
        if self.open_item is not None:
            self.agent_ends()
        for _ in range(400):
            self.writer_writes(0.0)
            self.time_passes(0.06, 0.0)
        self.time_passes(2.0, 0.0)
        assert not self.playout.speaking
        assert (self.playout.deadline(), self.playout.next_due()) == (None, None)


PlayoutMachine.TestCase.settings = examples(150, steps=40)
TestPlayoutMachine = PlayoutMachine.TestCase
