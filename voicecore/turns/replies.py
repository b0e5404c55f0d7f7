"""Replies: who answers the user's open turns, and what follows where no reply comes.

    UserTurns   what became of each thing that the user said
    Recovery    no reply can be had
    ToolCalls   a response that called tools is followed by one to their results

Joint rules:
1. A reply answers every turn that was open when it began; one request at most is under way.
2. A reply of which nothing was sent is given up for a newer turn: it answers a user who has gone on.
3. A turn whose reply is lost for good, or asked for again and again in vain, gets a line instead, or the call ends.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from voicecore import events as ev
from voicecore import facts
from voicecore.errors import printable
from voicecore.turns.agent_speech import AgentSpeech
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.first_message.openings import Openings
from voicecore.turns.first_message.requests import word_for_word
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import EndCall, Notify
from voicecore.turns.playout.ledger import Interrupted
from voicecore.turns.recovery import Recovery, RecoveryStage
from voicecore.turns.session_traits import SessionTraits
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.speech_steps import Done, SpeechStep
from voicecore.turns.tool_calls import Calling, ToolCalls
from voicecore.turns.user_turns import UserTurns

KEYS = "keys-"  #: begins the ids of turns that were keyed in
PROMPT = "idle-"  #: begins the ids of requests for prompts
LINE = "line-"  #: begins the ids of requests for a line in place of a reply
_WORDLESS = 64  #: ids of turns that are known to have no words
_NO_SUCH_TOOL = '{"error": "there is no such tool"}'
_SILENT = "the agent did not speak when it was its turn"

TurnStep = SpeechStep | Notify | EndCall


class Replies:
    """The replies of one call."""

    def __init__(
        self,
        speech: AgentSpeech,
        barge_in: BargeIn,
        openings: Openings,
        session: SessionTraits,
        notifier: Notifier,
        *,
        settings: ConversationSettings,
    ) -> None:
        self.turns = UserTurns(settings.turns)
        self.recovery = Recovery(settings.fallback)
        self._tools = ToolCalls()
        self._speech = speech
        self._barge_in = barge_in
        self._openings = openings
        self._session = session
        self._notifier = notifier
        self._line: str | None = None  # the newest request for a line in place of a reply
        self._line_response: str | None = None  # the response that says it
        self._lines = 0
        self._unanswered_why = ""  # why that reply could not be had
        self._wordless: deque[str] = deque(maxlen=_WORDLESS)

    # --- the user's turns ---------------------------------------------------------------

    def committed(self, item_id: str, now: float, *, later: bool) -> bool:
        """Take a turn; False for one that was taken before. ``later``: it waits until a message was said."""
        session_replies = self._session.replies and not item_id.startswith(KEYS)
        if not self.turns.committed(item_id, now, later=later, session_replies=session_replies):
            self._notifier.problems["repeated_turn"] += 1
            return False
        self._tools.user_acted()
        return True

    def has_no_words(self, item_id: str) -> None:
        """It is known that nothing of a turn could be made out."""
        self._wordless.append(item_id)

    def drop_line(self, now: float) -> list[TurnStep]:
        """The user has gone on: a line in place of a reply is not wanted where it has not begun."""
        return [*self._speech.abandon(self._line, now)] if self._line is not None else []

    def answer(self, now: float) -> list[TurnStep]:
        """Have a new turn answered, unless the user has waited in vain for too long."""
        in_vain = self.turns.waited_in_vain(excused=self.recovery.stage is RecoveryStage.EXCUSED)
        return self._in_vain(now) if in_vain and not self._speech.speaking else self.want(now)

    def settle(self, end: facts.TurnEnd, why: str, now: float, item_id: str | None = None) -> list[TurnStep]:
        """End a turn without a reply, or (None) every one that is open."""
        items = self.turns.settle(item_id)
        return [Notify(facts.TurnsUnanswered(self._notifier.at(now), items, end, why))] if items else []

    def release(self, now: float) -> list[TurnStep]:
        """Nothing is to be said before the user is answered any more."""
        if not self.turns.release(now):
            return []
        if self.turns.speaking_since is not None and self._session.replies:
            return []  # the session answers the turn that comes of it, and what is open with it
        return self.want(now, by_us=True)

    # --- asking ---------------------------------------------------------------------------

    def want(self, now: float, *, by_us: bool = False) -> list[TurnStep]:
        """Have the open turns answered; nothing where somebody does it already."""
        open_turns = self.turns.open
        by_us = by_us or any(item_id.startswith(KEYS) for item_id in open_turns)
        if not open_turns or self._speech.is_reply_requested or (self._session.replies and not by_us):
            return []
        return [*self._give_up_unheard(now), *self._speech.request_reply(now)]

    def session_refused(self, now: float) -> list[TurnStep]:
        """The session has refused a response, most likely one of its own accord: what is open is for us to ask."""
        return [] if self._barge_in.is_open else self.want(now, by_us=True)

    def request_refused(self, now: float) -> list[TurnStep]:
        """A reply waits for the end of a response that may answer all there is: the session's own, unacknowledged."""
        return [] if self.turns.open else [*self._speech.want_no_reply(now)]

    def cut(self, now: float, why: str, *, session_cancels: bool) -> tuple[Sequence[Interrupted], list[TurnStep]]:
        """Drop all speech in hand; what it would have answered is open again."""
        cuts, steps = self._speech.cut(now, why, provider_cancels=session_cancels)
        for step in steps:
            if isinstance(step, Done):
                self.turns.not_answered(step.response_id, now)
        return cuts, [*steps]

    def _give_up_unheard(self, now: float) -> list[TurnStep]:
        """Give up a response of which nothing was sent, whether it runs or waits to be played."""
        if self._speech.audible_since is not None:
            return []
        _, steps = self.cut(now, "the user went on before it could be heard", session_cancels=False)
        return [*steps, *self._speech.silence_running(now)]

    # --- responses ------------------------------------------------------------------------

    def began(self, event: ev.ResponseStarted, *, is_prompt: bool) -> None:
        """A response runs; it may answer what is open, unless it says a prompt."""
        self._tools.began(event.response_id)
        if not is_prompt:
            self.turns.began(event.response_id)

    def generated(self, response_id: str, now: float) -> list[TurnStep]:
        """The first audio of a response came in."""
        request = self._speech.request_of(response_id) or ""
        answers = () if request.startswith(PROMPT) else self.turns.began(response_id)
        if request.startswith(LINE):  # it is heard in place of an answer
            self._line_response, answers = response_id, ()
        return [Notify(facts.FirstAudioReceived(self._notifier.at(now), response_id, answers))]

    def audible(self, response_id: str, item_id: str, now: float) -> list[TurnStep]:
        """The first audio of an item was written to the carrier."""
        steps: list[TurnStep] = []
        self.recovery.audible()
        if response_id == self._line_response and (items := self.turns.began(response_id)):
            failed = facts.TurnsUnanswered(self._notifier.at(now), items, facts.TurnEnd.FAILED, self._unanswered_why)
            steps.append(Notify(failed))
        after_s = self.turns.answered(response_id, now)
        return [*steps, Notify(facts.FirstAudioSent(self._notifier.at(now), response_id, item_id, after_s))]

    def tool_called(self, event: ev.ToolCallRequested) -> list[TurnStep]:
        """A response calls a tool; there are none, which is its result."""
        self._notifier.problems["unknown_tool"] += 1
        self._tools.called(event.response_id)
        return [ev.AddToolResult(event.call_id, _NO_SUCH_TOOL)]

    def response_ended(self, event: ev.ResponseEnded, now: float) -> list[TurnStep]:
        """A response that says no message is over; what the user still waits for is asked for."""
        speech, response_id = self._speech, event.response_id
        admitted, cancelled = speech.may_be_heard(response_id), event.status is ev.ResponseStatus.CANCELLED
        called = self._tools.ended(response_id, wanted=admitted and not cancelled)
        if speech.has_begun(response_id):
            return [*self._fell_short(event, now), *self.answer_tools(now)]
        if speech.is_response_due or not (admitted or self.turns.open):
            return []  # something else answers; or it was not wanted, and nobody waits
        if cancelled and event.reason == "turn_detected":
            return []  # the user went on; the turn that follows gets its own reply
        if called:
            return self.answer_tools(now)
        detail = printable(event.error_message) or _SILENT
        return self.lost(event.error_code or f"response_{event.status.value}_without_audio", now, detail)

    def answer_tools(self, now: float) -> list[TurnStep]:
        """Ask for the response to tools' results, where one is due and nothing else answers first."""
        if self._tools.state is not Calling.DUE:
            return []
        answers = self._speech.is_response_due or self._speech.is_reply_requested
        user = self.turns.speaking_since is not None or self._barge_in.is_open
        if answers or user or self._openings.is_message_due:
            return []
        if self._tools.ask():
            return [*self._speech.request_reply(now)]
        return self.lost("tool_calls_without_end", now, "the model went on calling tools that do not exist")

    def _fell_short(self, event: ev.ResponseEnded, now: float) -> list[TurnStep]:
        """Report that the provider ended a reply before all of it was said."""
        if event.status is ev.ResponseStatus.INCOMPLETE:
            why = event.reason or "no reason was given"
            return [*self._notifier.problem(f"incomplete: {why}", "the provider ended a reply before its end", now)]
        if event.status is ev.ResponseStatus.FAILED:
            words = printable(event.error_message) or "a reply broke off"
            return [*self._notifier.problem(event.error_code or "response_failed", words, now)]
        return []

    # --- where no reply comes ---------------------------------------------------------------

    def session_failed(self, event: ev.ResponseEnded, now: float) -> list[TurnStep]:
        """A response failed for a reason that rules out any further one: report it, and end the call."""
        code, words = event.error_code or "unnamed", printable(event.error_message)
        self.recovery.fail_for_good(printable(code), words, now)
        return [*self._notifier.problem(code, words or "no further response can be had", now)]

    def lost(self, why: str, now: float, detail: str = _SILENT) -> list[TurnStep]:
        """A reply that was due will not come: ask once more, then for a line in its place, then end the call."""
        steps: list[TurnStep] = [*self._notifier.problem(why, detail, now)]
        if self.turns.speaking_since is not None or not self.turns.open:
            return steps  # the turn that comes of it is answered together with what is open
        self.turns.extend(now)
        if self.turns.tries_left == 0:
            return steps + self._say_in_place(why, now)
        self.turns.tries_left -= 1
        return [*steps, *self._speech.request_reply(now)]

    def late(self, now: float, *, message_first: bool) -> list[TurnStep]:
        """The deadline of the turns has passed: ask again, or give up; what is under way has its own deadline."""
        self.turns.hush()
        self.turns.extend(now)
        if not self.turns.unsettled:
            return []  # a noise that was taken for speech
        under_way = self._speech.is_response_due or self._speech.speaking or self._barge_in.is_open
        return [] if message_first or under_way else self.lost("no_reply", now)

    def _in_vain(self, now: float) -> list[TurnStep]:
        """Whatever is under way has never been heard: go on as where a reply is lost for good."""
        self.turns.waited_s = 0.0
        why, detail = "no_reply", "the user has spoken up again and again, and nothing of a reply was heard"
        steps: list[TurnStep] = [*self._notifier.problem(why, detail, now)]
        if (active := self._speech.running) is not None:
            self.turns.not_answered(active, now)
        return [*steps, *self._speech.want_nothing(now), *self._say_in_place(why, now)]

    def _say_in_place(self, why: str, now: float) -> list[TurnStep]:
        """Ask for a line in place of the reply; settle the turns and give up where that was in vain already."""
        wordless = all(item_id in self._wordless for item_id in self.turns.open)
        text = self.recovery.unanswered(printable(why), now, wordless=wordless)
        if text is None:
            return self.settle(facts.TurnEnd.FAILED, why, now)
        self._lines += 1
        self._line, self._unanswered_why = f"{LINE}{self._lines}", why
        return [*self._speech.request(ev.RequestResponse(request_id=self._line, instructions=word_for_word(text)), now)]
