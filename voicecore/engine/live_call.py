"""A call whose media are here: what its tasks share, and everything about it that is decided without waiting.

The tasks in engine/call_tasks.py pass in what they read, and carry out what is returned.
All methods but one are synchronous: between two checkpoints a call is always consistent.

Rule 1: the first cause of the end wins; what comes later changes nothing.  An end
that is decided, and due once what plays was played, is such a cause: a user who
hangs up meanwhile does not hide that no reply could be had.
Rule 2: every byte of user audio is forwarded, or counted under a reason.
Rule 3: while a clear waits to be written, orders for the session wait behind it
(clear_barrier.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Literal

import trio

from voicecore.audio.recording import Recording
from voicecore.engine.agent import Agent, Direction
from voicecore.engine.alarm import Alarm
from voicecore.engine.audio_conversion import AudioConversion
from voicecore.engine.call_state import HAS_ENDED, CallProgress
from voicecore.engine.clear_barrier import ClearBarrier
from voicecore.engine.ending import Ending
from voicecore.engine.session_queue import Converted, SessionQueue
from voicecore.engine.session_source import OpenedSession
from voicecore.engine.settings import CallSettings
from voicecore.errors import SessionLost
from voicecore.events import (
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
from voicecore.facts import EndCause, Fact, SessionReady
from voicecore.ports import Leg, Session
from voicecore.turns.conversation import Conversation
from voicecore.turns.first_message.message import Message
from voicecore.turns.flood import FloodMeter
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.world import World

_TICK_S = 0.010  #: of the lead of 200 ms


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
        progress: CallProgress,
        notify: Callable[[Fact], None],
        recording: Recording | None = None,
    ) -> None:
        self.settings = settings
        self.leg_format = leg.started.audio_format
        self.began_at = world.now()
        self.lockout = agent.lockout(direction)
        conversation = settings.conversation(agent, direction, leg.started)
        self.conversation = Conversation(self.leg_format, self.began_at, conversation)
        buffered_s = agent.policy_for(direction).yield_s  # the gate may release this much at once
        self.session_queue = SessionQueue(self.leg_format.bytes_in(settings.buffer_audio_s + buffered_s))
        self.write_alarm = Alarm()
        self.deadline_alarm = Alarm()
        self.words_known = trio.Event()
        """After the end: the session has sent all of the user's words, or will send no more."""
        self.session: OpenedSession | None = None
        self.session_attempts = 0
        self.flood = FloodMeter(self.leg_format, self.began_at, settings.flood)
        self._floods_reported = 0
        self.user_received_bytes = 0
        self.user_forwarded_bytes = 0
        self._world = world
        self._progress = progress  # shared with the hosted call: there is one ending
        self.notify = notify
        self._recording = recording
        self._audio = AudioConversion(self.leg_format)
        self._barrier = ClearBarrier()
        self._end_due: tuple[float, EndCause] = (self.began_at + settings.max_call_s, EndCause.TIME_LIMIT)
        self._called_over: EndCause | None = None

    def begin(self, voicemail_message: Message | None = None) -> None:
        """The media are here: the first message is due, or one for the machine that answered."""
        now = self._world.now()
        if voicemail_message is not None:
            self._carry_out(self.conversation.leave_message(voicemail_message, now))
        else:
            self._carry_out(self.conversation.begin(now))

    def reached_voicemail(self, message: Message) -> None:
        """It has turned out that a machine answered: leave this message, and end the call."""
        if self.ending is None:
            self._carry_out(self.conversation.leave_message(message, self._world.now()))
            self._wake()

    # --- the carrier ------------------------------------------------------

    def handle_leg(self, events: Sequence[LegEvent]) -> None:
        """Take the leg's events: audio goes to the session, joined where it came together; the rest is decided."""
        now = self._world.now()
        audio = b""
        for event in events:
            if isinstance(event, UserAudio):
                audio = audio + event.audio if audio else event.audio
                continue
            self._take_user_audio(audio, now)
            audio = b""
            self._carry_out(self.conversation.handle_leg(event, now))
            self._wake()
        self._take_user_audio(audio, now)

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
        self._carry_out(self.conversation.sent(order, now))
        if isinstance(order, ClearPlayout):
            self._send(self._barrier.written(order.generation))
        self.deadline_alarm.bring_forward(self.deadline())

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
        """The session is ready: choose the audio path, and say the first message.

        ``asked``: the first message was requested before pick-up; ``unasked``: responses that the session began itself.
        """
        now = self._world.now()
        path = self._audio.use_session(session)
        self.session = OpenedSession(session.session_id, open_s, now - self.began_at, source, path)
        self.notify(SessionReady(now - self.began_at, session.session_id, open_s, path, source))
        lockout = (self.lockout, session.lock)
        self.conversation.speech.disown(unasked)
        self._carry_out(self.conversation.session_ready(session.capabilities, now, lockout=lockout, asked=asked))
        self._wake()

    def handle_session(self, events: Sequence[SessionEvent]) -> None:
        """Take the session's events."""
        now = self._world.now()
        for event in events:
            if self.ending is not None and isinstance(event, ResponseStarted):
                self.session_queue.put(CancelResponse(event.response_id))  # nobody will hear it
            for converted in self._audio.for_leg(event):
                self._carry_out(self.conversation.handle_session(converted, now))
        if self.ending is not None and not self.awaits_words():
            self.words_known.set()
        self._wake()

    def for_session(self, order: SessionOrder | Converted) -> Converted | None:
        """Return an order with user audio in the session's format; None where the filter keeps all of it."""
        if isinstance(order, Converted):
            return order
        if not isinstance(order, AppendUserAudio):
            return Converted(order, 0)
        audio = self._audio.for_session(order.audio)
        if not audio:
            self.user_forwarded_bytes += len(order.audio)  # the filter keeps it for what comes next
            return None
        return Converted(AppendUserAudio(audio), len(order.audio))

    def sent_to_session(self, order: Converted) -> None:
        """An order is on the session's wire."""
        self.user_forwarded_bytes += order.leg_bytes

    def send_to(self, session: Session) -> None:
        """From here on orders go to this session at once, while none waits."""
        self.session_queue.send_by(partial(self._append_now, session), partial(_sent_now, session))

    def _append_now(self, session: Session, audio: bytes) -> None:
        """Send user audio to the session at once, or behind what it cannot take yet."""
        fitting = self._audio.for_session(audio)
        if not fitting or _sent_now(session, order := AppendUserAudio(fitting)):
            self.user_forwarded_bytes += len(audio)
        else:
            self.session_queue.put_converted(Converted(order, len(audio)))

    # --- time and the end ----------------------------------------------------

    def deadline(self) -> float:
        """Return when to call `expire`."""
        moments = (self.conversation.deadline(), self._barrier.deadline, self._end_due[0])
        return min(moment for moment in moments if moment is not None)

    def expire(self) -> None:
        """Act on the deadlines that have passed."""
        now = self._world.now()
        self._send(self._barrier.expire(now))
        self._carry_out(self.conversation.expire(now))
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
        self.deadline_alarm.bring_forward(self._end_due[0])

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
        self._progress.end(Ending(cause, detail, now, by))
        self._carry_out(self.conversation.end(now))

    @property
    def ending(self) -> Ending | None:
        """Why it ended; None before that."""
        return self._progress.ending

    async def until_ended(self) -> None:
        """Return once there is a cause of its end."""
        await self._progress.wait_for(HAS_ENDED)

    @property
    def _decided(self) -> EndCall | None:
        """The end that the conversation has decided; it may not be due yet."""
        return self.conversation.decided_end

    def awaits_words(self) -> bool:
        """Whether the session has not sent all of the user's words yet."""
        return self.conversation.awaits_words

    def cancel_response(self) -> None:
        """The call is over, and its session stays open for a moment: let it generate nothing meanwhile."""
        if (active := self.conversation.speech.running) is not None:
            self.session_queue.put(CancelResponse(active))

    def report_problem(self, code: str, message: str) -> None:
        """Report a problem from outside the conversation."""
        self._carry_out(self.conversation.problem(code, message, self._world.now()))

    # --- inside -----------------------------------------------------------------

    def _take_user_audio(self, audio: bytes, now: float) -> None:
        if not audio:
            return
        self.user_received_bytes += len(audio)
        if (admitted := self.flood.admit(len(audio), now)) < len(audio):
            audio = audio[len(audio) - admitted :]
            self._note_flood()
            if not audio:
                return
        if self.conversation.is_opening:
            self._carry_out(self.conversation.user_audio(audio, now))
            self._wake()
        else:
            self.session_queue.put_audio(audio)
        if self._recording is not None:
            self._recording.user(audio, now)

    def _note_flood(self) -> None:
        """User audio had to be dropped: report it when that begins, and end the call when it lasts."""
        if self.flood.floods > self._floods_reported:
            self._floods_reported = self.flood.floods
            self.report_problem("user_flood", "the user's audio comes faster than it can have been spoken")
        if self.flood.is_too_long:
            self.end(EndCause.LEG_MISBEHAVED, f"more audio than time for {self.flood.settings.limit_s:.0f} s")

    def _carry_out(self, orders: Sequence[Order]) -> None:
        self._barrier.watch(self.conversation.generation, self._world.now())
        for order in orders:
            if isinstance(order, Notify):
                self.notify(order.fact)
            elif isinstance(order, EndCall):
                self.end(order.cause, order.detail)
            elif isinstance(order, AppendUserAudio):
                self.session_queue.put_audio(order.audio)
            elif not self._barrier.stop(order):
                self.session_queue.put(order)

    def _send(self, orders: Sequence[SessionOrder]) -> None:
        for order in orders:
            self.session_queue.put(order)

    def _wake(self) -> None:
        self.write_alarm.bring_forward(self.next_due())
        self.deadline_alarm.bring_forward(self.deadline())


def _sent_now(session: Session, order: SessionOrder) -> bool:
    """Send an order at once; False where nothing was sent."""
    try:
        return session.send_nowait(order)
    except SessionLost:  # the task that reads it ends the call, and knows why
        return False
