"""How fast the state machines of turns/ are, one by one and as a whole conversation; and whole calls in virtual time.

One run takes a machine through a sequence of steps that ends where it began (or begins
with a fresh machine), and is checked; the figure is the time of one step.  A whole call
has both twins, the engine, its codecs and the ports of the simulated world: everything
but the operating system.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import trio

from voicecore import facts
from voicecore.audio.formats import PCMU_8K
from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S
from voicecore.bench.load.simulated_calls import open_simulated_rig, run_virtual, user_steps
from voicecore.bench.micro.recorded_call import record, replay
from voicecore.bench.micro.timing import Step, timed
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value
from voicecore.events import PlaceMark, PlayAudio, RequestResponse, ResponseEnded, ResponseStarted, ResponseStatus
from voicecore.facts import BargeInOutcome, EndCause, Fact, Speaker, TurnEnd
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import Backchannels, MinWords
from voicecore.turns.metrics.turn_times import TurnLog
from voicecore.turns.playout.ledger import PlayoutLedger
from voicecore.turns.responses import ResponseOwner, ResponsePhase
from voicecore.turns.transcript import Transcript
from voicecore.turns.user_turns import UserTurns

_ABOUT_STEPS = """\
CPU of one step, in one warm process. A sequence of steps is run again and again; its result is checked before anything
is timed. A step is one call of a method: an event, an order that was written, the clock. Not included: what delivers
the events, codecs, sockets, tasks."""
_ABOUT_CALLS = """\
Whole calls in virtual time, one after the other: both twins, the engine, codecs, WebSocket frames, HTTP, memory streams
instead of sockets. CPU of the one process that all of it runs in, the twins' share included. A user who is greeted,
speaks, barges in on an answer, hears the next one and hangs up."""

_STEPS = (
    Column("machine"),
    Column("course"),
    Column("steps in it"),
    Column("CPU of a step", "µs"),
    Column("least", "µs"),
    Column("in a second", "steps/s"),
)
_CALLS = (
    Column("calls"),
    Column("call", "s"),
    Column("CPU", "ms/call"),
    Column("CPU of a call-second", "ms/call·s"),
    Column("in a second", "calls/s"),
    Column("× real time"),
)


@attrs.frozen
class _Course:
    """One machine, and the steps that it is taken through."""

    machine: str
    what: str
    steps: int
    run: Callable[[], object]
    expected: object


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the tables of machines and of whole calls.

    Raises:
        BenchmarkFailed: A machine does not end where it should, or a call does not go as planned.
    """
    return [_machines(plan, progress), _whole_calls(plan, progress)]


def _machines(plan: Plan, progress: Progress) -> Result:
    courses = list(_courses())
    steps = (Step(course.machine, course.what, course.run, course.expected, course.steps) for course in courses)
    (table,) = timed("", "", steps, plan, progress)
    rows = [_row(course, row) for course, row in zip(courses, table.rows, strict=True)]
    return Result(name="steps of the machines", about=_ABOUT_STEPS, columns=_STEPS, rows=rows)


def _row(course: _Course, row: Mapping[str, Value]) -> dict[str, Value]:
    cpu_us, least_us = (each / course.steps for each in (row["CPU"], row["least"]) if isinstance(each, float))
    return {
        "machine": course.machine,
        "course": course.what,
        "steps in it": course.steps,
        "CPU of a step": cpu_us,
        "least": least_us,
        "in a second": 1e6 / cpu_us,
    }


# --- the machines -------------------------------------------------------------------


def _courses() -> Iterator[_Course]:
    yield _user_turns()
    yield _barge_in()
    yield _playout()
    yield _responses()
    yield _transcript()
    yield _turn_log()
    series = record()
    yield _Course("conversation", "call of seven turns", len(series), lambda: replay(series), replay(series))


def _user_turns() -> _Course:
    turns, numbers = UserTurns(), itertools.count()

    def run() -> tuple[float | None, int]:
        number = next(numbers)
        item, response, now = f"item-{number}", f"response-{number}", float(number)
        turns.speech_started(now)
        turns.speech_stopped(now)
        turns.committed(item, now)
        turns.began(response)
        return turns.answered(response, now), turns.unsettled

    return _Course("user turns", "turn and its reply", 5, run, (0.0, 0))


def _barge_in() -> _Course:
    machine, numbers = BargeIn(BargeInPolicy(strategies=(Backchannels(), MinWords(2))), 0.0), itertools.count()

    def run() -> BargeInOutcome | None:
        now = float(next(numbers))
        machine.onset("item", now - 1.0, now, agent_words="certainly")
        machine.expire(now + 0.1)
        machine.heard_words("item", "wait", now + 0.2, complete=False)
        decided = machine.heard_words("item", "wait please", now + 0.3, complete=False)
        return decided.outcome if decided is not None else None

    return _Course("barge-in", "two words, two strategies", 4, run, BargeInOutcome.CONFIRMED)


def _playout() -> _Course:
    ledger, frame, clock = PlayoutLedger(PCMU_8K), bytes(FRAME_BYTES), itertools.count()

    def run() -> int:
        """Push a frame, send what is due, and return its mark, 20 ms after the last."""
        now = next(clock) * FRAME_S
        ledger.push("response", "item", frame)
        orders = ledger.due(now)
        for order in orders:
            if isinstance(order, PlaceMark):
                ledger.echoed(order.name, now)
        return sum(len(order.audio) for order in orders if isinstance(order, PlayAudio))

    return _Course("playout ledger", "20 ms, its mark returned", 3, run, FRAME_BYTES)


def _responses() -> _Course:
    owner, numbers = ResponseOwner(), itertools.count()

    def run() -> ResponsePhase:
        number = next(numbers)
        request, response, now = f"request-{number}", f"response-{number}", float(number)
        owner.request(RequestResponse(request_id=request), now)
        owner.started(ResponseStarted(response, request), now)
        owner.interrupt(response, now, provider_cancels=False)
        owner.ended(ResponseEnded(response_id=response, status=ResponseStatus.CANCELLED), now)
        return owner.phase

    return _Course("responses", "request, start, cancel, end", 4, run, ResponsePhase.IDLE)


def _transcript() -> _Course:
    words = ("yes ", "I ", "will ", "look ", "that ", "up ")

    def run() -> str | None:
        transcript = Transcript()
        transcript.add(Speaker.USER, "user")
        transcript.complete(Speaker.USER, "user", "could you look that up?")
        for word in words:
            transcript.extend(Speaker.AGENT, "agent", word)
        transcript.cut("agent", 1.0, 2.0)
        return transcript.lines()[1].text

    return _Course("transcript", "two lines, one cut", 10, run, "yes I will")


def _turn_log() -> _Course:
    notified: tuple[Fact, ...] = (
        facts.UserStarted(1.0, "item", 1.0),
        facts.UserStopped(3.5, "item", 3.5, 0.5),
        facts.UserTurn(3.5, "item"),
        facts.UserSaid(3.8, "item", "could you look that up?"),
        facts.FirstAudioReceived(4.0, "response", ("item",)),
        facts.FirstAudioSent(4.0, "response", "spoken", 0.5),
        facts.FirstAudioHeard(4.1, "response"),
        facts.ResponsePlayed(6.0, "response"),
    )

    def run() -> list[TurnEnd]:
        log = TurnLog()
        return [turn.end for fact in notified for turn in log.take(fact)]

    return _Course("turn log", "turn, eight facts", len(notified), run, [TurnEnd.COMPLETED])


# --- whole calls --------------------------------------------------------------------


def _whole_calls(plan: Plan, progress: Progress) -> Result:
    calls = plan.pick(1, 20, 100)
    progress(f"{calls} whole calls in virtual time")
    cpu_s, virtual_s = run_virtual(lambda: _run_calls(calls, plan.seed))
    row: dict[str, Value] = {
        "calls": calls,
        "call": virtual_s / calls,
        "CPU": cpu_s / calls * 1000,
        "CPU of a call-second": cpu_s / virtual_s * 1000,
        "in a second": calls / cpu_s,
        "× real time": virtual_s / cpu_s,
    }
    return Result(name="whole calls in virtual time", about=_ABOUT_CALLS, columns=_CALLS, rows=[row])


async def _run_calls(calls: int, seed: int) -> tuple[float, float]:
    """Run this many calls, one after the other; return their processor time and their virtual time, in seconds."""
    async with open_simulated_rig(seed) as it:
        await it.run(user_steps())  # what is made once per process is made now
        await it.wait_until_idle()
        began_at, began_s = trio.current_time(), time.process_time()
        for _ in range(calls):
            await it.run(user_steps())
        await it.wait_until_idle()
        spent = time.process_time() - began_s, trio.current_time() - began_at
        courses = {(report.outcome, report.barge_ins, len(report.turns)) for report in it.reports}
        if courses != {(EndCause.REMOTE_HUNG_UP, 1, 3)}:
            raise BenchmarkFailed(f"a simulated call did not go as planned: {courses}")
    return spent
