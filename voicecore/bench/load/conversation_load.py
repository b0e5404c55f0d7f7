"""Whole conversations: what a call costs, how late its audio is, how soon a barge-in takes effect.

    this process                      child, on a processor of its own
    carrier's lines ──────────────► engine ──► provider's sessions ┐
          ▲  plays what it gets       │                            │  (this process again)
          └───────────────────────────┴──── answers, 5 × as fast ◄─┘

The user's frames flow all the time, 50 a second; turns follow turn_cycle.py; the
provider generates faster than speech, so that somebody has to pace it; in a third
of the turns the user barges in on the answer.  calls.py is the other load: audio
that is sent straight back and never runs ahead.

Rule: a figure is one of the measured stretch; every frame counts for the faults,
from the first call to the last.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import attrs

from voicecore.bench.load.answer_log import AnswerLog, within
from voicecore.bench.load.call_log import CallLog, MessageCounts, ProviderAudio
from voicecore.bench.load.coded_log import CodedAnswerLog, CodedTrack
from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S, Faults, Track
from voicecore.bench.load.peers import Run, Session, run_calls
from voicecore.bench.load.provider_session import ProviderSession
from voicecore.bench.load.relay_session import RelaySession
from voicecore.bench.load.selector_loop import Connection, Loop
from voicecore.bench.load.targets import PLAIN_PATH, Target
from voicecore.bench.load.turn_cycle import QUICK_CYCLE, TurnCycle
from voicecore.bench.processes.usage import others, share
from voicecore.bench.report.result import Plan, Size


@attrs.frozen(kw_only=True)
class Level:
    """What was seen of one number of calls through one target."""

    target: str
    calls: int
    seconds: float
    cpu_ms: Sequence[float]
    """Per call-second, one a slice."""
    memory_kib: float | None
    """Per call, above one call's."""
    to_provider_s: Sequence[float]
    """Of the user's frames."""
    first_audio_s: Sequence[float]
    """Of answers whose first audio had nothing to wait for."""
    barge_in_s: Sequence[float]
    """From the provider's report that the user speaks to the clear at the carrier."""
    messages: Mapping[str, float]
    """Per call-second, by way."""
    faults: Faults
    """Of the user's frames and of the agent's."""
    stale_frames: float
    """20 ms of a cut answer that came after its clear."""
    missed_barge_ins: int
    """Cuts without a clear."""
    wrong_clears: int
    filled_frames: float
    """20 ms of silence that the engine put in."""
    holes_s: Sequence[float]
    """Silence within answers."""
    heard_s: float
    """Answers heard, all calls together."""
    unknown_requests: Sequence[str]
    """What the provider was sent and does not know."""
    lateness_s: Sequence[float]
    load: float
    """Share of a processor that this process used."""
    others: float | None
    """Share of a processor that everything else on the machine used."""

    @property
    def holes_a_minute(self) -> float | None:
        """Holes of more than a frame in a minute of speech; None: nobody spoke."""
        holes = sum(hole > FRAME_S for hole in self.holes_s)
        return holes / self.heard_s * 60 if self.heard_s else None


def warm_up_s(plan: Plan) -> float:
    """Return how long conversations go on before anything is measured: until the first answers are over."""
    return plan.pick(0.2, 2.0, 3.0)


def run_level(target: Target, calls: int, plan: Plan, cycle: TurnCycle | None = None) -> Level:
    """Run this many conversations through a fresh process; without a cycle they follow the plan's.

    Raises:
        BenchmarkFailed: A call was not answered, or ended by itself.
    """
    turns = cycle or (QUICK_CYCLE if plan.size is Size.SMALL else TurnCycle())

    def new_log(call: int, counts: MessageCounts) -> CallLog:
        return _new_log(call, counts, random.Random(f"{plan.seed}/{call}"), target.audio)

    def new_session(loop: Loop, connection: Connection, log: CallLog, head: str) -> Session:
        kind = RelaySession if head.startswith(f"GET {PLAIN_PATH} ") else ProviderSession
        return kind(loop, connection, log, turns)

    run = run_calls(
        target, calls, warm_up_s=warm_up_s(plan), seconds=plan.seconds, new_log=new_log, new_session=new_session
    )
    return _level_of(target, plan, run)


def _new_log(call: int, counts: MessageCounts, rng: random.Random, audio: ProviderAudio) -> CallLog:
    if audio is ProviderAudio.PCM:
        return CallLog(call, audio, CodedTrack(call, rng), CodedAnswerLog(call, rng), counts)
    return CallLog(call, audio, Track(call, rng), AnswerLog(call, rng), counts)


def _level_of(target: Target, plan: Plan, run: Run) -> Level:
    observed, logs = run.observed, run.logs
    stretch, calls = observed.stretch, len(logs)
    begin, end = stretch
    answers = [log.answers for log in logs]
    for each in answers:
        each.finish(end)
    return Level(
        target=target.name,
        calls=calls,
        seconds=plan.seconds,
        cpu_ms=[used / calls * 1000 for used in itertools.starmap(share, itertools.pairwise(observed.usages))],
        memory_kib=run.memory_kib,
        to_provider_s=[delay for log in logs for delay in log.user.to_provider.delays(*stretch)],
        first_audio_s=[delay for each in answers for delay in within(each.first_audio, *stretch)],
        barge_in_s=[delay for each in answers for delay in within(each.clears, *stretch)],
        messages={way: count / (end - begin) / calls for way, count in observed.messages.items()},
        faults=sum((_faults(log) for log in logs), Faults()),
        stale_frames=sum(each.stale_bytes for each in answers) / FRAME_BYTES,
        missed_barge_ins=sum(each.missed(end) for each in answers),
        wrong_clears=sum(each.wrong_clears for each in answers),
        filled_frames=sum(each.filled_bytes for each in answers) / FRAME_BYTES,
        holes_s=[hole for each in answers for hole in within(each.holes, *stretch)],
        heard_s=sum(sum(within(each.heard, *stretch)) for each in answers),
        unknown_requests=sorted({fault for session in run.peers.sessions for fault in session.faults}),
        lateness_s=run.peers.lateness_s,
        load=share(*observed.own),
        others=others(observed.own, observed.usages),
    )


def _faults(log: CallLog) -> Faults:
    """Return what went wrong with the frames of a call, both ways; parts of frames count as frames."""
    agent = log.answers
    return log.user.to_provider.faults() + Faults(
        lost=_frames(agent.lost_bytes), doubled=_frames(agent.doubled_bytes), altered=_frames(agent.altered_bytes)
    )


def _frames(size_bytes: int) -> int:
    return -(-size_bytes // FRAME_BYTES)
