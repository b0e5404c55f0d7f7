"""What whole-call tests about turns share: a user who is heard at stated times, and what both twins saw of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from voicecore.engine.settings import CallSettings, HostSettings
from voicecore.facts import CallReport, TurnEnd
from voicecore.simulation.openai_realtime import Behaviour, Reply, Script, ScriptedVad, Tone
from voicecore.simulation.openai_realtime.response import Response
from voicecore.simulation.twilio import At, HangUp, Step
from voicecore.simulation.twilio.line import Line
from voicecore_tests.kit import Rig, nothing_is_left, rig

TICK = 0.02
HELLO = (0.2, 1.2)  #: when the user says hello; the answer is generated from 1.45 on
ANSWERED_AT = 1.45
LONG_S = 6.0
LONG = Reply("one two three four five six seven eight nine ten", speech=Tone(LONG_S))
SHORT = Reply("Certainly.", speech=Tone(1.0))
WORDS: dict[str, Any] = {"barge_in__stops_at": "words"}
MODES: tuple[dict[str, Any], ...] = ({}, WORDS)  #: the session takes the turns, or the engine does

Speech = tuple[float, float]
"""From when to when the user speaks: seconds since the session was created, and the media began."""


def around(*moments: float) -> list[float]:
    """Moments, each with one tick before and one after it."""
    return [round(moment + step, 3) for moment in moments for step in (-TICK, 0.0, TICK)]


@attrs.frozen
class Seen:
    """A call that is over; times count from the beginning of its media, on the twins' clock."""

    it: Rig
    line: Line

    @property
    def report(self) -> CallReport:
        return self.it.report

    @property
    def responses(self) -> list[Response]:
        """All that the provider began, in order."""
        return self.it.session.session.responses

    @property
    def ends(self) -> list[TurnEnd]:
        return [turn.end for turn in self.report.turns]

    def said(self, kind: str) -> list[float]:
        """When the provider sent such an event."""
        lines = self.it.provider.ledger.of(self.it.session.number)
        return [line.t - self.line.began_at for line in lines if (line.dir, line.kind) == ("out", kind)]

    def got(self, kind: str) -> list[float]:
        """When such an event reached the provider."""
        received = self.it.session.received
        return [each.t - self.line.began_at for each in received if each.event["type"] == kind]

    def committed(self) -> list[str]:
        """The user turns that the provider made, in order."""
        lines = self.it.provider.ledger.of(self.it.session.number)
        return [line.id for line in lines if line.kind == "input_audio_buffer.committed"]

    def carried(self, kind: str) -> list[float]:
        """When such a message reached the carrier."""
        kinds = (("in", kind),)
        return [each.at - self.line.began_at for each in self.line.ledger if (each.direction, each.kind) in kinds]

    def history(self) -> list[tuple[str, str | None]]:
        """The provider's conversation: who, and the words that it remembers."""
        bodies = [item.body for item in self.it.session.session.conversation.items]
        return [
            (body["role"], next((part.get("transcript") or part.get("text") for part in body["content"]), None))
            for body in bodies
            if body["type"] == "message"
        ]


async def talk(
    script: Script,
    *speech: Speech,
    hangs_up_at: float = 9.5,
    steps: Sequence[Step] = (),
    behaviour: Behaviour | None = None,
    call: CallSettings | None = None,
    **settings: Any,
) -> Seen:
    """Run one call; whatever happens in it, its turns are accounted for, and nothing is left over."""
    given = attrs.evolve(behaviour or Behaviour(), vad=ScriptedVad(speech))
    async with rig(script, given, host=HostSettings(call=call or CallSettings()), **settings) as it:
        line = await it.carrier.call(it.engine.url, [*steps, HangUp(At(hangs_up_at))])
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    assert line.playout.violations == []
    assert len(it.records()) == len(it.reports) == 1
    seen = Seen(it, line)
    recorded = [item for turn in it.report.turns for item in turn.items if not item.startswith("keys-")]
    assert Counter(recorded) == Counter(seen.committed())
    return seen


def script(*heard: str, replies: Sequence[Reply] = (LONG, SHORT)) -> Script:
    """The user says hello, then these words, one turn each."""
    return Script(replies=tuple(replies), hears=("hello?", *heard))
