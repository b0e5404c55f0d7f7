"""The agent's speech, from asking for it to the user's ear: responses, playout and transcript together.

Rule 1: audio is admitted by its response; what is stale or has no room is
counted under a reason, never played.
Rule 2: what was cut leaves the session's history too: truncated to what was
heard, deleted where nothing was; unless the policy says that it counts as said.
An item that comes after its response was silenced or cancelled is deleted as well.
Rule 3: speech that we play ourselves is told to the session when it is known
what was heard of it.
Rule 4: the sound for a user who waits is played and nothing else: it is no
speech, so it is in no transcript, history, fact or figure of a turn, and gives
way to speech.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import Counter

import attrs

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.barge_in.machine import AfterCut
from voicecore.turns.first_message.message import OWN
from voicecore.turns.playout.ledger import FirstHeard, Interrupted, MarkKind, Played, PlayoutLedger, PlayoutSettings
from voicecore.turns.responses import Phase, RequestLost, ResponseOrder, ResponseOwner, ResponseSettings
from voicecore.turns.transcript import Transcript


@attrs.frozen
class Audible:
    """The first audio of an item was sent."""

    response_id: str
    item_id: str


@attrs.frozen
class Done:
    """Nothing of a response is left to be played; ``why`` its rest was cut, empty where it was played.

    ``incomplete``: why the provider did not generate it to its end; empty where it did.
    """

    response_id: str
    why: str = ""
    incomplete: str = ""


@attrs.frozen
class Generated:
    """The first audio of a response was admitted."""

    response_id: str


@attrs.frozen
class Unheard:
    """A response is over, by its word or by its deadline, and none of its audio was admitted."""

    response_id: str


@attrs.frozen
class Said:
    """An item is over; ``text`` is what was heard of it."""

    item_id: str
    text: str | None
    interrupted: bool
    heard: facts.HeardPosition | None = None


TextEvent = ev.AgentItemAdded | ev.AgentTextPart | ev.AgentTextDone
SpeechStep = ev.SessionOrder | RequestLost | FirstHeard | Played | Said | Generated | Done | Unheard

BARGED_IN = "barged in on"
_SAY = "Say exactly the following to the user, word for word, and nothing else:\n"
WAITING = "waiting-"  #: begins the ids of sounds for a user who waits
_REPLY = "request-"  #: begins the ids of requests for replies


def word_for_word(text: str) -> str:
    """Return the instructions that have a session say a text."""
    return _SAY + text


class AgentSpeech:
    """All that the agent says in one call."""

    def __init__(
        self,
        leg_format: AudioFormat,
        playout: PlayoutSettings,
        responses: ResponseSettings,
        after_cut: AfterCut = AfterCut.HEARD,
    ) -> None:
        self.playout = PlayoutLedger(leg_format, playout)
        self.responses = ResponseOwner(responses)
        self.transcript = Transcript()
        self.audible_since: float | None = None
        """Since when something of the agent can be heard, or was sent so that it will be; None: nothing."""
        self.received_bytes = 0
        self.sent_bytes = 0
        self.dropped_bytes: Counter[str] = Counter()
        self._after_cut = after_cut
        self._leg_format = leg_format
        self._requests = 0
        self._sounds = 0  # for a user who waits, so far
        self._plays_sound = False  # one of them is in hand
        self._speaker_of: dict[str, str] = {}  # item id -> response id
        self._begun: set[str] = set()  # responses whose audio came in
        self._sent: set[str] = set()  # items of which audio was sent
        self._sounding: dict[str, None] = {}  # those of them that are not over, oldest first
        self._in_hand: dict[str, str] = {}  # item id -> response id, of items that came in and are not over
        self._unfinished: set[str] = set()  # responses whose audio came in and that are not done
        self._incomplete: dict[str, str] = {}  # response id -> why the provider ended it early; until it is done

    # --- asking --------------------------------------------------------------------

    def request_reply(self, now: float) -> list[SpeechStep]:
        """Ask for a reply, now or when its turn comes."""
        self._requests += 1
        return self.request(ev.RequestResponse(request_id=f"{_REPLY}{self._requests}"), now)

    @property
    def is_reply_requested(self) -> bool:
        """Whether a reply was asked for that has not begun."""
        return any(request_id.startswith(_REPLY) for request_id in self.responses.requested())

    def want_no_reply(self, now: float) -> list[SpeechStep]:
        """Want no reply of those that wait for their turn."""
        waiting = [each for each in self.responses.requested() if self.responses.is_waiting(each)]
        replies = [each for each in waiting if each.startswith(_REPLY)]
        return [step for each in replies for step in self.responses.abandon(each, now)]

    def request(self, request: ev.RequestResponse, now: float) -> list[SpeechStep]:
        """Ask for a response, now or when its turn comes."""
        return [*self.responses.request(request, now)]

    def silence(self, response_id: str, now: float) -> list[SpeechStep]:
        """Let nothing of a response be heard from here on; what waits of it stays with `cut`."""
        return [*self.responses.interrupt(response_id, now, provider_cancels=False)]

    def want_nothing(self, now: float) -> list[SpeechStep]:
        """Want no more of what was asked for, or has begun without a sound."""
        newest_first = reversed(self.responses.requested())  # so that none takes the place of another
        steps: list[SpeechStep] = [step for each in newest_first for step in self.responses.abandon(each, now)]
        active = self.responses.active_id
        return [*steps, *(self.silence(active, now) if active is not None else [])]

    # --- what the session says -------------------------------------------------------

    def write(self, event: TextEvent, now: float) -> list[SpeechStep]:
        """Take words of the agent, or an item that will have some."""
        self.responses.progressed(event.response_id, now)
        self._speaker_of.setdefault(event.item_id, event.response_id)
        if isinstance(event, ev.AgentItemAdded):
            self.transcript.add(facts.Speaker.AGENT, event.item_id)
        elif isinstance(event, ev.AgentTextPart):
            self.transcript.extend(facts.Speaker.AGENT, event.item_id, event.text)
        else:
            self.transcript.complete(facts.Speaker.AGENT, event.item_id, event.text)
        return [] if self.responses.admits(event.response_id) else self._forget(event.response_id)

    def admit(self, event: ev.AgentAudio, now: float) -> bool:
        """Take note of audio that came in; return whether it may be played."""
        self.received_bytes += len(event.audio)
        self.responses.progressed(event.response_id, now)
        if self.responses.admits(event.response_id) and not self.responses.has_ended(event.response_id):
            return True
        self.drop(event)
        return False

    def drop(self, event: ev.AgentAudio) -> None:
        """Count audio that comes too late to be played."""
        self.dropped_bytes["late"] += len(event.audio)

    def play(self, event: ev.AgentAudio, now: float) -> list[SpeechStep]:
        """Put admitted audio behind what waits; a response that finds no room is stopped."""
        steps: list[SpeechStep] = [] if self.has_begun(event.response_id) else [Generated(event.response_id)]
        self._begun.add(event.response_id)
        self._unfinished.add(event.response_id)
        self._speaker_of.setdefault(event.item_id, event.response_id)
        self._in_hand[event.item_id] = event.response_id
        self.transcript.audio(event.item_id, self._leg_format.seconds_in(len(event.audio)))
        if self._plays_sound:  # it is all that is in hand
            self._drop_sound(now)
        refused = self.playout.push(event.response_id, event.item_id, event.audio)
        if not refused:
            return steps
        self.dropped_bytes["no_room"] += refused
        return steps + self.silence(event.response_id, now)

    def play_own(self, audio: bytes, text: str, now: float) -> list[SpeechStep]:
        """Play speech that did not come from the session."""
        steps = self.play(ev.AgentAudio(OWN, OWN, audio), now)
        self.transcript.complete(facts.Speaker.AGENT, OWN, text)
        return steps + self.settled(self.playout.finish(OWN))

    def play_sound(self, audio: bytes) -> None:
        """Play a sound for a user who waits, where nothing else is in hand."""
        if self.playout.speaking:
            return
        self._sounds += 1
        self._plays_sound = True
        name = f"{WAITING}{self._sounds}"
        self.playout.push(name, name, audio)
        self.playout.finish(name)

    def _drop_sound(self, now: float) -> None:
        self._plays_sound = False
        self.playout.clear(now)

    def ended(self, event: ev.ResponseEnded, now: float) -> list[SpeechStep]:
        """A response is over."""
        ended = self.responses.ended(event, now)
        steps: list[SpeechStep] = []
        if event.status is not ev.ResponseStatus.COMPLETED:
            self._fell_short(event.response_id, event.status.value, event.reason or event.error_code)
            for item_id in (each for each, speaker in self._in_hand.items() if speaker == event.response_id):
                self.transcript.cut_off(item_id)
        steps += self.settled(self.playout.finish_response(event.response_id))
        if event.status is ev.ResponseStatus.CANCELLED or not self.responses.admits(event.response_id):
            steps += self._forget(event.response_id)
        return [*steps, *self._over(event.response_id), *ended]

    def _fell_short(self, response_id: str, status: str, reason: str | None) -> None:
        """Keep why a response whose audio came in was not generated to its end."""
        if response_id in self._unfinished:
            self._incomplete.setdefault(response_id, f"{status}: {reason}" if reason else status)

    def has_begun(self, response_id: str) -> bool:
        """Whether audio of this response was admitted."""
        return response_id in self._begun

    # --- what the carrier says ---------------------------------------------------------

    def sent(self, order: ev.PlayAudio, now: float) -> Audible | None:
        """Some audio is on the carrier's wire; return what became audible by it."""
        self.sent_bytes += len(order.audio)
        if order.item_id in self._sent or order.item_id.startswith(WAITING):
            return None
        self._sent.add(order.item_id)
        self._sounding[order.item_id] = None
        if self.audible_since is None:
            self.audible_since = now
        return Audible(self._speaker_of[order.item_id], order.item_id)

    def audible_words(self) -> str:
        """Return the words of what can be heard, as far as they are known."""
        return " ".join(self.transcript.text(item_id) or "" for item_id in self._sounding)

    def skipped(self, order: ev.LegOrder) -> None:
        """An order was not written, because a clear overtook it."""
        if isinstance(order, ev.PlayAudio):
            self.dropped_bytes["cleared"] += len(order.audio)

    def echoed(self, name: str, now: float) -> tuple[MarkKind, list[SpeechStep]]:
        """A mark came back."""
        kind, found = self.playout.echoed(name, now)
        return kind, self.settled(found)

    # --- cutting -----------------------------------------------------------------------

    def cut(self, now: float, why: str, *, provider_cancels: bool) -> tuple[list[Interrupted], list[SpeechStep]]:
        """Drop all speech, sent and waiting; return what was cut, and what to do about it."""
        cuts = [cut for cut in self.playout.clear(now) if not cut.item_id.startswith(WAITING)]
        self._plays_sound = False
        self._sounding.clear()
        self._in_hand.clear()
        self.audible_since = None
        steps = [step for cut in cuts for step in self._cut_item(cut, now, provider_cancels)]
        done = sorted(self._unfinished)
        self._unfinished.clear()
        self._incomplete.clear()
        return cuts, [*steps, *(Done(response_id, why) for response_id in done)]

    def _cut_line(self, cut: Interrupted) -> float:
        """Cut an item's line as the policy has it; return how much of its audio the history keeps, in seconds."""
        heard_s = 0.0 if self._after_cut is AfterCut.NONE else cut.heard_s
        keep_all = self._keeps_all(cut)
        self.transcript.cut(cut.item_id, heard_s, cut.generated_s, keep_all=keep_all, heard=cut.heard)
        return heard_s

    def _keeps_all(self, cut: Interrupted) -> bool:
        """Whether all words of an item count as said: never of one of which nothing was sent."""
        return self._after_cut is AfterCut.FULL and cut.heard.upper_s > 0

    def _cut_item(self, cut: Interrupted, now: float, provider_cancels: bool) -> list[SpeechStep]:
        heard_s = self._cut_line(cut)
        steps: list[SpeechStep] = []
        steps += self.responses.interrupt(cut.response_id, now, provider_cancels=provider_cancels)
        text = self.transcript.text(cut.item_id)
        if cut.item_id == OWN:
            steps += [ev.AddAgentText(text)] if text else []
        elif not self._keeps_all(cut):
            heard_ms = int(heard_s * 1000)
            steps.append(ev.TruncateItem(cut.item_id, heard_ms) if heard_ms else ev.DeleteItem(cut.item_id))
        return [*steps, Said(cut.item_id, text, True, cut.heard)]

    def _forget(self, response_id: str) -> list[SpeechStep]:
        """Delete the items of a response that will not be heard: none of their audio was admitted, and none will be."""
        steps: list[SpeechStep] = []
        for item_id, speaker in self._speaker_of.items():
            if speaker == response_id and item_id not in self._in_hand and self.transcript.is_open(item_id):
                self.transcript.cut(item_id, 0.0, None)
                steps.append(ev.DeleteItem(item_id))
        return steps

    # --- time and the end ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        moments = (self.responses.deadline(), self.playout.deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[SpeechStep]:
        """Act on the deadlines that have passed."""
        steps = self.settled(self.playout.expire(now))
        active = self.responses.active_id
        expired: list[ResponseOrder] = self.responses.expire(now)
        steps += expired
        if active is not None and self.responses.phase is not Phase.ACTIVE:
            self._fell_short(active, "lost", "no more of it came")
            steps += self.settled(self.playout.finish_response(active))
        if active is not None and self.responses.has_ended(active):
            steps += self._over(active)
        return steps

    @property
    def speaking(self) -> bool:
        """Whether any speech waits, or was sent and is not known to have been played."""
        return self.playout.speaking and not self._plays_sound

    def plays(self, now: float) -> bool:
        """Whether there is speech to be heard, now or soon."""
        return self.speaking and (self.playout.lead_s(now) > 0 or self.playout.waiting_bytes > 0)

    def end(self, now: float) -> None:
        """The call is over; what was not heard by now never will be."""
        for cut in self.playout.clear(now):
            self._cut_line(cut)

    def take_late(self, event: ev.SessionEvent, now: float) -> ev.TokenUsage:
        """Count what comes after the end of the call: audio that nobody hears; return what it cost."""
        if isinstance(event, ev.AgentAudio):
            if self.admit(event, now):
                self.drop(event)
        elif isinstance(event, ev.ResponseEnded) and not self.responses.has_ended(event.response_id):
            self.responses.ended(event, now)
            return event.usage or ev.TokenUsage()
        return ev.TokenUsage()

    def settled(self, found: list[FirstHeard | Played] | list[Played]) -> list[SpeechStep]:
        """Return what follows from items that were heard or played to their end."""
        steps: list[SpeechStep] = []
        for event in found:
            if event.item_id.startswith(WAITING):
                self._plays_sound = self._plays_sound and not isinstance(event, Played)
                continue
            if isinstance(event, Played):
                self._sounding.pop(event.item_id, None)
                self._in_hand.pop(event.item_id, None)
                self.audible_since = self.audible_since if self._sounding else None
                self.transcript.heard(event.item_id)
                text = self.transcript.text(event.item_id)
                steps.append(Said(event.item_id, text, False))
                if event.item_id == OWN and text:
                    steps.append(ev.AddAgentText(text))
            steps.append(event)
            if isinstance(event, Played):
                steps += self._done_if_played(event.response_id)
        return steps

    def _over(self, response_id: str) -> list[SpeechStep]:
        return self._done_if_played(response_id) if self.has_begun(response_id) else [Unheard(response_id)]

    def _done_if_played(self, response_id: str) -> list[SpeechStep]:
        """Say that a response is done, where it has ended and all of it was played."""
        over = response_id == OWN or self.responses.has_ended(response_id)
        if response_id not in self._unfinished or not over or response_id in self._in_hand.values():
            return []
        self._unfinished.discard(response_id)
        return [Done(response_id, incomplete=self._incomplete.pop(response_id, ""))]
