"""How each turn of a call ended, and when its steps happened: a fold over the call's facts.

A turn is what the user said and the agent's words behind it; user turns that
are answered, given up or left waiting together are one.  Words of the agent's
own accord (a greeting, a prompt) are a turn without a user.

Rule 1: only facts count, each at its own ``at_s``: the same facts give the same turns.
Rule 2: every committed user turn, and every response with audio, is in exactly
one turn.  User turns are answered by a response once some of it was sent; one
that is cut before gives them back, and is a turn without a user.
Rule 3: the first stamp of a step wins, and so does the first end of a turn.  Words
that come after the end are added to what `turns` returns; nothing else changes.
Rule 4: what was not seen is None, and so is a duration that would be negative.
Rule 5: an interrupted turn is kept open until its figures are whole, at most
until the agent is audible again.
Rule 6: sounds that never became a user turn are in no turn.

Pure; no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from voicecore import facts
from voicecore.facts import Overlap, TurnEnd, TurnTimes
from voicecore.turns.metrics.latencies import between

_ONSETS = 8  #: sounds of the user that are kept until they become a turn; more are noise
_BARGED_IN = "barged in on"
_CALL_OVER = "the call ended"


def turn_times(seen: Iterable[facts.Fact], ended_at_s: float) -> tuple[TurnTimes, ...]:
    """Return the turns of a whole call, in the order in which they began."""
    log = TurnLog()
    for fact in seen:
        log.take(fact)
    log.end(ended_at_s)
    return log.turns()


@attrs.define(eq=False)
class _Utterance:
    """What the user said in one go."""

    item_id: str
    number: int = 0  # its place among all beginnings; 0 until it is committed
    started: facts.UserStarted | None = None
    stopped: facts.UserStopped | None = None
    committed_at_s: float | None = None
    words_at_s: float | None = None
    reported: bool = False
    """Its turn has ended: only its words may still come."""

    def speech_end_s(self) -> float | None:
        """Return when the user fell silent; None where the provider's silence is not a fixed one.

        An end before its own onset was read is none either: the audio was delayed and came at once.
        """
        if self.stopped is None or self.stopped.silence_s is None:
            return None
        end_s = self.stopped.at_s - self.stopped.silence_s
        return None if self.started is not None and end_s < self.started.at_s else end_s

    def speech_s(self) -> float | None:
        """Return how long it was, by the provider's clock of the audio."""
        begin, end = self.started, self.stopped
        if begin is None or end is None or end.audio_at_s is None or end.silence_s is None:
            return None
        return between(begin.audio_at_s, end.audio_at_s - end.silence_s)


def _in_order(utterances: Iterable[_Utterance]) -> list[_Utterance]:
    """Return utterances as they became turns."""
    return sorted(utterances, key=lambda utterance: utterance.number)


@attrs.define(eq=False)
class _Turn:
    """A turn that was not reported yet."""

    number: int  # its place among all beginnings, where it has no user turns
    utterances: Sequence[_Utterance] = attrs.field(converter=_in_order)
    response_id: str | None = None
    generated_at_s: float | None = None
    sent_at_s: float | None = None
    heard_at_s: float | None = None
    end: TurnEnd | None = None
    why: str = ""
    ended_at_s: float | None = None
    barged_in: facts.BargeInConfirmed | None = None
    cleared_at_s: float | None = None
    silent_at_s: float | None = None

    def finish(self, end: TurnEnd, why: str, at_s: float) -> None:
        """Note how it ended; the first end stands."""
        if self.end is None:
            self.end, self.why, self.ended_at_s = end, why, at_s

    def awaits_silence(self) -> bool:
        """Whether it was barged in on, and the ear is not known to be silent yet."""
        return self.barged_in is not None and self.silent_at_s is None

    def release(self, items: Sequence[str]) -> list[_Utterance]:
        """Give away those of its user turns that are named; none once the user can hear the answer to them."""
        if self.sent_at_s is not None:
            return []
        released, self.utterances = _divided(self.utterances, items)
        return released

    def began(self) -> int:
        """Return its place among all beginnings."""
        return self.utterances[0].number if self.utterances else self.number

    def times(self) -> TurnTimes:
        """Return what was seen of it."""
        spoken = self.utterances or [_Utterance("")]
        first, last = spoken[0], spoken[-1]
        speech_end_s = last.speech_end_s()
        transcribed_at_s = max(_all_known(each.words_at_s for each in spoken), default=None)
        return TurnTimes(
            items=tuple(each.item_id for each in self.utterances),
            response_id=self.response_id,
            end=self.end or TurnEnd.CALL_OVER,
            why=self.why,
            user_started_at_s=None if first.started is None else first.started.at_s,
            user_stopped_at_s=None if last.stopped is None else last.stopped.at_s,
            committed_at_s=last.committed_at_s,
            transcribed_at_s=transcribed_at_s,
            first_generated_at_s=self.generated_at_s,
            first_sent_at_s=self.sent_at_s,
            first_heard_at_s=self.heard_at_s,
            ended_at_s=self.ended_at_s,
            speech_s=sum(lengths) if (lengths := _all_known(each.speech_s() for each in spoken)) else None,
            end_of_utterance_s=between(speech_end_s, last.committed_at_s),
            transcription_s=between(speech_end_s, transcribed_at_s),
            reply_s=between(speech_end_s, self.sent_at_s),
            overlap=self._overlap(),
        )

    def _overlap(self) -> Overlap | None:
        if self.barged_in is None:
            return None
        decided_at_s = self.barged_in.at_s
        detection_s = between(self.barged_in.overlap_at_s, decided_at_s)
        if detection_s is None:
            return None
        return Overlap(
            began_at_s=self.barged_in.overlap_at_s,
            detection_s=detection_s,
            clear_s=between(decided_at_s, self.cleared_at_s),
            silence_s=between(self.cleared_at_s, self.silent_at_s),
        )


class TurnLog:
    """The turns of one call, as far as its facts tell."""

    def __init__(self) -> None:
        self._begun = 0
        self._utterances: dict[str, _Utterance] = {}  # every user turn of the call
        self._sounds: dict[str, _Utterance] = {}  # what may become one; bounded by _ONSETS
        self._responses: set[str] = set()  # all of which there was audio
        self._waiting: list[_Utterance] = []  # user turns that no response answers yet
        self._open: list[_Turn] = []  # the others that were not reported yet
        self._ended: list[_Turn] = []
        self._over_at: float | None = None

    def take(self, fact: facts.Fact) -> list[TurnTimes]:
        """Take what happened; return the turns that ended with it.

        After the end of the call only the user's last words count.
        """
        handler = self._HANDLERS.get(type(fact))
        if handler is None or (self._over_at is not None and not isinstance(fact, facts.UserTurn | facts.UserSaid)):
            return []
        handler(self, fact)
        if self._over_at is not None:
            return self._take_late(self._over_at)
        if isinstance(fact, facts.FirstAudioSent):
            return self._notify([turn for turn in self._open if turn.end is not None])
        return self._notify([turn for turn in self._open if turn.end is not None and not turn.awaits_silence()])

    def end(self, at_s: float) -> list[TurnTimes]:
        """The call is over: return the turns that ended with it, or were kept open."""
        self._give_up(self._waiting, TurnEnd.CALL_OVER, _CALL_OVER, at_s)
        for turn in self._open:
            turn.finish(TurnEnd.CALL_OVER, _CALL_OVER, at_s)
        self._waiting, self._over_at = [], at_s
        return self._notify(self._open)

    def _take_late(self, over_at_s: float) -> list[TurnTimes]:
        """Put what became a turn after the end of the call to the others that the end left without an answer."""
        late, self._waiting = self._waiting, []
        unanswered = (turn for turn in self._ended if turn.end is TurnEnd.CALL_OVER and turn.response_id is None)
        turn = next(unanswered, None)
        if turn is None:
            self._give_up(late, TurnEnd.CALL_OVER, _CALL_OVER, over_at_s)
            return self._notify(self._open)
        turn.utterances = _in_order([*turn.utterances, *late])
        return []

    def turns(self) -> tuple[TurnTimes, ...]:
        """Return the turns that have ended, in the order in which they began, with all that is known by now."""
        return tuple(turn.times() for turn in sorted(self._ended, key=_Turn.began))

    # --- the user ----------------------------------------------------------------

    def _started(self, fact: facts.UserStarted) -> None:
        utterance = self._utterance(fact.item_id)
        if not utterance.reported:
            utterance.started = utterance.started or fact

    def _stopped(self, fact: facts.UserStopped) -> None:
        utterance = self._utterance(fact.item_id)
        if not utterance.reported:
            utterance.stopped = utterance.stopped or fact

    def _said(self, fact: facts.UserSaid) -> None:
        utterance = self._utterance(fact.item_id)
        if utterance.words_at_s is None and fact.text is not None:
            utterance.words_at_s = fact.at_s

    def _turned(self, fact: facts.UserTurn) -> None:
        if fact.item_id in self._utterances:
            return
        utterance = self._utterance(fact.item_id)
        utterance.number, utterance.committed_at_s = self._next_number(), fact.at_s
        self._utterances[fact.item_id] = utterance
        self._sounds.pop(fact.item_id, None)
        self._waiting.append(utterance)

    def _settled(self, fact: facts.TurnsUnanswered) -> None:
        self._give_up(self._free(fact.items), fact.end, fact.why, fact.at_s)

    # --- the agent -------------------------------------------------------------------

    def _generated(self, fact: facts.FirstAudioReceived) -> None:
        if fact.response_id not in self._responses:
            self._begin(fact.response_id, self._free(fact.answers), fact.at_s)

    def _begin(self, response_id: str, answered: Sequence[_Utterance], generated_at_s: float | None) -> None:
        self._responses.add(response_id)
        self._open.append(_Turn(self._next_number(), answered, response_id, generated_at_s))

    def _audible(self, fact: facts.FirstAudioSent) -> None:
        if fact.response_id not in self._responses:  # speech of our own is played, not generated
            self._begin(fact.response_id, (), None)
        for turn in self._spoken_in(fact.response_id):
            turn.sent_at_s = fact.at_s if turn.sent_at_s is None else turn.sent_at_s

    def _heard(self, fact: facts.FirstAudioHeard) -> None:
        for turn in self._spoken_in(fact.response_id):
            turn.heard_at_s = fact.at_s if turn.heard_at_s is None else turn.heard_at_s

    def _done(self, fact: facts.ResponsePlayed) -> None:
        for turn in self._spoken_in(fact.response_id):
            if fact.why:
                self._interrupt(turn, fact.why, fact.at_s)
            turn.finish(TurnEnd.INCOMPLETE if fact.incomplete else TurnEnd.COMPLETED, fact.incomplete, fact.at_s)

    def _interrupt(self, turn: _Turn, why: str, at_s: float) -> None:
        """End a turn; what the user never heard an answer to waits for another one."""
        turn.finish(TurnEnd.INTERRUPTED, why, at_s)
        self._waiting += turn.release([each.item_id for each in turn.utterances])

    # --- barge-ins -------------------------------------------------------------------

    def _barged_in(self, fact: facts.BargeInConfirmed) -> None:
        for turn in self._spoken_in(fact.response_id):
            self._interrupt(turn, _BARGED_IN, fact.at_s)
            turn.barged_in = fact

    def _cleared(self, fact: facts.ClearSent) -> None:
        for turn in self._open:
            if turn.awaits_silence() and turn.cleared_at_s is None:
                turn.cleared_at_s = fact.at_s

    def _silent(self, fact: facts.ClearConfirmed) -> None:
        for turn in self._open:
            if turn.awaits_silence() and turn.cleared_at_s is not None:  # otherwise it is of an earlier clear
                turn.silent_at_s = fact.at_s

    # --- inside ------------------------------------------------------------------------

    def _next_number(self) -> int:
        self._begun += 1
        return self._begun

    def _utterance(self, item_id: str) -> _Utterance:
        """Return what is known of an utterance, committed or not."""
        if item_id in self._utterances:
            return self._utterances[item_id]
        if item_id not in self._sounds and len(self._sounds) == _ONSETS:
            del self._sounds[next(iter(self._sounds))]
        return self._sounds.setdefault(item_id, _Utterance(item_id))

    def _spoken_in(self, response_id: str) -> list[_Turn]:
        """Return the one turn of a response, or none where it has ended or never had audio."""
        return [turn for turn in self._open if turn.response_id == response_id and turn.end is None]

    def _free(self, items: Sequence[str]) -> list[_Utterance]:
        """Take out those of the named user turns of which no answer was sent."""
        found, self._waiting = _divided(self._waiting, items)
        return found + [utterance for turn in self._open for utterance in turn.release(items)]

    def _give_up(self, unanswered: Sequence[_Utterance], end: TurnEnd, why: str, at_s: float) -> None:
        """Make one turn of user turns that nobody answers, where there are any."""
        if unanswered:
            turn = _Turn(self._next_number(), unanswered)
            turn.finish(end, why, at_s)
            self._open.append(turn)

    def _notify(self, ended: Sequence[_Turn]) -> list[TurnTimes]:
        """Close turns; return them in the order in which they began."""
        self._open = [turn for turn in self._open if turn not in ended]
        self._ended += ended
        for utterance in (each for turn in ended for each in turn.utterances):
            utterance.reported = True
        return [turn.times() for turn in sorted(ended, key=_Turn.began)]

    _HANDLERS: ClassVar[Mapping[type, Callable[[TurnLog, Any], None]]] = {
        facts.UserStarted: _started,
        facts.UserStopped: _stopped,
        facts.UserTurn: _turned,
        facts.UserSaid: _said,
        facts.TurnsUnanswered: _settled,
        facts.FirstAudioReceived: _generated,
        facts.FirstAudioSent: _audible,
        facts.FirstAudioHeard: _heard,
        facts.ResponsePlayed: _done,
        facts.BargeInConfirmed: _barged_in,
        facts.ClearSent: _cleared,
        facts.ClearConfirmed: _silent,
    }


def _divided(utterances: Sequence[_Utterance], items: Sequence[str]) -> tuple[list[_Utterance], list[_Utterance]]:
    """Return the utterances that are named, and the others."""
    named = [each for each in utterances if each.item_id in items]
    return named, [each for each in utterances if each not in named]


def _all_known(values: Iterable[float | None]) -> list[float]:
    """Return the values, or nothing where one is missing."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return known if len(known) == len(listed) else []
