"""Which responses run: at most one in the default conversation, any number out of band.

Rule 1: a second response for the default conversation is refused, whoever requested it.
Rule 2: each response uses one reply of the script, in order; the last one is repeated.
Rule 3: settings are those at the moment of creation.

Facts: OpenAI Realtime, section response bookkeeping.
Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from voicecore.simulation.openai_realtime import configuration
from voicecore.simulation.openai_realtime.behaviour import Behaviour, ResponseFault
from voicecore.simulation.openai_realtime.items import Conversation, Item
from voicecore.simulation.openai_realtime.json_checks import JsonObject, Refused
from voicecore.simulation.openai_realtime.outputs import Emit
from voicecore.simulation.openai_realtime.response import Response, ResponseContext, ResponseSpec
from voicecore.simulation.openai_realtime.scheduler import ActionId, Scheduler
from voicecore.simulation.openai_realtime.script import Echo, Reply, Script
from voicecore.simulation.openai_realtime.tts import speech
from voicecore.simulation.openai_realtime.usage import UsageMeter


@attrs.frozen(kw_only=True)
class SessionIdentity:
    """Who connected, and where a session's ids and random numbers come from."""

    model: str
    call_number: int
    """The number of the session at its server; numbered audio carries it."""
    new_id: Callable[[str], str]
    random: random.Random
    expires_at: int
    """Unix seconds, for the session object only."""
    asks_for_beta: bool = False
    """The client sent the retired beta header."""


@attrs.frozen(kw_only=True)
class ResponseManagerContext:
    """What responses need from their session."""

    script: Script
    behaviour: Behaviour
    identity: SessionIdentity
    emit: Emit
    scheduler: Scheduler
    conversation: Conversation
    on_started: Callable[[], None]
    """Called when a response of the default conversation is created."""
    on_ended: Callable[[float, float], None]
    """Called when it is over, with the time and the seconds of audio that it sent."""


class ResponseManager:
    """One session's responses."""

    def __init__(self, context: ResponseManagerContext) -> None:
        self._context = context
        self._meter = UsageMeter()
        self._running: dict[str, tuple[Response, ActionId]] = {}
        self._now = 0.0
        self.active: Response | None = None
        """The response in progress in the default conversation."""
        self.responses: list[Response] = []
        """All of them, in the order of creation."""

    def start(self, request: JsonObject, effective: JsonObject, now: float) -> None:
        """Create a response.

        Args:
            request: A checked `response` object, empty for one that the client did not request.
            effective: The session's configuration.
            now: The time in seconds.

        Raises:
            Refused: It is for the default conversation, where one is already in progress.
        """
        out_of_band = request.get("conversation") == "none"
        if not out_of_band and self.active is not None:
            raise Refused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.active.response_id}. "
                "Wait until the response is finished before creating a new one.",
            )
        conversation = None if out_of_band else self._context.conversation
        response = Response(self._spec(request, effective), self._response_context(request, effective, conversation))
        self.responses.append(response)
        if not out_of_band:
            self.active = response
            self._context.on_started()
        self._go_on(response, response.deliver(), now)

    def cancel(self, response_id: str | None, now: float) -> None:
        """Cancel for the client; None: the active one. Raises Refused when it is not in progress."""
        running = self._running.get(response_id or (self.active.response_id if self.active else ""))
        if running is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        self._cancel(*running, "client_cancelled", now)

    def interrupt(self, now: float) -> None:
        """Cancel the active response, if any, because the user speaks."""
        if self.active is not None:
            self._cancel(*self._running[self.active.response_id], "turn_detected", now)

    def _spec(self, request: JsonObject, effective: JsonObject) -> ResponseSpec:
        number = len(self.responses) + 1
        reply = self._reply(number, request.get("tool_choice", effective["tool_choice"]))
        output = {**effective["audio"]["output"], **request.get("audio", {}).get("output", {})}
        fault = self._context.behaviour.responses.get(number)
        asked_for = request.get("output_modalities", effective["output_modalities"])
        modalities = ["text"] if fault is ResponseFault.WRITTEN else asked_for
        audio_format = configuration.audio_format(output["format"]) if modalities == ["audio"] else None
        identity = self._context.identity
        return ResponseSpec(
            response_id=identity.new_id("resp"),
            reply=reply,
            audio=b""
            if reply is None or audio_format is None
            else speech(reply, audio_format, identity.call_number, number),
            audio_format=audio_format,
            described={
                "output_modalities": modalities,
                "max_output_tokens": request.get("max_output_tokens", effective["max_output_tokens"]),
                "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
                "metadata": request.get("metadata") if self._context.behaviour.gives_metadata_back else None,
            },
            fault=fault,
        )

    def _reply(self, number: int, tool_choice: Any) -> Reply | None:
        replies = self._context.script.replies
        if isinstance(replies, Echo):
            return None
        reply = replies[min(number, len(replies)) - 1]
        return attrs.evolve(reply, tool_calls=()) if tool_choice == "none" else reply

    def _response_context(
        self, request: JsonObject, effective: JsonObject, conversation: Conversation | None
    ) -> ResponseContext:
        context = self._context
        instructions: str = {**effective, **request}["instructions"]

        def measure(output: list[Item]) -> JsonObject:
            history = [] if "input" in request else context.conversation.items
            return self._meter.measure(instructions, [item for item in history if item not in output], output)

        return ResponseContext(
            emit=context.emit,
            new_id=context.identity.new_id,
            random=context.identity.random,
            pace=context.behaviour.pace,
            conversation=conversation,
            measure=measure,
            on_done=self._over,
        )

    def _go_on(self, response: Response, steps: Iterator[float], due: float) -> None:
        self._now = due
        wait_s = next(steps, None)
        if wait_s is not None:
            action_id = self._context.scheduler.at(due + wait_s, lambda at: self._go_on(response, steps, at))
            self._running[response.response_id] = (response, action_id)

    def _cancel(self, response: Response, action_id: ActionId, reason: str, now: float) -> None:
        self._now = now
        self._context.scheduler.cancel(action_id)
        response.cancel(reason)
        self._go_on_late(response.late_deltas(self._context.behaviour.late_deltas), now)

    def _go_on_late(self, steps: Iterator[float], due: float) -> None:
        wait_s = next(steps, None)
        if wait_s is not None:
            self._context.scheduler.at(due + wait_s, lambda at: self._go_on_late(steps, at))

    def _over(self, response: Response) -> None:
        self._running.pop(response.response_id, None)
        if response is self.active:
            self.active = None
            self._context.on_ended(self._now, response.playback_s)
        self._context.emit("rate_limits.updated", rate_limits=self._meter.rate_limits())
