"""The provider of the conversation load: OpenAI Realtime sessions that follow a turn cycle, not the audio.

    /v1/realtime    the real events, in their real order
    /plain          the carrier's own messages, for the relay (relay_session.py)

When the user's turns end and are answered is decided by turn_cycle.py; the user's
audio is compared, not analysed.

Rule 1: a session does what a healthy server does with each request: updates are
acknowledged with the whole configuration, cancels and truncations take effect, an
answer begins by itself unless `create_response` is off, and ends when the user speaks
unless `interrupt_response` is off.
Rule 2: what all answers have in common is encoded once; a delta costs one base64.
Rule 3: it speaks the format that the target declares; a target that asks for another
one is not measured.

The provider twin (voicecore.simulation.openai_realtime) is the faithful one, at ten times the cost.
Facts: OpenAI Realtime, sections 2 to 10.
"""

from __future__ import annotations

import binascii
import random
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

import orjson

from voicecore.bench.load import turn_cycle
from voicecore.bench.load.call_log import CallLog, ProviderAudio
from voicecore.bench.load.frames import FRAME_BYTES
from voicecore.bench.load.provider_response import (
    EXPIRES_AT,
    RATE_LIMITS,
    TRANSCRIPT,
    USAGE,
    ProviderResponse,
    merged_session,
    message_item,
    new_id,
)
from voicecore.bench.load.raw_websocket import server_frame
from voicecore.bench.load.selector_loop import Connection, Loop
from voicecore.bench.load.turn_cycle import Turn, TurnCycle
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.simulation.openai_realtime.configuration import default_session


class ProviderSession:
    """One session, and the turns of its call."""

    def __init__(self, loop: Loop, connection: Connection, log: CallLog, cycle: TurnCycle) -> None:
        self.is_ready = False
        """Whether it is configured."""
        self.faults: list[str] = []
        """What the client should not have sent; bounded by what it sends."""
        self._loop = loop
        self._connection = connection
        self._log = log
        self._random = random.Random(log.call)
        self._cycle = cycle
        self._session = default_session(session_id=new_id("sess"), model="bench", expires_at=EXPIRES_AT)
        self._turns: Iterator[Turn] | None = None
        self._unanswered: Turn | None = None
        self._partial_frame = b""  # less than a frame of the user's audio
        self._response: ProviderResponse | None = None
        self._spoken: ProviderResponse | None = None
        self._item_id = ""
        self._heard_bytes = 0
        connection.on_text = self._take
        self._handlers = self._make_handlers()
        self._open()

    @property
    def is_answering(self) -> bool:
        """Whether a response is in progress."""
        return self._response is not None

    def begin(self) -> None:
        """Let the user speak; the rest follows.

        Raises:
            BenchmarkFailed: The session is not in the format that the target declares.
        """
        self._check_formats()
        wait_s, self._turns = self._cycle.begin(self._log.call)
        self._loop.at(perf_counter() + wait_s, self._speech_starts)

    def end(self) -> None:
        """Begin no more turns, and send no more audio."""
        self._turns = None
        self._response = None

    # --- the client ---------------------------------------------------------------

    def _open(self) -> None:
        self._emit("session.created", session=self._session)

    def _take(self, payload: bytes, now: float) -> None:
        self._log.counts.to_provider += 1
        message = orjson.loads(payload)
        if message["type"] == "input_audio_buffer.append":
            self._heard(binascii.a2b_base64(message["audio"]), now)
        elif (handler := self._handlers.get(message["type"])) is not None:
            handler(message)
        else:
            self.faults.append(f"an event of type {message['type']}")

    def _heard(self, audio: bytes, now: float) -> None:
        self._heard_bytes += len(audio)
        if self._log.audio is ProviderAudio.PCMU:
            audio = self._whole_frames(audio)
        self._log.user.take(audio, self._log.user.to_provider, now)

    def _whole_frames(self, audio: bytes) -> bytes:
        """Return the frames that are complete with this; keep the rest."""
        if self._partial_frame:
            audio, self._partial_frame = self._partial_frame + audio, b""
        if size := len(audio) % FRAME_BYTES:
            self._partial_frame, audio = audio[-size:], audio[:-size]
        return audio

    def _heard_ms(self) -> int:
        return self._heard_bytes * 1000 // self._log.audio.bytes_per_s

    def _check_formats(self) -> None:
        audio = self._session["audio"]
        for way in ("input", "output"):
            if (kind := audio[way]["format"]["type"]) != self._log.audio.value:
                raise BenchmarkFailed(f"a session's {way} is {kind}, not {self._log.audio.value}")

    def _make_handlers(self) -> Mapping[str, Callable[[dict[str, Any]], None]]:
        return {
            "session.update": self._update,
            "response.create": self._create,
            "response.cancel": self._cancel,
            "conversation.item.create": self._add_item,
            "conversation.item.truncate": lambda m: self._acknowledge(m, "item_id", "content_index", "audio_end_ms"),
            "conversation.item.delete": lambda m: self._acknowledge(m, "item_id"),
            "conversation.item.retrieve": self._show_item,
            "input_audio_buffer.clear": lambda _: self._emit("input_audio_buffer.cleared"),
        }

    def _update(self, message: dict[str, Any]) -> None:
        self._session = merged_session(self._session, message["session"])
        self._emit("session.updated", session=self._session)
        self.is_ready = True

    def _create(self, _message: dict[str, Any]) -> None:
        if self._response is not None:
            self._refuse("conversation_already_has_active_response")
            return
        self._answer(perf_counter())

    def _cancel(self, _message: dict[str, Any]) -> None:
        if self._response is None:
            self._refuse("response_cancel_not_active")
            return
        self._finish(self._response, "cancelled", "client_cancelled")

    def _refuse(self, code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": code, "param": None, "event_id": None}
        self._emit("error", error=error)

    def _add_item(self, message: dict[str, Any]) -> None:
        item = {"id": new_id("item"), "object": "realtime.item", "status": "completed", **message["item"]}
        self._emit("conversation.item.added", item=item, previous_item_id=None)
        self._emit("conversation.item.done", item=item, previous_item_id=None)

    def _show_item(self, message: dict[str, Any]) -> None:
        """Show an item as if it were the user's last turn: nobody looks at its audio."""
        content = [{"type": "input_audio", "transcript": TRANSCRIPT, "audio": ""}]
        item = message_item(message["item_id"], "user", "completed", content)
        self._emit("conversation.item.retrieved", item=item)

    def _acknowledge(self, message: dict[str, Any], *keys: str) -> None:
        verb = "truncated" if message["type"].endswith("truncate") else "deleted"
        self._emit(f"conversation.item.{verb}", **{key: message[key] for key in keys})

    # --- the user ---------------------------------------------------------------

    def _speech_starts(self, now: float) -> None:
        if self._turns is None:
            return
        self._item_id = new_id("item")
        if self._spoken is not None and self._spoken.turn.cut_s is not None:
            self._log.answers.cut(perf_counter())
        turn = self._unanswered = next(self._turns)
        self._say_speech_started()
        self._spoken = None
        if self._response is not None and self._detection("interrupt_response"):
            self._response.left = turn_cycle.LATE_DELTAS
        self._loop.at(now + turn.user_s + self._cycle.silence_s, self._speech_stops)

    def _say_speech_started(self) -> None:
        self._emit("input_audio_buffer.speech_started", audio_start_ms=self._heard_ms(), item_id=self._item_id)

    def _speech_stops(self, now: float) -> None:
        if self._turns is None:
            return
        item_id = self._item_id
        self._emit("input_audio_buffer.speech_stopped", audio_end_ms=self._heard_ms(), item_id=item_id)
        self._emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        item = message_item(item_id, "user", "completed", content)
        self._emit("conversation.item.added", item=item, previous_item_id=None)
        self._emit("conversation.item.done", item=item, previous_item_id=None)
        if self._session["audio"]["input"]["transcription"] is not None:
            self._loop.at(now + self._cycle.transcribed_s, lambda _: self._transcribed(item_id))
        if self._detection("create_response"):
            self._loop.at(now + self._cycle.thinking_s, self._answer_turn)

    def _transcribed(self, item_id: str) -> None:
        usage = {"type": "duration", "seconds": 3}
        fields = {
            "item_id": item_id,
            "content_index": 0,
            "transcript": TRANSCRIPT,
            "usage": usage,
        }
        self._emit("conversation.item.input_audio_transcription.completed", **fields)

    def _detection(self, switch: str) -> bool:
        """Return a switch of the turn detection as the client set it."""
        detection = self._session["audio"]["input"]["turn_detection"]
        return bool(detection and detection.get(switch, True))

    # --- the agent ---------------------------------------------------------------

    def _answer_turn(self, now: float) -> None:
        if self._turns is not None and self._response is None:  # otherwise the client's own request came first
            self._answer(now)

    def _answer(self, now: float) -> None:
        turn, self._unanswered = self._unanswered or turn_cycle.GREETING, None
        response = self._response = self._spoken = ProviderResponse(self._log.answers.begin(turn.answer_s), turn)
        self._announce(response)
        self._loop.at(now + self._cycle.first_delta_s, lambda at: self._begin_audio(response, at))

    def _begin_audio(self, response: ProviderResponse, now: float) -> None:
        if response is not self._response:
            return
        turn = response.turn
        response.answer.began_at = perf_counter()
        response.answer.over_at = now + turn.answer_s + self._cycle.pause_s
        if self._turns is not None and turn is not turn_cycle.GREETING:
            self._loop.at(now + self._cycle.after_answer_s(turn), self._speech_starts)
        response.began_at = now
        self._go_on(response, now)

    def _go_on(self, response: ProviderResponse, now: float) -> None:
        """Send the next delta, or the end."""
        answer = response.answer
        if response is not self._response:
            return
        if response.left == 0:
            self._finish(response, "cancelled", "turn_detected")
            return
        begin = answer.written_bytes
        if begin == len(answer.audio):
            self._finish(response, "completed", None)
            return
        seconds = self._random.uniform(turn_cycle.SHORTEST_DELTA_S, turn_cycle.LONGEST_DELTA_S)
        per_s = self._log.audio.bytes_per_s
        end = min(len(answer.audio), begin + int(seconds * per_s) // 2 * 2)  # PCM16 comes in whole samples
        answer.written_bytes = end
        self._say_words(response, next(response.words))
        self._say_audio(response, answer.audio[begin:end])
        if response.left is not None:
            response.left -= 1
            self._loop.at(now + turn_cycle.LATE_S, lambda at: self._go_on(response, at))
        else:
            due = response.began_at + end / per_s / turn_cycle.SPEED
            self._loop.at(due, lambda at: self._go_on(response, at))

    def _announce(self, response: ProviderResponse) -> None:
        self._emit("response.created", response=self._described(response, "in_progress", None))
        item = message_item(response.item_id, "assistant", "in_progress", [])
        self._emit("response.output_item.added", response_id=response.response_id, output_index=0, item=item)
        self._emit("conversation.item.added", item=item, previous_item_id=None)
        self._emit("response.content_part.added", **response.place, part={"type": "audio", "transcript": ""})

    def _say_words(self, response: ProviderResponse, words: str) -> None:
        response.said += words
        self._write(
            f'{{"type":"response.output_audio_transcript.delta","event_id":"{new_id("event")}",'
            f'{response.head},"delta":"{words}"}}'
        )

    def _say_audio(self, response: ProviderResponse, audio: bytes) -> None:
        encoded = binascii.b2a_base64(audio, newline=False).decode()
        self._write(
            f'{{"type":"response.output_audio.delta","event_id":"{new_id("event")}",'
            f'{response.head},"delta":"{encoded}"}}'
        )

    def _finish(self, response: ProviderResponse, status: str, reason: str | None) -> None:
        self._response = None
        place, words = response.place, response.said
        self._emit("response.output_audio.done", **place)
        self._emit("response.output_audio_transcript.done", **place, transcript=words)
        self._emit("response.content_part.done", **place, part={"type": "audio", "transcript": words})
        content = [{"type": "output_audio", "transcript": words}]
        item = message_item(response.item_id, "assistant", "completed" if reason is None else "incomplete", content)
        self._emit("response.output_item.done", response_id=response.response_id, output_index=0, item=item)
        self._emit("conversation.item.done", item=item, previous_item_id=None)
        self._emit("response.done", response=self._described(response, status, reason, item))
        self._emit("rate_limits.updated", rate_limits=RATE_LIMITS)

    def _described(
        self, response: ProviderResponse, status: str, reason: str | None, *items: object
    ) -> dict[str, object]:
        return {
            "object": "realtime.response",
            "id": response.response_id,
            "status": status,
            "status_details": {"type": status, "reason": reason} if reason else None,
            "output": items,
            "conversation_id": "conv_bench",
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": self._session["audio"]["output"]},
            "usage": USAGE if items else None,
            "metadata": None,
        }

    # --- the wire ---------------------------------------------------------------

    def _emit(self, kind: str, **fields: object) -> None:
        self._write(orjson.dumps({"type": kind, "event_id": new_id("event"), **fields}).decode())

    def _write(self, text: str) -> None:
        self._log.counts.from_provider += 1
        self._connection.send(server_frame(text.encode()))
