"""The agent's speech, from asking for it to the user's ear: responses, playout and transcript together.

Rule 1: audio is admitted by its response; what is stale or does not fit is
counted under a reason, never played.
Rule 2: what was cut leaves the session's history too: truncated to what was
heard, deleted where nothing was; unless the policy says that it counts as said.
An item that comes after its response was silenced or cancelled is deleted as well.
Rule 3: speech that we play ourselves is added to the session's history when it is known
what was heard of it.
Rule 4: the sound for a user who waits is played and nothing else: it is no
speech, so it is in no transcript, history, fact or figure of a turn, and gives
way to speech.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.agent_items import AgentItem, AgentItems, AgentResponse, ItemMove, SpeechStage
from voicecore.turns.agent_requests import AgentRequests
from voicecore.turns.barge_in.policy import AfterCut
from voicecore.turns.playout.ledger import FirstHeard, Interrupted, MarkKind, Played, PlayoutLedger, PlayoutSettings
from voicecore.turns.responses import ResponseOrder, ResponsePhase, ResponseSettings
from voicecore.turns.speech_steps import Audible, Done, Generated, Said, SpeechStep, Unheard
from voicecore.turns.transcript import Transcript

TextEvent = ev.AgentItemAdded | ev.AgentTextPart | ev.AgentTextDone

BARGED_IN = "barged in on"
WAITING = "waiting-"  #: begins the ids of sounds for a user who waits


class AgentSpeech(AgentRequests):
    """All that the agent says in one call."""

    def __init__(
        self,
        leg_format: AudioFormat,
        playout: PlayoutSettings,
        responses: ResponseSettings,
        after_cut: AfterCut = AfterCut.HEARD,
    ) -> None:
        super().__init__(responses)
        self.playout = PlayoutLedger(leg_format, playout)
        self.transcript = Transcript()
        self.audible_since: float | None = None
        """Since when something of the agent can be heard, or was sent so that it will be; None: nothing."""
        self.received_bytes = 0
        self.sent_bytes = 0
        self.dropped_bytes: Counter[str] = Counter()
        self._items = AgentItems()
        self._after_cut = after_cut
        self._leg_format = leg_format
        self._sounds = 0  # for a user who waits, so far
        self._sound: str | None = None  # the one that is in hand, then alone

    # --- what the session says -------------------------------------------------------

    def write(self, event: TextEvent, now: float) -> list[SpeechStep]:
        """Take words of the agent, or an item that will have some."""
        self.responses.progressed(event.response_id, now)
        self._items.named(event.response_id, event.item_id)
        if isinstance(event, ev.AgentItemAdded):
            self.transcript.add(facts.Speaker.AGENT, event.item_id)
        elif isinstance(event, ev.AgentTextPart):
            self.transcript.extend(facts.Speaker.AGENT, event.item_id, event.text)
        else:
            self.transcript.complete(facts.Speaker.AGENT, event.item_id, event.text)
        return [] if self.may_be_heard(event.response_id) else self._forget(event.response_id)

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
        """Put admitted audio behind what waits; a response that does not fit is stopped."""
        is_first = self._items.response(event.response_id).audio()
        steps: list[SpeechStep] = [Generated(event.response_id)] if is_first else []
        self._items.move(self._items.named(event.response_id, event.item_id), ItemMove.AUDIO)
        self.transcript.audio(event.item_id, self._leg_format.seconds_in(len(event.audio)))
        if self._sound is not None:  # it is all that is in hand
            self._drop_sound(now)
        refused = self.playout.push(event.response_id, event.item_id, event.audio)
        if not refused:
            return steps
        self.dropped_bytes["no_room"] += refused
        return steps + self.silence(event.response_id, now)

    def play_own(self, item_id: str, audio: bytes, text: str, now: float) -> list[SpeechStep]:
        """Play speech that did not come from the session, as a response and an item of this id."""
        self._items.response(item_id, is_own=True)
        steps = self.play(ev.AgentAudio(item_id, item_id, audio), now)
        self.transcript.complete(facts.Speaker.AGENT, item_id, text)
        return steps + self.item_ended(item_id)

    def play_sound(self, audio: bytes) -> None:
        """Play a sound for a user who waits, where nothing else is in hand."""
        if self.playout.speaking:
            return
        self._sounds += 1
        self._sound = f"{WAITING}{self._sounds}"
        self.playout.push(self._sound, self._sound, audio)
        self.playout.finish(self._sound)

    def _drop_sound(self, now: float) -> None:
        self._sound = None
        self.playout.clear(now)

    def item_ended(self, item_id: str) -> list[SpeechStep]:
        """No more audio of an item will come."""
        return self._settled(self.playout.finish(item_id))

    def ended(self, event: ev.ResponseEnded, now: float) -> list[SpeechStep]:
        """A response is over."""
        ended = self.responses.ended(event, now)
        response = self._items.response(event.response_id)
        steps: list[SpeechStep] = []
        if event.status is not ev.ResponseStatus.COMPLETED:
            reason = event.reason or event.error_code
            response.fell_short(f"{event.status.value}: {reason}" if reason else event.status.value)
            for item in response.items.values():
                if item.is_in_hand:
                    self.transcript.cut_off(item.item_id)
        steps += self._settled(self.playout.finish_response(event.response_id))
        if event.status is ev.ResponseStatus.CANCELLED or not self.responses.admits(event.response_id):
            steps += self._forget(event.response_id)
        return [*steps, *self._over(response), *ended]

    def has_begun(self, response_id: str) -> bool:
        """Whether audio of this response was admitted."""
        return self._items.response(response_id).stage is not SpeechStage.SILENT

    # --- to the carrier ------------------------------------------------------------------

    def due(self, now: float, *, speech_from: float) -> list[ev.LegOrder]:
        """Return what may go to the carrier now; audio not before ``speech_from``."""
        return self.playout.due(now, speech_from=speech_from)

    def next_due(self, *, speech_from: float) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before more speech"."""
        return self.playout.next_due(speech_from=speech_from)

    @property
    def generation(self) -> int:
        """The newest generation of audio: it rises with each clear."""
        return self.playout.generation

    # --- what the carrier says ---------------------------------------------------------

    def sent(self, order: ev.PlayAudio, now: float) -> Audible | None:
        """Some audio was written to the carrier; return what became audible by it."""
        self.sent_bytes += len(order.audio)
        item = self._items.find(order.item_id)
        if item is None or not self._items.move(item, ItemMove.SENT):
            return None
        if self.audible_since is None:
            self.audible_since = now
        return Audible(item.response.response_id, order.item_id)

    def audible_words(self) -> str:
        """Return the words of what can be heard, as far as they are known."""
        return " ".join(self.transcript.text(item.item_id) or "" for item in self._items.audible())

    def skipped(self, order: ev.LegOrder) -> None:
        """An order was not written, because a clear overtook it."""
        if isinstance(order, ev.PlayAudio):
            self.dropped_bytes["cleared"] += len(order.audio)

    def mark_returned(self, name: str, now: float) -> tuple[MarkKind, list[SpeechStep]]:
        """A mark came back."""
        kind, found = self.playout.echoed(name, now)
        return kind, self._settled(found)

    # --- cutting -----------------------------------------------------------------------

    def cut(self, now: float, why: str, *, provider_cancels: bool) -> tuple[list[Interrupted], list[SpeechStep]]:
        """Drop all speech, sent and waiting; return what was cut, and what to do about it."""
        cuts = [cut for cut in self.playout.clear(now) if self._items.find(cut.item_id) is not None]
        self._sound = self.audible_since = None
        not_done = self._items.cut()
        steps = [step for cut in cuts for step in self._cut_item(cut, now, provider_cancels)]
        for response in not_done:
            response.done()
            steps.append(Done(response.response_id, why))
        return cuts, steps

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
        if self._items.response(cut.response_id).is_own:
            steps += [ev.AddAgentText(text)] if text else []
        elif not self._keeps_all(cut):
            heard_ms = int(heard_s * 1000)
            steps.append(ev.TruncateItem(cut.item_id, heard_ms) if heard_ms else ev.DeleteItem(cut.item_id))
        return [*steps, Said(cut.item_id, text, True, cut.heard)]

    def _forget(self, response_id: str) -> list[SpeechStep]:
        """Delete the items of a response that will not be heard: none of their audio was admitted, and none will be."""
        steps: list[SpeechStep] = []
        for item in self._items.response(response_id).items.values():
            if self._items.move(item, ItemMove.DELETED):
                self.transcript.cut(item.item_id, 0.0, None)
                steps.append(ev.DeleteItem(item.item_id))
        return steps

    # --- time and the end ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        moments = (self.responses.deadline(), self.playout.deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[SpeechStep]:
        """Act on the deadlines that have passed."""
        steps = self._settled(self.playout.expire(now))
        active = self.responses.active_id
        expired: list[ResponseOrder] = self.responses.expire(now)
        steps += expired
        if active is not None and self.responses.phase is not ResponsePhase.ACTIVE:
            self._items.response(active).fell_short("lost: no more of it came")
            steps += self._settled(self.playout.finish_response(active))
        if active is not None and self.responses.has_ended(active):
            steps += self._over(self._items.response(active))
        return steps

    @property
    def speaking(self) -> bool:
        """Whether any speech waits, or was sent and is not known to have been played."""
        return self.playout.speaking and self._sound is None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is played, and no response runs, is asked for, or waits to be."""
        return not self.speaking and not self.is_response_due and not self.responses.waiting

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

    # --- inside ---------------------------------------------------------------------------

    def _settled(self, found: Sequence[FirstHeard | Played]) -> list[SpeechStep]:
        """Return what follows from items that were heard or played to their end."""
        steps: list[SpeechStep] = []
        for event in found:
            item = self._items.find(event.item_id)
            if item is None:  # the sound for a user who waits
                self._sound = None if isinstance(event, Played) else self._sound
            elif isinstance(event, Played):
                steps += self._played(item, event)
            else:
                steps.append(event)
        return steps

    def _played(self, item: AgentItem, event: Played) -> list[SpeechStep]:
        self._items.move(item, ItemMove.PLAYED)
        if not any(self._items.audible()):
            self.audible_since = None
        self.transcript.heard(item.item_id)
        text = self.transcript.text(item.item_id)
        steps: list[SpeechStep] = [Said(item.item_id, text, False)]
        if item.response.is_own and text:
            steps.append(ev.AddAgentText(text))
        return [*steps, event, *self._done_if_played(item.response)]

    def _over(self, response: AgentResponse) -> list[SpeechStep]:
        has_begun = response.stage is not SpeechStage.SILENT
        return self._done_if_played(response) if has_begun else [Unheard(response.response_id)]

    def _done_if_played(self, response: AgentResponse) -> list[SpeechStep]:
        """Say that a response is done, where it has ended and all of it was played."""
        is_over = response.is_own or self.responses.has_ended(response.response_id)
        if response.stage is not SpeechStage.BEGUN or not is_over or response.is_in_hand:
            return []
        return [Done(response.response_id, incomplete=response.done())]
