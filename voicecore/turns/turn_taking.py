"""Who answers whom: the user's turns and the agent's responses.

    UserTurns    what became of each thing that the user said
    BargeIn        whether the user's speech over the agent stops it
    Keypad         keys are a turn too
    Idle           nobody speaks
    Waiting        the agent takes longer than usual
    Recovery       no reply can be had
    ToolCalls      a response that called tools is followed by one to their results

Joint rules:
1. A reply answers every turn that was open when it began; turns close together
are answered together, and one request at most is under way.
2. A reply of which nothing was sent is given up for a newer turn: it answers a
user who has gone on.
3. A reply that is ready does not begin over a user who speaks.
4. What stops the agent is playout, not whether the provider is done: the tail of
a finished response is cut like any other.
5. A turn that is not answered is settled with a reason, at its deadline at the latest.
6. A turn whose reply is lost for good, or asked for again and again in vain, gets a line instead, or the call ends.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from voicecore import events as ev
from voicecore import facts
from voicecore.errors import printable
from voicecore.turns.agent_speech import BARGED_IN, AgentSpeech, word_for_word
from voicecore.turns.barge_in.last_clear import LastClear
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.first_message.openings import Openings
from voicecore.turns.idle import Idle, IdleStep
from voicecore.turns.keypad import Entry, Keypad
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import EndCall, Notify
from voicecore.turns.playout.ledger import Interrupted
from voicecore.turns.recovery import Recovery, Replies
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.speech_steps import Audible, Done, SpeechStep
from voicecore.turns.tool_calls import Calling, ToolCalls
from voicecore.turns.user_turns import UserTurns
from voicecore.turns.waiting_sound import Waiting

KEYS = "keys-"  #: begins the ids of turns that were keyed in
PROMPT = "idle-"  #: begins the ids of requests for prompts
LINE = "line-"  #: begins the ids of requests for a line in place of a reply
_BY_KEY = "a key"
_DECLINED = "it did not stop the agent"
_WORDLESS = 64  #: ids of turns that are known to have no words
_NO_SUCH_TOOL = '{"error": "there is no such tool"}'

Step = SpeechStep | Notify | EndCall


class TurnTaking:
    """The turns of one call."""

    def __init__(
        self,
        speech: AgentSpeech,
        openings: Openings,
        notifier: Notifier,
        settings: ConversationSettings,
        began_at: float,
    ) -> None:
        self.turns = UserTurns(settings.turns)
        self.barge_in = BargeIn(settings.barge_in, began_at)
        self.keypad = Keypad(settings.keypad)
        self.recovery = Recovery(settings.fallback)
        self._tools = ToolCalls()
        self._waiting = Waiting(settings.waiting)
        self.barge_ins = 0
        self.capabilities: ev.Capabilities | None = None
        self._idle = Idle(settings.idle)
        self._settings = settings
        self._speech = speech
        self._openings = openings
        self._transcript = speech.transcript
        self._notifier = notifier
        self._declined: str | None = None  # the turn that this speech will become, which nobody is to answer
        self._line: str | None = None  # the newest request for a line in place of a reply
        self._line_response: str | None = None  # the response that says it
        self._lines = 0
        self._unanswered_why = ""  # why that reply could not be had
        self._wordless: deque[str] = deque(maxlen=_WORDLESS)
        self._entries = 0
        self._entry_stops = False  # whether keys of the entry under way may stop the agent
        self._clear = LastClear()

    # --- the user speaks ----------------------------------------------------------

    def user_started(self, event: ev.UserSpeechStarted, now: float, *, may_stop: bool) -> list[Step]:
        """Take an onset; ``may_stop``: nothing protects what the agent says."""
        self.turns.speech_started(now, event.item_id or None)
        self._declined = None
        steps: list[Step] = [Notify(facts.UserStarted(self._notifier.at(now), event.item_id, _seconds(event.at_ms)))]
        if not may_stop:
            return steps
        if self._speech.audible_since is None:
            return steps + self._give_way(now)
        was_open = self.barge_in.is_open
        decided = self.barge_in.onset(
            event.item_id,
            self._speech.audible_since,
            now,
            agent_words=self._speech.audible_words(),
            alone_decides=self._session_interrupts,
        )
        if decided is None and not was_open:
            steps.append(Notify(facts.BargeInPending(self._notifier.at(now), event.item_id)))
        return steps + self.decided(decided, now)

    def user_stopped(self, event: ev.UserSpeechStopped, now: float) -> list[Step]:
        """Take the end of speech."""
        self.turns.speech_stopped(now)
        silence_s = self.capabilities.silence_s if self.capabilities is not None else None
        told = facts.UserStopped(self._notifier.at(now), event.item_id, _seconds(event.at_ms), silence_s)
        return [Notify(told), *self.decided(self.barge_in.stopped(now), now)]

    def user_words(self, item_id: str, now: float, *, complete: bool) -> list[Step]:
        """Take note that more words of the user are known; the transcript has them."""
        words, agents = self._transcript.text(item_id), self._speech.audible_words()
        if complete and not words:
            self._wordless.append(item_id)
        heard = self.barge_in.heard_words(item_id, words, now, complete=complete, agent_words=agents)
        return self.decided(heard, now)

    def committed(self, item_id: str, now: float, *, later: bool = False, awaits_message: bool = False) -> list[Step]:
        """Take a turn; ``later``: it waits until a message was said; ``awaits_message``: the message answers it."""
        session_replies = self._session_replies and not item_id.startswith(KEYS)
        if not self.turns.committed(item_id, now, later=later, session_replies=session_replies):
            self._notifier.problems["repeated_turn"] += 1
            return []
        self._transcript.add(facts.Speaker.USER, item_id)
        self._idle.user_acted()
        self._tools.user_acted()
        steps: list[Step] = [Notify(facts.UserTurn(self._notifier.at(now), item_id))]
        for request_id in (self._idle.request_id, self._line):  # the user is there, and has gone on
            if request_id is not None:
                steps += self._speech.abandon(request_id, now)
        if item_id == self._declined:
            self._declined = None
            return steps + self._settle(facts.TurnEnd.DROPPED, _DECLINED, now, item_id)
        if later or awaits_message or self.barge_in.is_open:
            return steps
        in_vain = self.turns.waited_in_vain(excused=self.recovery.state is Replies.EXCUSED)
        return [*steps, *(self._in_vain(now) if in_vain and not self._speech.speaking else self.want_reply(now))]

    def pressed(self, digit: str, now: float, *, may_stop: bool, later: bool) -> list[Step]:
        """Take one key; one that belongs to an entry from before the agent was to be stopped does not stop it."""
        steps: list[Step] = []
        self._entry_stops = may_stop and (self._entry_stops or not self.keypad.is_collecting)
        if self._entry_stops and self._speech.audible_since is not None and self._settings.barge_in.keys_stop_agent:
            steps += self._stop_agent(now, now, _BY_KEY)
        entry = self.keypad.press(digit, now)
        return steps if entry is None else steps + self._entered(entry, now, later=later)

    # --- the agent answers --------------------------------------------------------------

    def want_reply(self, now: float, *, by_us: bool = False) -> list[Step]:
        """Have the open turns answered; nothing where somebody does it already."""
        open_turns = self.turns.open
        by_us = by_us or any(item_id.startswith(KEYS) for item_id in open_turns)
        if not open_turns or self._speech.is_reply_requested or (self._session_replies and not by_us):
            return []
        return [*self._give_up_unheard(now), *self._speech.request_reply(now)]

    def session_refused(self, now: float) -> list[Step]:
        """The session has refused a response, most likely one of its own accord: what is open is for us to ask."""
        return [] if self.barge_in.is_open else self.want_reply(now, by_us=True)

    def release(self, now: float) -> list[Step]:
        """Nothing is to be said before the user is answered any more."""
        if not self.turns.release(now):
            return []
        if self.turns.speaking_since is not None and self._session_replies:
            return []  # the session answers the turn that comes of it, and what is open with it
        return self.want_reply(now, by_us=True)

    def response_began(self, event: ev.ResponseStarted, now: float) -> list[Step]:
        """A response runs that may answer what is open."""
        self._tools.began(event.response_id)
        if event.request_id is not None and event.request_id.startswith(PROMPT):
            self._idle.began(event.response_id)
        else:
            self.turns.began(event.response_id)
        return self.reply_refused(now)

    def reply_refused(self, now: float) -> list[Step]:
        """A reply waits for the end of a response that may answer all there is: the session's own, unacknowledged."""
        return [] if self.turns.open else [*self._speech.want_no_reply(now)]

    def generated(self, response_id: str, now: float) -> list[Step]:
        """The first audio of a response came in."""
        request = self._speech.request_of(response_id) or ""
        answers = () if request.startswith(PROMPT) else self.turns.began(response_id)
        if request.startswith(LINE):  # it is heard in place of an answer
            self._line_response, answers = response_id, ()
        return [Notify(facts.AgentGenerated(self._notifier.at(now), response_id, answers))]

    def audible(self, item: Audible, now: float) -> list[Step]:
        """The first audio of an item is on the carrier's wire."""
        steps: list[Step] = []
        self.recovery.audible()
        self._idle.audible()
        if item.response_id == self._line_response and (items := self.turns.began(item.response_id)):
            failed = facts.TurnsSettled(self._notifier.at(now), items, facts.TurnEnd.FAILED, self._unanswered_why)
            steps.append(Notify(failed))
        after_s = self.turns.answered(item.response_id, now)
        return [*steps, Notify(facts.AgentAudible(self._notifier.at(now), item.response_id, item.item_id, after_s))]

    def ended_unheard(self, response_id: str, now: float) -> list[Step]:
        """A response is over of which nothing was, or will be, sent."""
        self.turns.not_answered(response_id, now)
        user = self.turns.speaking_since is not None or self.turns.unsettled
        if user or not self._idle.awaits(response_id):
            return []
        return [*self._notifier.problem("prompt_lost", "the response to it brought nothing to be heard", now)]

    def afterwards(self, now: float) -> list[Step]:
        """Return what follows from the state that an event has led to, whatever the event was."""
        steps = [] if self._speech.audible_since is not None else self.decided(self.barge_in.agent_ended(now), now)
        if not self.turns.open:
            steps += self._answer_tools(now)
        end = self.recovery.due(now, plays=self._speech.speaking)
        return steps if end is None else [*steps, end]

    # --- responses that go wrong, or are not the end of it ----------------------------------

    def tool_called(self, event: ev.ToolCallRequested) -> list[Step]:
        """A response calls a tool; there are none, which is its result."""
        self._notifier.problems["unknown_tool"] += 1
        self._tools.called(event.response_id)
        return [ev.AddToolResult(event.call_id, _NO_SUCH_TOOL)]

    def response_ended(self, event: ev.ResponseEnded, now: float) -> list[Step]:
        """A response that says no message is over; what the user still waits for is asked for."""
        speech, response_id = self._speech, event.response_id
        admitted, cancelled = speech.may_be_heard(response_id), event.status is ev.ResponseStatus.CANCELLED
        called = self._tools.ended(response_id, wanted=admitted and not cancelled)
        if speech.has_begun(response_id):
            return [*self._fell_short(event, now), *self._answer_tools(now)]
        if speech.is_response_due or not (admitted or self.turns.open):
            return []  # something else answers; or it was not wanted, and nobody waits
        if cancelled and event.reason == "turn_detected":
            return []  # the user went on; the turn that follows gets its own reply
        if called:
            return self._answer_tools(now)
        detail = printable(event.error_message) or "the agent did not speak when it was its turn"
        return self.reply_lost(event.error_code or f"response_{event.status.value}_without_audio", now, detail)

    def session_failed(self, event: ev.ResponseEnded, now: float) -> list[Step]:
        """A response failed for a reason that no further one can be had: tell it, and end the call."""
        code, words = event.error_code or "unnamed", printable(event.error_message)
        self.recovery.fail_for_good(printable(code), words, now)
        return [*self._notifier.problem(code, words or "no further response can be had", now)]

    def reply_lost(
        self, why: str, now: float, detail: str = "the agent did not speak when it was its turn"
    ) -> list[Step]:
        """A reply that was due will not come: ask once more, then for a line in its place, then end the call."""
        steps: list[Step] = [*self._notifier.problem(why, detail, now)]
        if self.turns.speaking_since is not None or not self.turns.open:
            return steps  # the turn that comes of it is answered together with what is open
        self.turns.extend(now)
        if self.turns.tries_left == 0:
            return steps + self._say_in_place(why, now)
        self.turns.tries_left -= 1
        return [*steps, *self._speech.request_reply(now)]

    def _in_vain(self, now: float) -> list[Step]:
        """Whatever is under way has never been heard: go on as where a reply is lost for good."""
        self.turns.waited_s = 0.0
        why, detail = "no_reply", "the user has spoken up again and again, and nothing of a reply was heard"
        steps: list[Step] = [*self._notifier.problem(why, detail, now)]
        if (active := self._speech.running) is not None:
            self.turns.not_answered(active, now)
        return [*steps, *self._speech.want_nothing(now), *self._say_in_place(why, now)]

    def _say_in_place(self, why: str, now: float) -> list[Step]:
        """Ask for a line in place of the reply; settle the turns and give up where that was in vain already."""
        wordless = all(item_id in self._wordless for item_id in self.turns.open)
        text = self.recovery.unanswered(printable(why), now, wordless=wordless)
        if text is None:
            return self._settle(facts.TurnEnd.FAILED, why, now)
        self._lines += 1
        self._line, self._unanswered_why = f"{LINE}{self._lines}", why
        return [*self._speech.request(ev.RequestResponse(request_id=self._line, instructions=word_for_word(text)), now)]

    def _answer_tools(self, now: float) -> list[Step]:
        """Ask for the response to tools' results, where one is due and nothing else answers first."""
        speech = self._speech
        answers = speech.is_response_due or speech.is_reply_requested
        user = self.turns.speaking_since is not None or self.barge_in.is_open
        if self._tools.state is not Calling.DUE or answers or user or self._openings.is_message_due:
            return []
        if self._tools.ask():
            return [*speech.request_reply(now)]
        return self.reply_lost("tool_calls_without_end", now, "the model went on calling tools that do not exist")

    def _fell_short(self, event: ev.ResponseEnded, now: float) -> list[Step]:
        """Tell that a reply was ended by the provider before all of it was said."""
        if event.status is ev.ResponseStatus.INCOMPLETE:
            why = event.reason or "no reason was given"
            return [*self._notifier.problem(f"incomplete: {why}", "the provider ended a reply before its end", now)]
        if event.status is ev.ResponseStatus.FAILED:
            words = printable(event.error_message) or "a reply broke off"
            return [*self._notifier.problem(event.error_code or "response_failed", words, now)]
        return []

    # --- barge-in -------------------------------------------------------------------------

    def decided(self, decision: facts.BargeInDecision | None, now: float) -> list[Step]:
        """Carry out a decision about speech over the agent."""
        steps: list[Step] = []
        while self.barge_in.failures:
            failed = self.barge_in.failures.popleft()
            steps += self._notifier.problem(f"strategy_failed: {failed.name}", failed.error, now)
        if decision is None:
            return steps
        if decision.outcome is facts.BargeInOutcome.CONFIRMED:
            return steps + self._stop_agent(now, now - decision.took_s, decision.decided_by)
        if decision.outcome is facts.BargeInOutcome.OVERTAKEN:
            return steps + self.want_reply(now)
        steps.append(Notify(facts.BargeInDismissed(self._notifier.at(now), decision.decided_by)))
        last = decision.items[-1]
        self._declined = None if last in self.turns.open else last
        for item_id in decision.items:
            steps += self._settle(facts.TurnEnd.DROPPED, f"{_DECLINED}: {decision.decided_by}", now, item_id)
        return steps + self.want_reply(now)

    def clear_written(self, now: float) -> list[Step]:
        """A clear is on the carrier's wire."""
        took_s = self._clear.written(now)
        return [] if took_s is None else [Notify(facts.ClearWritten(self._notifier.at(now), took_s))]

    def flushed(self, now: float) -> list[Step]:
        """A mark came back that the newest clear had flushed."""
        return [Notify(facts.SilentAtEar(self._notifier.at(now)))] if self._clear.is_silent() else []

    # --- time -------------------------------------------------------------------------------

    def plays_at(self) -> float:
        """Return from when the agent may begin to be heard: not over a user who speaks, within a bound."""
        if self._speech.audible_since is not None or self.turns.yields_until is None:
            return float("-inf")
        return self.turns.yields_until

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        machines = (self.turns, self.barge_in, self.keypad, self._idle, self._waiting, self.recovery)
        return min((moment for each in machines if (moment := each.deadline()) is not None), default=None)

    def expire(self, now: float, *, later: bool) -> list[Step]:
        """Act on the deadlines that have passed; ``later``: what is keyed in now waits for a message."""
        steps = self.decided(self.barge_in.expire(now), now)
        if (entry := self.keypad.expire(now)) is not None:
            steps += self._entered(entry, now, later=later)
        deadline = self.turns.deadline()
        if deadline is not None and deadline <= now:
            steps += self._agent_is_late(now, later=later)
        if (sound := self._waiting.expire(now)) is not None:
            self._speech.play_sound(sound)
        idle = self._idle.expire(now)
        if idle is IdleStep.PROMPT:
            steps += self._prompted(now)
        elif idle is IdleStep.GIVE_UP:
            steps.append(self._idle.end())
        return steps

    def end(self, now: float) -> None:
        """The call is over: nothing is decided or awaited any more."""
        self.barge_in.agent_ended(now)

    def notice(self, now: float) -> None:
        """Take in what state all this has led to."""
        self._idle.notice(self.is_quiet, now)
        self._waiting.notice(self.is_agent_awaited, now)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks and nothing is due: the session is ready, and no message, turn or reply is open."""
        opening = self._openings.current is not None or self.capabilities is None
        turns = self.turns
        user = turns.speaking_since is not None or turns.unsettled or self.keypad.is_collecting
        return not opening and self._speech.is_idle and not user and not self.barge_in.is_open

    @property
    def is_agent_awaited(self) -> bool:
        """Whether the user waits, in silence, for a reply or for a message that was asked for."""
        if self._openings.is_message_due:
            return self._openings.is_message_awaited
        return self.turns.await_reply and not self._speech.speaking

    # --- inside -------------------------------------------------------------------------------

    @property
    def _session_replies(self) -> bool:
        return self.capabilities is not None and self.capabilities.replies

    @property
    def _session_interrupts(self) -> bool:
        return self.capabilities is not None and self.capabilities.interrupts

    def _give_way(self, now: float) -> list[Step]:
        """The user speaks, and nothing of a reply was sent: where the session stops it by itself, so do we."""
        if not self._session_interrupts or not self._speech.speaking:
            return []
        return self._cut(now, "the user spoke first", session_cancels=True)[1]

    def _give_up_unheard(self, now: float) -> list[Step]:
        """Give up a response of which nothing was sent, whether it runs or waits to be played."""
        if self._speech.audible_since is not None:
            return []
        _, steps = self._cut(now, "the user went on before it could be heard", session_cancels=False)
        return [*steps, *self._speech.silence_running(now)]

    def _cut(self, now: float, why: str, *, session_cancels: bool) -> tuple[Sequence[Interrupted], list[Step]]:
        """Drop all speech in hand; what it would have answered is open again."""
        cuts, steps = self._speech.cut(now, why, provider_cancels=session_cancels)
        for step in steps:
            if isinstance(step, Done):
                self.turns.not_answered(step.response_id, now)
        return cuts, [*steps]

    def _stop_agent(self, now: float, overlap_at: float, by: str) -> list[Step]:
        cancels = self._session_interrupts and by != _BY_KEY
        cuts, steps = self._cut(now, BARGED_IN, session_cancels=cancels)
        self.barge_ins += 1
        self._clear.decided(now)
        at = self._notifier.at
        told = facts.BargedIn(at(now), cuts[0].response_id, cuts[0].heard_s, at(overlap_at), by)
        return [Notify(told), *steps, *self.want_reply(now)]

    def _settle(self, end: facts.TurnEnd, why: str, now: float, item_id: str | None = None) -> list[Step]:
        items = self.turns.settle(item_id)
        return [Notify(facts.TurnsSettled(self._notifier.at(now), items, end, why))] if items else []

    def _entered(self, entry: Entry, now: float, *, later: bool) -> list[Step]:
        self._entries += 1
        item_id, count = f"{KEYS}{self._entries}", len(entry.keys)
        pressed = f"(pressed {count} {'key' if count == 1 else 'keys'})"
        self._transcript.complete(facts.Speaker.USER, item_id, pressed)
        told = Notify(facts.KeysPressed(self._notifier.at(now), item_id, count))
        text = ev.AddUserText(f"(The user pressed these keys on the telephone: {entry.keys})")
        return [told, text, *self.committed(item_id, now, later=later)]

    def _prompted(self, now: float) -> list[Step]:
        policy = self._settings.idle
        request_id = self._idle.request_id = f"{PROMPT}{self._idle.requests}"
        instructions = word_for_word(policy.text if policy is not None else "")
        told = Notify(facts.IdlePrompted(self._notifier.at(now), self._idle.prompted))
        request = ev.RequestResponse(request_id=request_id, instructions=instructions)
        return [told, *self._speech.request(request, now)]

    def _agent_is_late(self, now: float, *, later: bool) -> list[Step]:
        """Ask again, or give up; what is under way is watched by a deadline of its own."""
        self.turns.hush()
        self.turns.extend(now)
        if not self.turns.unsettled:
            return []  # a noise that was taken for speech
        under_way = later or self._speech.is_response_due or self._speech.speaking or self.barge_in.is_open
        return [] if under_way else self.reply_lost("no_reply", now)


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000
