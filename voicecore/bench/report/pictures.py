"""The pictures of a run: one standalone SVG per measurement.

calls.svg       bars of its main figures
pacing.svg      lines that fill and run dry
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voicecore.bench.report.chart import Panel, chart_svg
from voicecore.bench.report.lead_picture import lead_svg
from voicecore.bench.report.result import Plan, Result

PANELS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "pickup": (
        "How long a user waits after pick-up",
        [
            Panel("from pick-up to the first audio at the carrier", "p50", "most"),
            Panel("from pick-up to the first audio at the carrier", "ours p50"),
        ],
    ),
    "calls": (
        "What a call costs, and how much later its audio is",
        [
            Panel("cost of a call", "CPU", "most", names=2),
            Panel("delay of a frame", "to provider p50", "to provider p99", names=2),
            Panel("delay of a frame", "to carrier p50", "to carrier p99", names=2),
            Panel("cost of a call", "memory", names=2),
        ],
    ),
    "conversation": (
        "What a conversation costs, and how late it is",
        [
            Panel("cost of a conversation", "CPU", "most", names=2),
            Panel("delay in a conversation", "first audio p50", "first audio p99", names=2),
            Panel("delay in a conversation", "barge-in p50", "barge-in p99", names=2),
        ],
    ),
    "limit": ("Calls on one processor", [Panel("calls on one processor", "calls")]),
    "barge-in": (
        "From the user's onset to silence",
        [
            Panel("from the user's onset to silence", "clear p50", "clear p99"),
            Panel("from the user's onset to silence", "in the engine p50", "in the engine p99"),
        ],
    ),
    "teardown": (
        "From a call's last event to nothing left",
        [
            Panel("from a call's last event to nothing left", "everything p50", "everything p99"),
            Panel("an idle call", "memory"),
        ],
    ),
    "machines": (
        "Steps of the machines",
        [Panel("steps of the machines", "CPU of a step"), Panel("steps of the machines", "in a second")],
    ),
    "audio": ("Steps of the audio path", [Panel("steps of the audio path", "CPU")]),
    "sockets": (
        "A WebSocket message on loopback",
        [
            Panel("a WebSocket message on loopback", "one by one"),
            Panel("a WebSocket message on loopback", "together"),
        ],
    ),
    "json": ("JSON and base64", [Panel("JSON and base64", "CPU", names=2)]),
}
"""Title and panels, by measurement; pacing has a picture of its own."""


def draw(folder: Path, plan: Plan, results: Mapping[str, Sequence[Result]]) -> None:
    """Write a picture of each measurement into a folder.

    Raises:
        OSError: It cannot be written.
    """
    for name, tables in results.items():
        (folder / f"{name}.svg").write_text(picture(name, plan, tables), encoding="utf-8")


def picture(name: str, plan: Plan, tables: Sequence[Result]) -> str:
    """Return the picture of one measurement as SVG text."""
    if name == "pacing":
        return lead_svg(plan.seed)
    title, panels = PANELS[name]
    return chart_svg(title, panels, tables)
