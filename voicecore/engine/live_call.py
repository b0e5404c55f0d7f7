"""One call: what its tasks share, and everything about it that is decided without waiting.

The tasks in engine/call_tasks.py hand in what they read and carry out what comes back;
between them stands this object.  Its methods are synchronous: between two
checkpoints a call is always in one piece.

Rule 1: the first cause of the end wins; what comes later changes nothing.  An end
that is decided, and due once what plays was played, is such a cause: a user who
hangs up meanwhile does not hide that no reply could be had.
Rule 2: every byte of user audio is forwarded, or counted under a reason.
Rule 3: audio is converted here and only here, and not at all where formats agree.
Rule 4: while a clear waits to be written, what the session is told waits behind
it, for a moment at most: silence first, then the history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Literal

import attrs
import trio

from voicecore.audio.convert import Converter, converter
from voicecore.audio.recording import Recording
from voicecore.engine.agent import Agent, Direction
from voicecore.engine.alarm import Alarm
from voicecore.engine.outbox import Converted, Outbox
from voicecore.engine.settings import CallSettings
from voicecore.errors import SessionLost, printable
from voicecore.events import (
    AgentAudio,
    AgentAudioEnded,
    AppendUserAudio,
    CancelResponse,
    ClearPlayout,
    LegEvent,
    LegOrder,
    PlayAudio,
    ResponseStarted,
    SessionEvent,
    SessionOrder,
    UserAudio,
)
from voicecore.facts import AudioPath, EndCause, Fact, SessionReady
from voicecore.ports import Leg, Session
from voicecore.turns.conversation import Conversation
from voicecore.turns.first_message.message import Message
from voicecore.turns.flood import FloodMeter
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.world import World

_TICK_S = 0.010  #: of the lead of 200 ms
DETAIL_CHARS = 500  #: of the words that say why a call ended; a peer may have written them
_CLEAR_S = 0.25  #: how long the session's history waits for a clear that the carrier does not read


@attrs.frozen
class Ending:
    """Why and when a call ended."""

    cause: EndCause
    detail: str
    at: float
    by: EndCause | None = None
    """What ended it before the end that was decided came due; None: the cause itself."""

    @property
    def last(self) -> EndCause:
        """What ended it at this moment: the carrier's next step goes by it."""
        return self.by or self.cause


@attrs.frozen
class OpenedSession:
    """What the report needs to know of the session."""

    session_id: str
    open_s: float
    """How long its opening took, before or after pick-up."""
    waited_s: float
    """From pick-up to here."""
    source: Literal["adopted", "cold"]
    audio_path: AudioPath


class LiveCall:
    """The state of one running call."""

    def __init__(
        self,
        world: World,
        leg: Leg,
        agent: Agent,
        settings: CallSettings,
        *,
        direction: Direction,
        notify: Callable[[Fact], None],
        recording: Recording | None = None,
    ) -> None:
        self.settings = settings
        self.leg_format = leg.started.audio_format
        self.began_at = world.now()
        self.lockout = agent.lockout(direction)
        talk = settings.conversation(agent, direction, leg.started)
        self.conversation = Conversation(self.leg_format, self.began_at, talk)
        held_s = agent.policy_for(direction).yield_s  # what the gate lets go at once must find room
        self.outbox = Outbox(self.leg_format.bytes_in(settings.buffer_audio_s + held_s))
        self.speak_alarm = Alarm()
        self.heartbeat_alarm = Alarm()
        self.over = trio.Event()
        self.words_known = trio.Event()
        """After the end: nothing that the session could still say of the user's words is missing."""
        self.ending: Ending | None = None
        self.session: OpenedSession | None = None
        self.session_attempts = 0
        self.flood = FloodMeter(self.leg_format, self.began_at, settings.flood)
        self._floods_told = 0
        self.user_received_bytes = 0
        self.user_forwarded_bytes = 0
        self._world = world
        self.notify = notify
        self._recording = recording
        self._to_session: Converter = converter(self.leg_format, self.leg_format)
        self._from_session: Converter = converter(self.leg_format, self.leg_format)
        self._agent_item: str | None = None
        self._behind_clear: list[SessionOrder] = []  # bounded by what one clear leads to, and _CLEAR_S
        self._clear_by: float | None = None
        self._generation = 0  # the newest whose clear is on the wire
        self._end_due: tuple[float, EndCause] = (self.began_at + settings.max_call_s, EndCause.TIME_LIMIT)
        self._called_over: EndCause | None = None

    def begin(self, voicemail_message: Message | None = None) -> None:
        """The media are here: the first message is due, or one for the machine that answered."""
        now = self._world.now()
        if voicemail_message is not None:
            self._carry(self.conversation.leave_message(voicemail_message, now))
        else:
            self._carry(self.conversation.begin(now))

    def reached_voicemail(self, message: Message) -> None:
        """A machine answered, as is known only now: leave this message, and end the call."""
        if self.ending is None:
            self._carry(self.conversation.leave_message(message, self._world.now()))
            self._wake()

    # --- the carrier ------------------------------------------------------

    def hear(self, events: Sequence[LegEvent]) -> None:
        """Take what the leg said: audio goes to the session, what came together as one; the rest is decided."""
        now = self._world.now()
        audio = b""
        for event in events:
            if isinstance(event, UserAudio):
                audio = audio + event.audio if audio else event.audio
                continue
            self._hear_audio(audio, now)
            audio = b""
            self._carry(self.conversation.handle_leg(event, now))
            self._wake()
        self._hear_audio(audio, now)

    def due(self) -> list[LegOrder]:
        """Return what may be written to the leg now."""
        return self.conversation.due(self._world.now())

    def next_due(self) -> float | None:
        """Return when to ask `due` again: at once, or at a tick that all calls share, so that they wake together."""
        due = self.conversation.next_due()
        if due is None or due <= self._world.now():
            return due
        return max(due, math.ceil(due / _TICK_S) * _TICK_S)

    def sent(self, order: LegOrder) -> None:
        """An order is on the leg's wire."""
        now = self._world.now()
        if self._recording is not None:
            if isinstance(order, PlayAudio):
                self._recording.agent(order.audio, now)
            elif isinstance(order, ClearPlayout):
                self._recording.clear(now)
        self._carry(self.conversation.sent(order, now))
        if isinstance(order, ClearPlayout):
            self._generation = order.generation
            self._go_on_behind_clear()
        self.heartbeat_alarm.bring_forward(self.deadline())

    # --- the session ------------------------------------------------------

    def session_opened(
        self,
        session: Session,
        open_s: float,
        source: Literal["adopted", "cold"] = "cold",
        *,
        asked: bool = False,
        unasked: Collection[str] = (),
    ) -> None:
        """The session is ready: choose the audio path, greet.

        ``asked``: the greeting was asked for before pick-up; ``unasked``: responses that were not.
        """
        now = self._world.now()
        self._to_session = converter(self.leg_format, session.user_format)
        self._from_session = converter(session.agent_format, self.leg_format)
        path = AudioPath(
            leg=str(self.leg_format),
            session_user=str(session.user_format),
            session_agent=str(session.agent_format),
            passthrough=self.leg_format == session.user_format == session.agent_format,
        )
        self.session = OpenedSession(session.session_id, open_s, now - self.began_at, source, path)
        self.notify(SessionReady(now - self.began_at, session.session_id, open_s, path, source))
        lockout = (self.lockout, session.lock)
        self.conversation.speech.disown(unasked)
        self._carry(self.conversation.session_ready(session.capabilities, now, lockout=lockout, asked=asked))
        self._wake()

    def listen(self, events: Sequence[SessionEvent]) -> None:
        """Take what the session said."""
        now = self._world.now()
        for event in events:
            if self.ending is not None and isinstance(event, ResponseStarted):
                self.outbox.put(CancelResponse(event.response_id))  # nobody will hear it
            for converted in self._to_leg_format(event):
                self._carry(self.conversation.handle_session(converted, now))
        if self.ending is not None and not self.awaits_words():
            self.words_known.set()
        self._wake()

    def for_session(self, order: SessionOrder | Converted) -> Converted | None:
        """Return an order as the session wants it: user audio in its format; None where nothing is left of it."""
        if isinstance(order, Converted):
            return order
        if not isinstance(order, AppendUserAudio):
            return Converted(order, 0)
        audio = self._to_session.convert(order.audio)
        if not audio:
            self.user_forwarded_bytes += len(order.audio)  # the filter keeps it for what comes next
            return None
        return Converted(AppendUserAudio(audio), len(order.audio))

    def told(self, order: Converted) -> None:
        """An order is on the session's wire."""
        self.user_forwarded_bytes += order.leg_bytes

    def talk_to(self, session: Session) -> None:
        """From here on what the session is to be told goes to it at once, while nothing waits."""
        self.outbox.send_by(partial(self._append_now, session), partial(_is_told, session))

    def _append_now(self, session: Session, audio: bytes) -> None:
        """Let the session hear user audio at once, or behind what it cannot take yet."""
        fitting = self._to_session.convert(audio)
        if not fitting or _is_told(session, order := AppendUserAudio(fitting)):
            self.user_forwarded_bytes += len(audio)
        else:
            self.outbox.put_converted(Converted(order, len(audio)))

    # --- time and the end ----------------------------------------------------

    def deadline(self) -> float:
        """Return when to call `expire`."""
        moments = (self.conversation.deadline(), self._clear_by, self._end_due[0])
        return min(moment for moment in moments if moment is not None)

    def expire(self) -> None:
        """Act on the deadlines that have passed."""
        now = self._world.now()
        if self._clear_by is not None and self._clear_by <= now:
            self._go_on_behind_clear()
        self._carry(self.conversation.expire(now))
        moment, cause = self._end_due
        if moment <= now:
            self.end(cause)
        self._wake()

    def end_soon(self, cause: EndCause) -> None:
        """The carrier says that the call is over; the stream's own stop may still come within its bound.

        What ends the call meanwhile, a stream that breaks off or a session, is a consequence: the cause is this one.
        """
        if self._called_over is None and self._decided is None:
            self._called_over = cause
        moment = self._world.now() + self.settings.stop_wait_s
        if moment < self._end_due[0]:
            self._end_due = (moment, cause)
        self.heartbeat_alarm.bring_forward(self._end_due[0])

    def end(self, cause: EndCause, detail: str = "") -> None:
        """End the call; the first cause stands."""
        if self.ending is not None:
            return
        by: EndCause | None = None
        if cause is not EndCause.FAILED:
            if self._called_over is not None:
                cause, detail = self._called_over, ""
            elif self._decided is not None:
                by, cause, detail = cause, self._decided.cause, self._decided.detail
        now = self._world.now()
        self.ending = Ending(cause, printable(detail, DETAIL_CHARS), now, by)
        try:
            self._carry(self.conversation.end(now))
        finally:
            self.over.set()

    @property
    def _decided(self) -> EndCall | None:
        """The end that the conversation has decided; it may not be due yet."""
        return self.conversation.decided_end

    def awaits_words(self) -> bool:
        """Whether the session has words of the user still to tell."""
        return self.conversation.awaits_words

    def hush(self) -> None:
        """The call is over, and its session stays for a moment: let it generate nothing meanwhile."""
        if (active := self.conversation.speech.running) is not None:
            self.outbox.put(CancelResponse(active))

    def report_problem(self, code: str, message: str) -> None:
        """Tell the observers of something that went wrong outside the conversation."""
        self._carry(self.conversation.problem(code, message, self._world.now()))

    # --- inside -----------------------------------------------------------------

    def _hear_audio(self, audio: bytes, now: float) -> None:
        if not audio:
            return
        self.user_received_bytes += len(audio)
        if (admitted := self.flood.admit(len(audio), now)) < len(audio):
            audio = audio[len(audio) - admitted :]
            self._note_flood()
            if not audio:
                return
        if self.conversation.is_opening:
            self._carry(self.conversation.user_audio(audio, now))
            self._wake()
        else:
            self.outbox.put_audio(audio)
        if self._recording is not None:
            self._recording.user(audio, now)

    def _note_flood(self) -> None:
        """User audio had to be dropped: say so when that begins, and end the call when it lasts."""
        if self.flood.floods > self._floods_told:
            self._floods_told = self.flood.floods
            self.report_problem("user_flood", "the user's audio comes faster than it can have been spoken")
        if self.flood.is_too_long:
            self.end(EndCause.LEG_MISBEHAVED, f"more audio than time for {self.flood.settings.limit_s:.0f} s")

    def _carry(self, orders: Sequence[Order]) -> None:
        if self._clear_by is None and self.conversation.generation != self._generation:
            self._clear_by = self._world.now() + _CLEAR_S
        for order in orders:
            if isinstance(order, Notify):
                self.notify(order.fact)
            elif isinstance(order, EndCall):
                self.end(order.cause, order.detail)
            elif isinstance(order, AppendUserAudio):
                self.outbox.put_audio(order.audio)
            elif self._clear_by is not None:
                self._behind_clear.append(order)
            else:
                self.outbox.put(order)

    def _go_on_behind_clear(self) -> None:
        waiting, self._behind_clear, self._clear_by = self._behind_clear, [], None
        for order in waiting:
            self.outbox.put(order)

    def _wake(self) -> None:
        self.speak_alarm.bring_forward(self.next_due())
        self.heartbeat_alarm.bring_forward(self.deadline())

    def _to_leg_format(self, event: SessionEvent) -> list[SessionEvent]:
        if isinstance(event, AgentAudio):
            if event.item_id != self._agent_item:  # the filter's memory ends with the utterance
                self._from_session.reset()
                self._agent_item = event.item_id
            audio = self._from_session.convert(event.audio)
            if audio is event.audio:
                return [event]
            return [attrs.evolve(event, audio=audio)] if audio else []
        if isinstance(event, AgentAudioEnded) and event.item_id == self._agent_item:
            self._agent_item = None
            tail = self._from_session.flush()
            return [AgentAudio(event.response_id, event.item_id, tail), event] if tail else [event]
        return [event]


def _is_told(session: Session, order: SessionOrder) -> bool:
    """Tell the session at once; False where that cannot be."""
    try:
        return session.send_nowait(order)
    except SessionLost:  # the task that reads it ends the call, and knows why
        return False
