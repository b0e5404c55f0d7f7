"""How long the steps of turns took, over many turns.

Rule 1: a step that was not seen gives no sample; a step that took no time gives 0.0.
Rule 2: a percentile is one of the samples (nearest rank) and comes with their number.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from voicecore.facts import Overlap, Percentiles, TurnTimes


def latencies(turns: Iterable[TurnTimes]) -> dict[str, Percentiles]:
    """Return the percentiles of every step of which there is a sample, in the order of `STEPS`."""
    listed = list(turns)
    samples = {name: [took_s for turn in listed if (took_s := step(turn)) is not None] for name, step in STEPS.items()}
    return {name: percentiles(values) for name, values in samples.items() if values}


def percentiles(samples_s: Sequence[float]) -> Percentiles:
    """Return nearest-rank percentiles of at least one sample."""
    ordered = sorted(samples_s)

    def rank(percent: int) -> float:
        return ordered[math.ceil(percent * len(ordered) / 100) - 1]

    return Percentiles(count=len(ordered), p50_s=rank(50), p90_s=rank(90), p99_s=rank(99), max_s=ordered[-1])


def between(begin_s: float | None, end_s: float | None) -> float | None:
    """Return the seconds from one moment to another; None where one was not seen, or they are the wrong way round."""
    if begin_s is None or end_s is None or end_s < begin_s:
        return None
    return end_s - begin_s


def _of_overlap(figure: Callable[[Overlap], float | None]) -> Callable[[TurnTimes], float | None]:
    return lambda turn: None if turn.overlap is None else figure(turn.overlap)


STEPS: Mapping[str, Callable[[TurnTimes], float | None]] = {
    "end_of_utterance": lambda turn: turn.end_of_utterance_s,
    "transcription": lambda turn: turn.transcription_s,
    "generation": lambda turn: between(turn.committed_at_s, turn.first_generated_at_s),
    "sending": lambda turn: between(turn.first_generated_at_s, turn.first_sent_at_s),
    "line": lambda turn: between(turn.first_sent_at_s, turn.first_heard_at_s),
    "reply": lambda turn: turn.reply_s,
    "barge_in_detection": _of_overlap(lambda overlap: overlap.detection_s),
    "clear_sent": _of_overlap(lambda overlap: overlap.clear_s),
    "silence": _of_overlap(lambda overlap: overlap.silence_s),
}
"""Seconds that each step of a turn took. End of utterance, generation and sending add up to the reply."""
