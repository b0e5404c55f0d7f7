"""One session of the simulated server, without sockets and without a clock.

Messages go in with the time, outgoing events come out of `take`, and
`deadline`/`expire` let time pass.  This file has the session's life: reading client
events, and its end.  The parts have their own rules: session_update.py,
configuration.py, input_turns.py, response_manager.py, items.py.

Rule 1: an event that is refused changes nothing; the refusal names the event.
Rule 2: after the end nothing is sent and nothing is accepted.
Rule 3: it is written from the sheet in docs/protocols/ with plain JSON objects, never with
voicecore's own codec, so that the two can disagree.

Facts: OpenAI Realtime, all sections.
"""

from __future__ import annotations

import copy
import enum
import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from voicecore.audio.formats import AudioFormat
from voicecore.simulation.openai_realtime import configuration
from voicecore.simulation.openai_realtime.behaviour import Behaviour, End, ScriptedVad
from voicecore.simulation.openai_realtime.input_turns import InputTurns, InputTurnsContext
from voicecore.simulation.openai_realtime.items import AFTER, Conversation, check_item
from voicecore.simulation.openai_realtime.json_checks import (
    JsonObject,
    Refused,
    Shape,
    anything,
    audio_bytes,
    invalid_value,
    record,
    text,
    whole,
)
from voicecore.simulation.openai_realtime.nulls import without_nulls
from voicecore.simulation.openai_realtime.outbox import Close, Cut, Outbox, Outgoing, Stall
from voicecore.simulation.openai_realtime.refused_events import RefusedEvent
from voicecore.simulation.openai_realtime.response import Response
from voicecore.simulation.openai_realtime.response_manager import (
    ResponseManager,
    ResponseManagerContext,
    SessionIdentity,
)
from voicecore.simulation.openai_realtime.scheduler import Scheduler
from voicecore.simulation.openai_realtime.script import Echo, Script
from voicecore.simulation.openai_realtime.session_update import SessionConfiguration, SessionUpdateContext
from voicecore.simulation.openai_realtime.unsolicited_events import UnsolicitedEvent

APPEND_LIMIT_BYTES = 15 * 1024 * 1024
_EARLY_LIMIT_MESSAGES = 1000  #: what a client may send before `session.created`; the oldest is dropped
_LONGEST_MS = 24 * 3600 * 1000

_NORMAL_CLOSURE = 1000
_POLICY_VIOLATION = 1008
_GOING_AWAY = 1001
_BETA_DISABLED = 4000


class Phase(enum.Enum):
    """Where a session is in its life."""

    OPENING = "opening"  #: upgraded, `session.created` not sent yet
    OPEN = "open"
    ENDED = "ended"


def _end_ms(value: Any, path: str) -> int:
    if isinstance(value, float):
        # NB: the refusal was recorded, its code was not.
        problem = "expected an integer, but got a decimal number instead"
        raise Refused("invalid_type", f"Invalid type for '{path}': {problem}.", path)
    checked: int = whole(0, _LONGEST_MS)(value, path)
    return checked


_KIND = record({"type": text}, required=("type",))


def _event(required: tuple[str, ...] = (), **fields: Shape) -> Shape:
    return record({"type": text, "event_id": text, **fields}, required=required)


class TwinSession:
    """One client's session, from the upgrade to the end of its socket."""

    def __init__(self, script: Script, behaviour: Behaviour, identity: SessionIdentity, now: float) -> None:
        self._script = script
        self._behaviour = behaviour
        self._requests = 0  # `response.create` that were valid
        self._identity = identity
        self._phase = Phase.OPENING
        self._now = now
        self._scheduler = Scheduler()
        self._outbox = Outbox(behaviour, identity.new_id)
        self._early: deque[Any] = deque(maxlen=_EARLY_LIMIT_MESSAGES)
        self.user_audio = bytearray()
        """Every byte appended, in order; bounded by the session's length."""
        self.conversation = Conversation(identity.new_id("conv"))
        self._configuration = self._make_configuration()
        self._response_manager = self._make_response_manager()
        self._turns = self._make_turns()
        self._handlers = self._make_handlers()
        self._plan_life(now)

    @property
    def phase(self) -> Phase:
        """Where the session is in its life."""
        return self._phase

    @property
    def effective(self) -> JsonObject:
        """The configuration in force, whatever acknowledgements show."""
        return self._configuration.effective

    @property
    def responses(self) -> list[Response]:
        """Every response so far, in the order of creation."""
        return list(self._response_manager.responses)

    def receive(self, message: Any, now: float) -> None:
        """Handle one decoded message, None for text that is not JSON; a bad one is answered with `error`."""
        self.expire(now)
        if self._phase is Phase.OPENING:
            self._early.append(message)
        elif self._phase is Phase.OPEN:
            self._handle(message)
            self._scheduler.run(now)

    def deadline(self) -> float | None:
        """Return when `expire` must be called next; None: not before the next message."""
        return self._scheduler.deadline()

    def expire(self, now: float) -> None:
        """Let time pass until ``now``; must not go backwards."""
        self._scheduler.run(now)
        self._now = now

    def take(self) -> list[Outgoing]:
        """Remove and return what is to be sent, oldest first."""
        return self._outbox.take()

    def speech_starts(self, now: float) -> None:
        """Detect speech now, whatever the audio is."""
        self.expire(now)
        self._turns.speech_starts(now)
        self._scheduler.run(now)

    def speech_stops(self, now: float) -> None:
        """Detect the end of speech now."""
        self.expire(now)
        self._turns.speech_stops(now)
        self._scheduler.run(now)

    def end(self, how: End, now: float) -> None:
        """End the session, or freeze its socket, from the server's side."""
        self.expire(now)
        self._end(how)

    # --- life ---------------------------------------------------------------

    def _plan_life(self, now: float) -> None:
        self._scheduler.at(now + self._behaviour.session_limit_s, lambda _: self._end(End.EXPIRED))
        for ending in self._behaviour.endings:
            if ending.at_s is not None:
                self._scheduler.at(now + ending.at_s, functools.partial(self._end_due, ending.how))
        if self._behaviour.half_open_after_s is not None:
            self._scheduler.at(now + self._behaviour.half_open_after_s, functools.partial(self._end_due, End.STALL))
        if self._behaviour.handshake.created_s is not None:
            self._scheduler.at(now + self._behaviour.handshake.created_s, self._open)
        self._scheduler.run(now)

    def _open(self, due: float) -> None:
        handshake = self._behaviour.handshake
        self._now = due
        self._phase = Phase.OPEN
        if self._identity.asks_for_beta:
            self._end(End.BETA_DISABLED)
            return
        if handshake.first_error is not None:
            words = handshake.refusal_words or "The session could not be created."
            self._refuse(Refused(handshake.first_error, words), None)
            self._finish(Close(_POLICY_VIOLATION, handshake.first_error))
            return
        self._emit("session.created", session=copy.deepcopy(self.effective))
        if handshake.announces_conversation:
            described = {"id": self.conversation.conversation_id, "object": "realtime.conversation"}
            self._emit("conversation.created", conversation=described)
        if isinstance(self._behaviour.vad, ScriptedVad):
            for start_s, stop_s in self._behaviour.vad.speech:
                self._scheduler.at(due + start_s, self._turns.speech_starts)
                self._scheduler.at(due + stop_s, self._turns.speech_stops)
        for at_s in self._behaviour.speaks_unasked_s:
            self._scheduler.at(due + at_s, self._answer_user)
        if handshake.speech_before_update_s is not None:
            start_s, stop_s = handshake.speech_before_update_s
            self._scheduler.at(due + start_s, self._turns.early_speech_starts)
            self._scheduler.at(due + stop_s, self._turns.early_speech_stops)
        for unsolicited in self._behaviour.unsolicited_events:
            self._scheduler.at(due + unsolicited.at_s, functools.partial(self._send_unsolicited, unsolicited))
        self._scheduler.run(due)
        while self._early:
            self._handle(self._early.popleft())
            self._scheduler.run(due)

    def _send_unsolicited(self, unsolicited: UnsolicitedEvent, due: float) -> None:  # noqa: ARG002 - an action
        self._emit(unsolicited.kind, **unsolicited.fields)

    def _end_due(self, how: End, due: float) -> None:  # noqa: ARG002 - an action
        self._end(how)

    def _end(self, how: End) -> None:
        match how:
            case End.EXPIRED:
                problem = "Your session hit the maximum duration of 60 minutes."
                self._refuse(Refused("session_expired", problem), None)
                self._finish(Close(_GOING_AWAY, "session_expired"))
            case End.GOING_AWAY:
                self._finish(Close(_GOING_AWAY, ""))
            case End.IDLE:
                self._finish(Close(_NORMAL_CLOSURE, self._behaviour.close_reason))
            case End.BETA_DISABLED:
                problem = "The beta API shape is no longer available; use the GA shape."
                self._refuse(Refused("beta_api_shape_disabled", problem), None)
                self._finish(Close(_BETA_DISABLED, "invalid_request_error.beta_api_shape_disabled"))
            case End.CUT:
                self._finish(Cut())
            case End.STALL:
                self._finish(Stall())

    def _finish(self, act: Close | Cut | Stall) -> None:
        if self._phase is Phase.ENDED:
            return  # the first end counts
        self._phase = Phase.ENDED
        self._outbox.end(act)
        self._scheduler.clear()

    # --- events -------------------------------------------------------------

    def _emit(self, kind: str, **fields: object) -> None:
        if self._phase is Phase.ENDED:
            return
        self._outbox.put(kind, fields)
        for ending in self._behaviour.endings:
            if ending.after_events == self._outbox.events:
                self._end(ending.how)

    def _refuse(self, refused: Refused, event_id: str | None) -> None:
        error = {
            "type": "invalid_request_error",
            "code": refused.code,
            "message": refused.message,
            "param": refused.param,
            "event_id": None if self._behaviour.anonymous_errors else event_id,
        }
        self._emit("error", error=error)

    def _handle(self, message: Any) -> None:
        message = without_nulls(message)
        event_id = message.get("event_id") if isinstance(message, dict) else None
        event_id = event_id if isinstance(event_id, str) else None
        if refused_events := self._refusals_of(message):
            for refused_event in refused_events:
                self._refuse_later(refused_event, event_id)
            return
        try:
            shape, handler = self._handler(message)
            handler(shape(message, ""))
        except Refused as refused:
            self._refuse(refused, event_id)

    def _refusals_of(self, message: Any) -> list[RefusedEvent]:
        kind = message.get("type") if isinstance(message, dict) else None
        return [refused_event for refused_event in self._behaviour.refused_events if refused_event.kind == kind]

    def _refuse_later(self, refused_event: RefusedEvent, event_id: str | None) -> None:
        self._scheduler.at(self._now + refused_event.after_s, lambda _: self._refuse(refused_event.refusal(), event_id))

    def _handler(self, message: Any) -> tuple[Shape, Callable[[JsonObject], None]]:
        if not isinstance(message, dict):
            raise Refused("invalid_value", "A client event is a JSON object.")
        kind = _KIND({key: value for key, value in message.items() if key == "type"}, "")["type"]
        if kind not in self._handlers:
            # NB: the real server's code for an unknown event type was never recorded.
            raise Refused("unknown_event", f"Unknown or unsupported event type: '{kind}'.", "type")
        return self._handlers[kind]

    def _make_handlers(self) -> dict[str, tuple[Shape, Callable[[JsonObject], None]]]:
        item = "item_id"
        return {
            "session.update": (_event(("session",), session=anything), self._update_session),
            "input_audio_buffer.append": (_event(("audio",), audio=text), self._append),
            "input_audio_buffer.commit": (_event(), lambda _: self._turns.commit(self._now)),
            "input_audio_buffer.clear": (_event(), self._clear),
            "conversation.item.create": (
                _event(("item",), item=anything, previous_item_id=AFTER),
                self._create_item,
            ),
            "conversation.item.retrieve": (_event((item,), item_id=text), self._retrieve_item),
            "conversation.item.truncate": (
                _event(
                    (item, "content_index", "audio_end_ms"),
                    item_id=text,
                    content_index=whole(0, 0),
                    audio_end_ms=_end_ms,
                ),
                self._truncate_item,
            ),
            "conversation.item.delete": (_event((item,), item_id=text), self._delete_item),
            "response.create": (_event(response=anything), self._create_response),
            "response.cancel": (
                _event(response_id=text),
                lambda message: self._response_manager.cancel(message.get("response_id"), self._now),
            ),
        }

    def _update_session(self, message: JsonObject) -> None:
        spoken = any(response.playback_s for response in self._response_manager.responses)
        voice = self.effective["audio"]["output"]["voice"] if spoken else None
        self._configuration.update(message["session"], voice_in_use=voice, now=self._now)

    def _append(self, message: JsonObject) -> None:
        encoded = message["audio"]
        audio = audio_bytes(encoded, "audio")
        if len(audio) > APPEND_LIMIT_BYTES:
            raise invalid_value("audio", "at most 15 MiB in one event")
        self.user_audio += audio
        if isinstance(self._script.replies, Echo):
            self._echo(audio, encoded)
        else:
            self._turns.append(audio, self._now)

    def _clear(self, message: JsonObject) -> None:  # noqa: ARG002 - a handler
        self._turns.clear()
        self._emit("input_audio_buffer.cleared")

    # --- items --------------------------------------------------------------

    def _create_item(self, message: JsonObject) -> None:
        item = check_item(message["item"], self._identity.new_id("item"), self._input_format(), "item")
        previous = self.conversation.add(item, message.get("previous_item_id"))
        self._emit("conversation.item.added", item=item.shown(), previous_item_id=previous)
        self._emit("conversation.item.done", item=item.shown(), previous_item_id=previous)

    def _retrieve_item(self, message: JsonObject) -> None:
        item = self.conversation.require(message["item_id"], "item_retrieve_invalid_item_id")
        self._emit("conversation.item.retrieved", item=item.whole())

    def _truncate_item(self, message: JsonObject) -> None:
        item = self.conversation.require(message["item_id"], "item_truncate_invalid_item_id")
        item.truncate(message["audio_end_ms"])
        fields = {key: message[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self._emit("conversation.item.truncated", **fields)

    def _delete_item(self, message: JsonObject) -> None:
        self.conversation.delete(message["item_id"])
        self._emit("conversation.item.deleted", item_id=message["item_id"])

    # --- responses ----------------------------------------------------------

    def _create_response(self, message: JsonObject) -> None:
        request = configuration.check_response(message.get("response") or {})
        for index, each in enumerate(request.get("input", ())):
            self._check_input(each, f"response.input[{index}]")
        self._requests += 1
        if self._requests in self._behaviour.refused_requests:
            raise Refused("server_error", "The server had an error while processing your request.")
        self._response_manager.start(request, self.effective, self._now)

    def _check_input(self, given: Any, path: str) -> None:
        if isinstance(given, dict) and given.get("type") == "item_reference":
            self.conversation.require(text(given.get("id"), f"{path}.id"), "item_not_found")
        else:
            check_item(given, "", self._input_format(), path)

    def _answer_user(self, now: float) -> None:
        try:
            self._response_manager.start({}, self.effective, now)
        except Refused as refused:
            self._refuse(refused, None)

    def _echo(self, audio: bytes, encoded: str) -> None:
        if self._response_manager.active is None:
            self._response_manager.start({}, self.effective, self._now)
            self._scheduler.run(self._now)
        if self._response_manager.active is not None:
            self._response_manager.active.echo(audio, encoded)

    def _input_format(self) -> AudioFormat:
        return configuration.audio_format(self.effective["audio"]["input"]["format"])

    def _agent_begins(self) -> None:
        self._turns.agent_begins()

    def _agent_ended(self, now: float, playback_s: float) -> None:
        self._turns.agent_ended(now, playback_s)

    def _acknowledge(self, session: JsonObject) -> None:
        self._emit("session.updated", session=session)

    def _reconfigured(self, now: float) -> None:
        self._turns.configure(self.effective["audio"]["input"], now)

    def _make_configuration(self) -> SessionConfiguration:
        identity = self._identity
        context = SessionUpdateContext(
            settings=self._behaviour.updates,
            partial=self._behaviour.partial_turn_detection,
            scheduler=self._scheduler,
            changed=self._reconfigured,
            acknowledge=self._acknowledge,
        )
        initial = configuration.default_session(
            session_id=identity.new_id("sess"), model=identity.model, expires_at=identity.expires_at
        )
        return SessionConfiguration(context, initial)

    def _make_response_manager(self) -> ResponseManager:
        context = ResponseManagerContext(
            script=self._script,
            behaviour=self._behaviour,
            identity=self._identity,
            emit=self._emit,
            scheduler=self._scheduler,
            conversation=self.conversation,
            on_started=self._agent_begins,
            on_ended=self._agent_ended,
        )
        return ResponseManager(context)

    def _make_turns(self) -> InputTurns:
        context = InputTurnsContext(
            emit=self._emit,
            new_id=self._identity.new_id,
            scheduler=self._scheduler,
            conversation=self.conversation,
            hears=self._script.hears,
            transcribing=self._behaviour.transcribing,
            vad=self._behaviour.vad,
            stale_idle_s=self._behaviour.updates.stale_idle_after_restore_s,
            answer=self._answer_user,
            interrupt=self._response_manager.interrupt,
        )
        return InputTurns(context, self.effective["audio"]["input"])
