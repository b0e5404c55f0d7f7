"""The counters of a host, in Prometheus's text format (version 0.0.4).

Rule: every metric has its HELP and TYPE, its unit in its name, and a fixed set of
label values; what has not happened yet is there as 0.

Pure.  Served by net/http/health.py; made in assembly.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from voicecore.engine.host_statistics import HostStatistics
from voicecore.facts import ParkingOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@attrs.frozen
class _Metric:
    name: str
    kind: str
    """gauge or counter."""
    about: str
    values: Mapping[str, float]
    """By its labels as they are written; "" for none."""


def exposition(statistics: HostStatistics) -> bytes:
    """Return all metrics as one text."""
    lines = [line for metric in _metrics(statistics) for line in _lines(metric)]
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _lines(metric: _Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.about}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for labels, value in metric.values.items():
        yield f"{metric.name}{labels} {value}"


def _metrics(statistics: HostStatistics) -> Iterator[_Metric]:
    parked = statistics.parked
    for name, kind, value, about in (
        ("calls_ringing", "gauge", statistics.ringing, "Calls announced or dialled, without media yet."),
        ("calls_live", "gauge", statistics.live, "Calls with a media stream."),
        (
            "calls_unfiled",
            "gauge",
            statistics.unfiled,
            "Calls that are over; the carrier's final status may still come.",
        ),
        ("calls_filed", "counter", statistics.filed, "Calls whose record was written, since the start."),
        ("calls_unwritten", "gauge", statistics.unwritten, "Records that wait in memory to be written."),
        ("parked_sessions", "gauge", parked.waiting, "Sessions that wait for their call's pick-up."),
    ):
        yield _Metric(f"voicecore_{name}", kind, about, {"": value})
    yield _Metric(
        "voicecore_parked_sessions_total",
        "counter",
        "Sessions that were opened before pick-up, by their outcome.",
        {f'{{outcome="{_word(outcome)}"}}': parked.outcomes.get(outcome, 0) for outcome in ParkingOutcome},
    )
    yield _Metric(
        "voicecore_parked_seconds_total",
        "counter",
        "Seconds that sessions were parked, by whether a call used them.",
        {'{outcome="used"}': parked.used_s, '{outcome="wasted"}': parked.wasted_s},
    )


def _word(outcome: ParkingOutcome) -> str:
    return outcome.value.replace(" ", "_")
