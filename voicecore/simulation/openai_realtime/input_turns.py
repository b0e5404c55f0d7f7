"""The user's turns: from appended audio to items of the conversation, and their transcripts.

Rule 1: the id announced with `speech_started` is the id of the item that is committed.
Rule 2: a turn is committed whatever `create_response` says; only the response depends on it.
Rule 3: the transcript of a turn is sent separately, and may come after the next turn.
Rule 4: switching detection off discards an open turn, unless it is an early one, which
began before any audio: that one ends when it is due or by a clear.

Facts: OpenAI Realtime, sections turn detection, normal event orders, first-message lockout.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voicecore.simulation.openai_realtime.behaviour import ScriptedVad, Transcribing
from voicecore.simulation.openai_realtime.configuration import audio_format
from voicecore.simulation.openai_realtime.idle import IdleTimer, IdleTimerContext
from voicecore.simulation.openai_realtime.items import Conversation, Item
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.openai_realtime.outputs import Emit
from voicecore.simulation.openai_realtime.scheduler import Action, Scheduler
from voicecore.simulation.openai_realtime.vad import (
    InputAudioBuffer,
    SpeechStarted,
    SpeechStopped,
    VadEvent,
    VadSettings,
)

_TRANSCRIPT_PIECE_S = 0.02  #: between the deltas of one transcript
_USER_TOKEN_MS = 100


@attrs.frozen(kw_only=True)
class InputTurnsContext:
    """What the user's turns need from their session."""

    emit: Emit
    new_id: Callable[[str], str]
    scheduler: Scheduler
    conversation: Conversation
    hears: tuple[str, ...]
    transcribing: Transcribing
    vad: object
    """A `MeasuredVad` or a `ScriptedVad`; only the former looks at the audio."""
    stale_idle_s: float | None
    """How late a stale idle timeout fires once detection is on again; None: never."""
    answer: Callable[[float], None]
    """Begin a response to a turn."""
    interrupt: Callable[[float], None]
    """Cancel the active response, if any, because the user speaks."""


class InputTurns:
    """The user's turns of one session."""

    def __init__(self, context: InputTurnsContext, input_settings: JsonObject) -> None:
        self._context = context
        self._input = input_settings
        self._buffer = InputAudioBuffer(audio_format(input_settings["format"]))
        self._announced_id = ""
        self._turns = 0
        self._withheld: Action | None = None
        self._early_id: str | None = None  # of the early turn, while it is open
        self._idle = IdleTimer(
            IdleTimerContext(
                scheduler=context.scheduler,
                appended_ms=lambda: self._buffer.appended_ms,
                buffer_start_ms=lambda: self._buffer.buffer_start_ms,
                fire=self._idle_fires,
                stale_s=context.stale_idle_s,
            )
        )

    def configure(self, input_settings: JsonObject, now: float) -> None:
        """Apply the `audio.input` of a new configuration."""
        was, self._input = self._input, input_settings
        if was["format"] != input_settings["format"]:
            self._buffer.change_format(audio_format(input_settings["format"]))
        if input_settings["turn_detection"] is None:
            self._buffer.discard_open_turn()
        elif was["turn_detection"] is None:
            self._idle.detection_comes_on(now)

    def append(self, audio: bytes, now: float) -> None:
        """Append user audio in the input format."""
        described = self._input["turn_detection"]
        detection_off = isinstance(self._context.vad, ScriptedVad) or self._early_id is not None
        is_detecting = described is not None and not detection_off
        for event in self._buffer.append(audio, VadSettings.of(described) if is_detecting else None):
            self._react(event, now)
        if not self._in_speech:
            self._idle.watch(described, now)

    def commit(self, now: float) -> None:
        """Make a turn of what is in the buffer; raises Refused when there is too little."""
        self._commit(self._buffer.commit(), self._context.new_id("item"), now)

    def clear(self) -> None:
        """Discard what is not committed, an open turn too, and restart the idle timer."""
        self._buffer.clear()
        self._early_id = None
        self._idle.clear()

    def speech_starts(self, now: float) -> None:
        """Detect speech now, whatever the audio is; does nothing while detection is off or a turn is open."""
        described = self._input["turn_detection"]
        if described is not None and not self._in_speech:
            self._react(self._buffer.start_speech(VadSettings.of(described).prefix_ms), now)

    def speech_stops(self, now: float) -> None:
        """Detect the end of speech now; does nothing when no turn is open."""
        if self._buffer.in_speech:
            self._react(self._buffer.stop_speech(), now)

    def early_speech_starts(self, now: float) -> None:
        """Begin an early turn; does nothing while detection is off or a turn is open."""
        if self._input["turn_detection"] is not None and not self._in_speech:
            self._early_id = self._turn_begins(self._buffer.appended_ms, now)

    def early_speech_stops(self, now: float) -> None:
        """End the early turn; does nothing when it was cleared."""
        if self._early_id is not None:
            item_id, self._early_id = self._early_id, None
            end_ms = self._buffer.appended_ms
            self._turn_ends(item_id, end_ms, self._buffer.take_since(self._buffer.buffer_start_ms), now)

    def agent_begins(self) -> None:
        """A response was created: stop the idle timer."""
        self._idle.stop()

    def agent_ended(self, now: float, playback_s: float) -> None:
        """A response is done: the idle timer starts when it has been played."""
        self._idle.start_at(now + playback_s)

    @property
    def _in_speech(self) -> bool:
        return self._buffer.in_speech or self._early_id is not None

    def _idle_fires(self, since_ms: int, now: float) -> None:
        if self._input["turn_detection"] is None:
            return
        item_id, end_ms = self._context.new_id("item"), self._buffer.appended_ms
        self._context.emit(
            "input_audio_buffer.timeout_triggered", audio_start_ms=since_ms, audio_end_ms=end_ms, item_id=item_id
        )
        self._commit(self._buffer.take_since(since_ms), item_id, now)
        self._context.answer(now)

    def _react(self, event: VadEvent, now: float) -> None:
        match event:
            case SpeechStarted(start_ms):
                self._announced_id = self._turn_begins(start_ms, now)
            case SpeechStopped(end_ms, audio):
                self._turn_ends(self._announced_id, end_ms, audio, now)

    def _turn_begins(self, start_ms: int, now: float) -> str:
        self._idle.stop()  # the user is not idle
        item_id = self._context.new_id("item")
        self._context.emit("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=item_id)
        if self._input["turn_detection"]["interrupt_response"]:
            self._context.interrupt(now)
        return item_id

    def _turn_ends(self, item_id: str, end_ms: int, audio: bytes, now: float) -> None:
        self._context.emit("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item_id)
        self._commit(audio, item_id, now)
        turn_detection = self._input["turn_detection"]
        if turn_detection is not None and turn_detection["create_response"]:  # it may be off after an early turn
            self._context.answer(now)

    def _commit(self, audio: bytes, item_id: str, now: float) -> None:
        body: JsonObject = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        item = Item(body, audio_format(self._input["format"]), bytearray(audio))
        emit = self._context.emit
        previous = self._context.conversation.add(item)
        emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        emit("conversation.item.added", item=item.shown(), previous_item_id=previous)
        emit("conversation.item.done", item=item.shown(), previous_item_id=previous)
        self._plan_transcription(item, now)

    def _plan_transcription(self, item: Item, now: float) -> None:
        self._turns += 1
        number, settings = self._turns, self._context.transcribing
        if self._withheld is not None:
            self._context.scheduler.at(now + settings.delay_s, self._withheld)
            self._withheld = None
        if self._input["transcription"] is None:
            return

        def transcribe(due: float) -> None:
            self._transcribe(item, number, due)

        if settings.after_next_turn:
            self._withheld = transcribe
        else:
            self._context.scheduler.at(now + settings.delay_s, transcribe)

    def _transcribe(self, item: Item, number: int, due: float) -> None:
        event = "conversation.item.input_audio_transcription"
        if number in self._context.transcribing.failed:
            error = {
                "type": "transcription_error",
                "code": "audio_unintelligible",
                "message": "The audio could not be transcribed.",
                "param": None,
            }
            self._context.emit(f"{event}.failed", item_id=item.item_id, content_index=0, error=error)
            return
        text = self._context.hears[number - 1] if number <= len(self._context.hears) else ""
        for n, word in enumerate(text.split()):
            self._context.scheduler.at(
                due + n * _TRANSCRIPT_PIECE_S, self._say_word(item, word if n == 0 else f" {word}")
            )

        def complete(_due: float) -> None:
            item.body["content"][0]["transcript"] = text
            usage = _transcription_usage(item, text)
            self._context.emit(
                f"{event}.completed", item_id=item.item_id, content_index=0, transcript=text, usage=usage
            )

        self._context.scheduler.at(due + len(text.split()) * _TRANSCRIPT_PIECE_S, complete)

    def _say_word(self, item: Item, word: str) -> Action:
        event = "conversation.item.input_audio_transcription.delta"
        return lambda _due: self._context.emit(event, item_id=item.item_id, content_index=0, delta=word)


def _transcription_usage(item: Item, text: str) -> JsonObject:
    audio_tokens = round(item.audio_format.seconds_in(len(item.audio)) * 1000 / _USER_TOKEN_MS)
    text_tokens = len(text.split())
    return {
        "type": "tokens",
        "total_tokens": audio_tokens + text_tokens,
        "input_tokens": audio_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens},
        "output_tokens": text_tokens,
    }
