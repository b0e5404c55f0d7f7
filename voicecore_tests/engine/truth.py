"""What the twins saw of a call: which frames of which response crossed the carrier's wire, and which reached the ear.

Agent audio says itself where it comes from (`NumberedFrames`), so nothing here is taken from what the engine says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from voicecore.simulation.numbered_audio import runs_in
from voicecore.simulation.openai_realtime import (
    Behaviour,
    LedgerLine,
    NumberedFrames,
    Pace,
    Reply,
    Script,
    ScriptedVad,
    TwinConnection,
)
from voicecore.simulation.twilio import At, HangUp, LineFaults
from voicecore.simulation.twilio.line import Line
from voicecore_tests.kit import Rig, nothing_is_left

BYTES_PER_S = 8000
FRAME_BYTES = 160
TICK_S = 0.001
SPEAKS_S = 0.2  #: how long the user speaks where turn detection is scripted
FIRST_DELTA_S = 0.1
CUTS = ("response.cancel", "conversation.item.truncate", "conversation.item.delete")


# --- calls in which everything says when and what it is ----------------------------


def numbered(*seconds: float) -> Script:
    """Answers that say themselves what they are."""
    return Script(replies=tuple(Reply("one two three four five six", speech=NumberedFrames(each)) for each in seconds))


def scripted(*onsets: float, **how: Any) -> Behaviour:
    """A provider that detects the user's onset at these moments, whatever the audio is; each is answered."""
    pace = how.pop("pace", Pace(first_delta_s=FIRST_DELTA_S))
    return Behaviour(vad=ScriptedVad(tuple((at, at + SPEAKS_S) for at in onsets)), pace=pace, **how)


async def hold(it: Rig, until_s: float, faults: LineFaults | None = None) -> Line:
    """Run one call for this long; the carrier had no complaints about its line."""
    line = await it.carrier.call(it.engine.url, [HangUp(At(until_s))], faults=faults)
    await it.engine.drain()
    nothing_is_left(it)
    assert line is not None
    assert line.playout.violations == []
    return line


# --- what they saw -----------------------------------------------------------------


@attrs.frozen
class OnWire:
    """One message of the engine, as it reached the carrier; audio is ``size_bytes`` of a response from ``begin`` on."""

    at: float
    kind: str
    name: str = ""
    response: int = 0
    begin: int = 0
    size_bytes: int = 0


@attrs.frozen
class AtEar:
    """A stretch of a response as it was played."""

    began_at: float
    response: int
    begin: int
    size_bytes: int

    def played_by(self, moment: float) -> int:
        """Return how many bytes of it had been played."""
        return int(max(0.0, min(self.size_bytes, (moment - self.began_at) * BYTES_PER_S + 1e-6)))


def on_wire(line: Line) -> list[OnWire]:
    """Return all that came, in the order in which it came. Every message holds whole frames of one response."""
    found: list[OnWire] = []
    taken = 0
    for hosted in line.ledger:
        if hosted.direction != "in":
            continue
        if hosted.kind != "media":
            found.append(OnWire(hosted.at, hosted.kind, hosted.detail))
            continue
        (run,) = runs_in(bytes(line.received_audio[taken : taken + hosted.size_bytes]))
        assert (run.at_bytes, run.size_bytes) == (0, hosted.size_bytes), "a message that is not of one piece"
        taken += hosted.size_bytes
        found.append(OnWire(hosted.at, "media", "", run.first.response, run.first.offset_bytes, run.size_bytes))
    return found


def at_ear(line: Line, wire: Sequence[OnWire]) -> list[AtEar]:
    """Return what was played, with the names of what came; its bytes are those that the carrier twin kept."""
    waiting: list[AtEar] = []
    played: list[AtEar] = []
    end = line.began_at
    for each in wire:
        if each.kind == "media":
            begin = max(end, each.at)
            waiting.append(AtEar(begin, each.response, each.begin, each.size_bytes))
            end = begin + each.size_bytes / BYTES_PER_S
        elif each.kind == "clear":
            for piece in waiting:
                whole = piece.began_at + piece.size_bytes / BYTES_PER_S <= each.at + 1e-9
                if whole:
                    played.append(piece)
                elif piece.began_at < each.at:
                    size_bytes = round((each.at - piece.began_at) * BYTES_PER_S)
                    played.append(attrs.evolve(piece, size_bytes=size_bytes))
            waiting.clear()
            end = min(end, each.at)
    played += waiting
    heard = line.playout.heard
    assert [len(piece.audio) for piece in heard] == [piece.size_bytes for piece in played[: len(heard)]]
    return played[: len(heard)]


def played_bytes(ear: Sequence[AtEar], response: int, until: float = float("inf")) -> int:
    """Return how much of a response was played; it is played from its start, without a hole."""
    position = 0
    for piece in ear:
        if piece.response == response and piece.size_bytes:
            assert piece.begin == position, "a hole, or a repetition"
            position += piece.size_bytes
    return sum(piece.played_by(until) for piece in ear if piece.response == response)


def items(connection: TwinConnection) -> dict[str, int]:
    """Return the agent's items and the numbers of their responses, deleted ones too."""
    found: dict[str, int] = {}
    for number, response in enumerate(connection.session.responses, 1):
        if response.done is not None:
            found |= {item["id"]: number for item in response.done["output"]}
    return found


def lines(it: Rig, direction: str, *kinds: str) -> Iterator[LedgerLine]:
    """Yield what crossed the wire of the last session, by kind."""
    for line in it.provider.ledger.of(it.session.number):
        if line.dir == direction and line.kind in kinds:
            yield line


def cuts(it: Rig) -> list[LedgerLine]:
    """Return everything by which the engine took speech back at the provider."""
    return list(lines(it, "in", *CUTS))


def refused(it: Rig) -> int:
    """Return how many errors the provider answered with."""
    return len(list(lines(it, "out", "error")))


def no_old_speech(wire: Sequence[OnWire]) -> None:
    """After a clear there is nothing of what was sent before it, and no mark precedes its audio."""
    newest, behind_clear, has_audio = 0, False, False
    names: set[str] = set()
    for each in wire:
        if each.kind == "clear":
            behind_clear, has_audio = True, False
        elif each.kind == "media":
            assert each.response > newest if behind_clear else each.response >= newest, f"old speech at {each.at}"
            newest, behind_clear, has_audio = each.response, False, True
        else:
            assert has_audio, f"{each.name} stands before its audio"
            assert each.name not in names
            names.add(each.name)
