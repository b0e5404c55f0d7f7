"""Who answers whom: the user's turns and the agent's responses.

    Interruptions   the user speaks over the agent
    Replies         who answers the user's turns, and what if nobody does
    Keypad          keys are a turn too
    Idle            nobody speaks
    Waiting         the agent takes longer than usual

Joint rules:
1. A reply that is ready does not begin over a user who speaks.
2. A turn that is not answered is settled with a reason, at its deadline at the latest.
3. Whether the line is quiet, and whether the user waits, is computed from the
machines that own the facts, anew after each event.

Pure; time is an argument.
"""

from __future__ import annotations

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.agent_speech import AgentSpeech
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.first_message.openings import Openings
from voicecore.turns.first_message.requests import word_for_word
from voicecore.turns.idle import Idle, IdleStep
from voicecore.turns.interruptions import Interruptions
from voicecore.turns.keypad import Entry, Keypad
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import Notify
from voicecore.turns.replies import KEYS, PROMPT, Replies, TurnStep
from voicecore.turns.session_traits import SessionTraits
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.speech_steps import Audible
from voicecore.turns.waiting_sound import Waiting


class TurnTaking:
    """The turns of one call."""

    def __init__(
        self,
        speech: AgentSpeech,
        openings: Openings,
        session: SessionTraits,
        notifier: Notifier,
        *,
        settings: ConversationSettings,
        began_at: float,
    ) -> None:
        self.barge_in = BargeIn(settings.barge_in, began_at)
        self.keypad = Keypad(settings.keypad)
        self.replies = Replies(speech, self.barge_in, openings, session, notifier, settings=settings)
        self.interruptions = Interruptions(speech, self.barge_in, self.replies, session, notifier)
        self.turns, self.recovery = self.replies.turns, self.replies.recovery
        self._waiting = Waiting(settings.waiting)
        self._idle = Idle(settings.idle)
        self._settings = settings
        self._speech = speech
        self._transcript = speech.transcript
        self._openings = openings
        self._session = session
        self._notifier = notifier
        self._entries = 0
        self._entry_stops = False  # whether keys of the entry under way may stop the agent

    # --- the user speaks ----------------------------------------------------------

    def user_started(self, event: ev.UserSpeechStarted, now: float, *, may_stop: bool) -> list[TurnStep]:
        """Take an onset; ``may_stop``: nothing protects what the agent says."""
        self.turns.speech_started(now, event.item_id or None)
        started = facts.UserStarted(self._notifier.at(now), event.item_id, _seconds(event.at_ms))
        return [Notify(started), *self.interruptions.onset(event, now, may_stop=may_stop)]

    def user_stopped(self, event: ev.UserSpeechStopped, now: float) -> list[TurnStep]:
        """Take the end of speech."""
        self.turns.speech_stopped(now)
        at_s, audio_at_s = self._notifier.at(now), _seconds(event.at_ms)
        stopped = facts.UserStopped(at_s, event.item_id, audio_at_s, self._session.silence_s)
        return [Notify(stopped), *self.interruptions.stopped(now)]

    def user_words(self, item_id: str, now: float, *, complete: bool) -> list[TurnStep]:
        """Take note that more words of the user are known; the transcript has them."""
        words = self._transcript.text(item_id)
        if complete and not words:
            self.replies.has_no_words(item_id)
        return self.interruptions.words(item_id, words, now, complete=complete)

    def committed(
        self, item_id: str, now: float, *, later: bool = False, awaits_message: bool = False
    ) -> list[TurnStep]:
        """Take a turn; ``later``: it waits until a message was said; ``awaits_message``: the message answers it."""
        if not self.replies.committed(item_id, now, later=later):
            return []
        self._transcript.add(facts.Speaker.USER, item_id)
        steps: list[TurnStep] = [Notify(facts.UserTurn(self._notifier.at(now), item_id))]
        steps += self._drop_prompt(now) + self.replies.drop_line(now)
        if self.interruptions.is_dismissed(item_id):
            return steps + self.interruptions.settle_dismissed(item_id, now)
        if later or awaits_message or self.barge_in.is_open:
            return steps
        return steps + self.replies.answer(now)

    def pressed(self, digit: str, now: float, *, may_stop: bool, later: bool) -> list[TurnStep]:
        """Take one key; one that belongs to an entry from before the agent was to be stopped does not stop it."""
        self._entry_stops = may_stop and (self._entry_stops or not self.keypad.is_collecting)
        stops = self._entry_stops and self._settings.barge_in.keys_stop_agent
        steps = self.interruptions.key(now) if stops else []
        entry = self.keypad.press(digit, now)
        return steps if entry is None else steps + self._entered(entry, now, later=later)

    # --- the agent answers --------------------------------------------------------------

    def response_began(self, event: ev.ResponseStarted, now: float) -> list[TurnStep]:
        """A response runs that may answer what is open."""
        is_prompt = event.request_id is not None and event.request_id.startswith(PROMPT)
        if is_prompt:
            self._idle.began(event.response_id)
        self.replies.began(event, is_prompt=is_prompt)
        return self.replies.request_refused(now)

    def audible(self, item: Audible, now: float) -> list[TurnStep]:
        """The first audio of an item was written to the carrier."""
        self._idle.audible()
        return self.replies.audible(item.response_id, item.item_id, now)

    def ended_unheard(self, response_id: str, now: float) -> list[TurnStep]:
        """A response is over of which nothing was, or will be, sent."""
        self.turns.not_answered(response_id, now)
        user = self.turns.speaking_since is not None or self.turns.unsettled
        if user or not self._idle.awaits(response_id):
            return []
        return [*self._notifier.problem("prompt_lost", "the response to it brought nothing to be heard", now)]

    def afterwards(self, now: float) -> list[TurnStep]:
        """Return what follows from the state that an event has led to, whatever the event was."""
        steps: list[TurnStep] = []
        if self.barge_in.is_open and self._speech.audible_since is None:
            steps += self.interruptions.agent_ended(now)
        if not self.turns.open:
            steps += self.replies.answer_tools(now)
        end = self.recovery.due(now, plays=self._speech.speaking)
        return steps if end is None else [*steps, end]

    @property
    def barge_ins(self) -> int:
        """How often the user has stopped the agent."""
        return self.interruptions.count

    # --- whose turn it is -------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks and nothing is due: the session is ready, and no message, turn or reply is open."""
        turns = self.turns
        user = turns.speaking_since is not None or turns.unsettled or self.keypad.is_collecting
        opening = self._openings.current is not None or not self._session.is_ready
        return not opening and not user and self._speech.is_idle and not self.barge_in.is_open

    @property
    def is_agent_awaited(self) -> bool:
        """Whether the user waits, in silence, for a reply or for a message that was asked for."""
        if self._openings.is_message_due:
            return self._openings.is_message_awaited
        return self.turns.await_reply and not self._speech.speaking

    @property
    def is_ending(self) -> bool:
        """Whether the call ends once what plays was played: nothing is asked for any more, and nothing stops it."""
        return self.recovery.is_ending

    def plays_at(self) -> float:
        """Return from when the agent may begin to be heard: not over a user who speaks, within a bound."""
        if self._speech.audible_since is not None or self.turns.yields_until is None:
            return float("-inf")
        return self.turns.yields_until

    # --- time -------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        machines = (self.turns, self.barge_in, self.keypad, self._idle, self._waiting, self.recovery)
        return min((moment for each in machines if (moment := each.deadline()) is not None), default=None)

    def expire(self, now: float, *, later: bool) -> list[TurnStep]:
        """Act on the deadlines that have passed; ``later``: what is keyed in now waits for a message."""
        steps = self.interruptions.expire(now) if self.barge_in.is_open else []
        if (entry := self.keypad.expire(now)) is not None:
            steps += self._entered(entry, now, later=later)
        deadline = self.turns.deadline()
        if deadline is not None and deadline <= now:
            steps += self.replies.late(now, message_first=later)
        if (sound := self._waiting.expire(now)) is not None:
            self._speech.play_sound(sound)
        idle = self._idle.expire(now)
        if idle is IdleStep.PROMPT:
            steps += self._prompted(now)
        elif idle is IdleStep.GIVE_UP:
            steps.append(self._idle.end())
        return steps

    def end(self, now: float) -> None:
        """The call is over: no decision stays open."""
        self.barge_in.agent_ended(now)

    def notice(self, now: float) -> None:
        """Take in what state all this has led to."""
        self._idle.notice(self.is_quiet, now)
        self._waiting.notice(self.is_agent_awaited, now)

    # --- inside -------------------------------------------------------------------------------

    def _drop_prompt(self, now: float) -> list[TurnStep]:
        """The user is there: a prompt that has not begun is not wanted any more."""
        self._idle.user_acted()
        request_id = self._idle.request_id
        return [*self._speech.abandon(request_id, now)] if request_id is not None else []

    def _entered(self, entry: Entry, now: float, *, later: bool) -> list[TurnStep]:
        self._entries += 1
        item_id, count = f"{KEYS}{self._entries}", len(entry.keys)
        pressed = f"(pressed {count} {'key' if count == 1 else 'keys'})"
        self._transcript.complete(facts.Speaker.USER, item_id, pressed)
        notice = Notify(facts.KeysPressed(self._notifier.at(now), item_id, count))
        text = ev.AddUserText(f"(The user pressed these keys on the telephone: {entry.keys})")
        return [notice, text, *self.committed(item_id, now, later=later)]

    def _prompted(self, now: float) -> list[TurnStep]:
        policy = self._settings.idle
        request_id = self._idle.request_id = f"{PROMPT}{self._idle.requests}"
        instructions = word_for_word(policy.text if policy is not None else "")
        notice = Notify(facts.IdlePrompted(self._notifier.at(now), self._idle.prompted))
        request = ev.RequestResponse(request_id=request_id, instructions=instructions)
        return [notice, *self._speech.request(request, now)]


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000
