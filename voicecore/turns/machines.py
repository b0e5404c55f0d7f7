"""The machines of one conversation, and the table of what handles each kind of event and step.

An event comes from outside (the session, the leg); a step is what a machine
decided, for another machine or for the outside.  A handler takes one of either
and gives the steps that follow from it.

Rule: a handler may be a generator.  Each step that it yields is carried out, with
all that follows from it, before the handler goes on; so a later line may rely on
what an earlier one has led to.

Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from voicecore import events as ev
from voicecore.audio.formats import AudioFormat
from voicecore.turns.agent_speech import AgentSpeech
from voicecore.turns.first_message.message import FirstMessagePolicy, Message
from voicecore.turns.first_message.opening import Opening, OpeningStep
from voicecore.turns.first_message.openings import Openings
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.last_words import LastWords
from voicecore.turns.notifier import Notifier
from voicecore.turns.replies import TurnStep
from voicecore.turns.session_traits import SessionTraits
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.turn_taking import TurnTaking

Step = TurnStep | OpeningStep
Handler = Callable[["Machines", Any, float], Iterable[Step]]
"""What handles one kind of event or step."""


class Machines:
    """What the handlers of one conversation work on."""

    def __init__(self, leg_format: AudioFormat, began_at: float, settings: ConversationSettings) -> None:
        self.settings = its = settings
        self.speech = AgentSpeech(leg_format, its.playout, its.response_limits, its.barge_in.after_cut)
        self.transcript = self.speech.transcript
        self.session = SessionTraits()
        self.openings = Openings()
        self.notifier = Notifier(began_at)
        self.last_words = LastWords(self.transcript, self.notifier)
        self.taking = TurnTaking(
            self.speech, self.openings, self.session, self.notifier, settings=its, began_at=began_at
        )
        self.usage = ev.TokenUsage()
        self.leg_messages_ignored = 0
        self._leg_format = leg_format
        self._began_at = began_at

    @property
    def opening(self) -> Opening | None:
        """The message that must be heard, with its protection; None where nothing of one is left."""
        return self.openings.current

    def add_message(self, message: Message, policy: FirstMessagePolicy, purpose: Purpose, now: float) -> Iterator[Step]:
        """A message is due."""
        opening = Opening(
            message,
            policy,
            self.speech,
            leg_format=self._leg_format,
            began_at=self._began_at,
            purpose=purpose,
            protection=self.settings.protection,
        )
        self.openings.add(opening)
        yield from self.close_behind(opening.begin(now), now)

    def close_behind(self, steps: Iterable[Step], now: float) -> Iterator[Step]:
        """Take steps of the opening; where nothing of it is left behind them, answer the turns that waited for it."""
        yield from steps
        if self.openings.close():
            yield from self.taking.replies.release(now)
