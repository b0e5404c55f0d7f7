"""`voicecore demo`: one whole call that the engine places, on loopback sockets, with nothing but this package.

    recorded callee → carrier twin ⇄ engine ⇄ provider twin → recorded agent

The callee says hello the moment the phone is picked up, which makes a careless engine
swallow its first message.  Everything between the two recordings is real: the REST
request, signed webhooks, TwiML, the media stream, the engine, the realtime protocol.
The call is shown as it happens; then come its latencies and the files that were
written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from voicecore import facts
from voicecore.assembly import real_world
from voicecore.audio.formats import PCM16_8K
from voicecore.audio.level import levels_dbfs
from voicecore.cli.exits import DONE, Failed
from voicecore.cli.live import LivePrinter
from voicecore.cli.probe import folder_problem
from voicecore.observe.store import record_json
from voicecore.observe.timeline import Levels, timeline_svg
from voicecore.simulation.openai_realtime import Behaviour, Handshake, Recorded, Reply, Script, Updates
from voicecore.simulation.recordings import ulaw
from voicecore.simulation.rig import open_rig
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp, Say, Step, WhileAgentSpeaks

_ROUND_TRIP_S = 0.075  #: to a distant provider: one for the session, one for its configuration
_LONGEST_S = 60.0
_LEVEL_STEP_S = 0.02
_WAV_HEADER_BYTES = 44

_RINGS_S = 2.0
_FIRST_MESSAGE = "Your call is now first in line and will be answered by the next available representative."
_AGENT = Script(
    replies=(
        Reply(_FIRST_MESSAGE, speech=Recorded("agent-you-are-next")),
        Reply("Hello.", speech=Recorded("agent-hello")),
        Reply(
            "Congratulations. You have successfully installed and executed this telephone exchange, and there is "
            "a good deal more that could be said about it, all of which you would now have to listen to.",
            speech=Recorded("agent-long-30s"),
        ),
        Reply("One moment, please.", speech=Recorded("agent-one-moment")),
        Reply("Goodbye.", speech=Recorded("agent-goodbye")),
    ),
    hears=(
        "(a greeting, in Italian)",
        "(one moment, in Italian)",
        "(one moment, in Italian)",
        "(a greeting, in Italian)",
    ),
)
_PROVIDER = Behaviour(
    handshake=Handshake(created_s=_ROUND_TRIP_S),
    updates=Updates(answer_s=_ROUND_TRIP_S, effect_s=_ROUND_TRIP_S),
)


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Carry out the command."""
    out: Path = options.out
    if (problem := folder_problem(out)) is not None:
        raise Failed(problem, "--out chooses another folder")
    report, notified = trio.run(run_call, out, options.json)
    folder = out / report.call_id
    (folder / "timeline.svg").write_text(
        timeline_svg(report, notified, _levels(folder / "audio.wav")), encoding="utf-8"
    )
    if options.json:
        print(record_json(report).decode(), end="")
    else:
        _summarise(report, folder)
    return DONE


async def run_call(out: Path, quietly: bool) -> tuple[facts.CallReport, Sequence[facts.Fact]]:
    """Run the call; return its report and every fact."""
    notified: list[facts.Fact] = []
    observers: list[facts.Observer] = [lambda _call_id, fact: notified.append(fact)]
    report: facts.CallReport | None = None
    if not quietly:
        print("the engine calls somebody who says hello at once; this takes about 25 seconds", flush=True)
    async with trio.open_nursery() as nursery:
        if not quietly:
            printer = LivePrinter(sys.stdout)
            observers.append(printer)
            nursery.start_soon(_leave_with_reader, printer, nursery.cancel_scope)
        with trio.move_on_after(_LONGEST_S):
            report = await _place(out, observers)
        nursery.cancel_scope.cancel()
    if report is None:
        raise Failed("the demo call did not end in time")
    return report, notified


async def _leave_with_reader(printer: LivePrinter, scope: trio.CancelScope) -> None:
    await printer.gone.wait()
    scope.cancel()
    raise BrokenPipeError


async def _place(out: Path, observers: Sequence[facts.Observer]) -> facts.CallReport:
    overrides = {
        "server.data_dir": str(out),
        "server.record_audio": True,
        "agent.instructions": "You call customers for a small company.",
        "agent.first_message": _FIRST_MESSAGE,
    }
    async with open_rig(real_world(), _AGENT, _PROVIDER, overrides=overrides, observers=observers) as rig:
        report = await rig.dial(DialPlan(ring_s=_RINGS_S, script=_callee()))
        if rig.carrier.violations or any(line.playout.violations for line in rig.carrier.lines):
            raise Failed("the simulated carrier rejected something that the engine sent")
        return report


def _callee() -> Sequence[Step]:
    hello, moment = ulaw("caller-hello-it"), ulaw("caller-one-moment-it")
    return (
        Say(At(0.05), hello),  # over the first message, which must not be swallowed
        Say(AfterAgent(1.5), moment),
        Say(WhileAgentSpeaks(3.0), moment),  # the barge-in
        Say(AfterAgent(0.4), hello),
        HangUp(AfterAgent(0.6)),
    )


def _levels(wav: Path) -> Levels:
    samples = wav.read_bytes()[_WAV_HEADER_BYTES:]
    left = b"".join(samples[i : i + 2] for i in range(0, len(samples), 4))
    right = b"".join(samples[i + 2 : i + 4] for i in range(0, len(samples), 4))
    step = _LEVEL_STEP_S
    return Levels(step, levels_dbfs(left, PCM16_8K, step), levels_dbfs(right, PCM16_8K, step))


def _summarise(report: facts.CallReport, folder: Path) -> None:
    first = min((turn.first_sent_at_s for turn in report.turns if turn.first_sent_at_s is not None), default=None)
    waited_s = report.pickup.waited_s if report.pickup is not None else None
    print()
    print(f"{'opening the session, while it rang':<45}{_ms(report.session_open_s)}")
    print(f"{'picked up → session ready':<45}{_ms(waited_s)}")
    print(f"{'picked up → first audio at the carrier':<45}{_ms(first)}")
    for name, what in _STEPS.items():
        print(f"{what:<45}{_percentiles(report.latencies.get(name))}")
    print(f"marks: {_counts(report.media)}")
    if report.first_message is not None and report.first_message.verdict:
        print(report.first_message.verdict)
    print()
    for name, what in _FILES.items():
        print(f"{folder / name}  {what}")


def _counts(media: facts.MediaCounts) -> str:
    return f"{media.marks_placed} placed, {media.marks_heard} heard, {media.marks_flushed} flushed by the clear"


def _ms(seconds: float | None) -> str:
    return "not measured" if seconds is None else f"{seconds * 1000:.1f} ms"


def _percentiles(taken: facts.Percentiles | None) -> str:
    if taken is None:
        return _ms(None)
    most = f", most {_ms(taken.max_s)}" if taken.count > 1 else ""
    return f"p50 {_ms(taken.p50_s)}{most} (n={taken.count})"


_STEPS = {
    "end_of_utterance": "user silent → user's turn",
    "transcription": "user silent → user's words",
    "generation": "user's turn → first audio generated",
    "sending": "first audio generated → at the carrier",
    "line": "first audio at the carrier → heard",
    "reply": "user silent → agent at the carrier",
    "barge_in_detection": "user's onset read → barge-in decided",
    "clear_sent": "barge-in decided → clear written",
    "silence": "clear written → silent at the ear",
}
_FILES = {
    "audio.wav": "what the user heard (right) and said (left)",
    "timeline.svg": "the call as a picture; open it in a browser",
    "record.json": "the record",
    "transcript.jsonl": "the transcript: what was heard, not what was generated",
}
