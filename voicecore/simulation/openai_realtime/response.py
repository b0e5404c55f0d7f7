"""One response, from its creation to `response.done`: what is said, in which pieces, at what times.

Rule 1: audio is sent in uneven pieces, in bursts, faster than real time; the text runs ahead of it.
Rule 2: however it ends, open parts are closed with their `.done` events and
`response.done` is the last event, unless a fault says otherwise.

Orders: OpenAI Realtime, sections normal event orders, response bookkeeping.
Pure.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.simulation.openai_realtime.behaviour import Pace, ResponseFault
from voicecore.simulation.openai_realtime.items import Conversation, Item
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.openai_realtime.outputs import (
    Emit,
    FunctionCallOutput,
    ItemStatus,
    MessageOutput,
    Output,
    OutputSlot,
)
from voicecore.simulation.openai_realtime.script import Reply, ToolCall

_LATE_DELTA_S = 0.02  #: between the deltas that still follow a cancel
_ARGUMENT_PIECE_CHARS = 12


@attrs.frozen
class TextPiece:
    """A piece of transcript or text, ``at_s`` after the first delta."""

    at_s: float
    text: str


@attrs.frozen
class AudioPiece:
    """A piece of speech, ``at_s`` after the first delta."""

    at_s: float
    audio: bytes


Piece = TextPiece | AudioPiece


def cut_into_pieces(text: str, audio: bytes, audio_format: AudioFormat, pace: Pace, rng: random.Random) -> list[Piece]:
    """Return text and audio in the order in which they are sent.

    Pieces of audio are of random size, so that frames are split, and samples too
    where the pace says so; each is sent with the burst that its first byte is in.
    All text has been sent when half of the audio has.
    """
    unit = 1 if pace.splits_samples else audio_format.sample_bytes
    largest = max(1, audio_format.bytes_in(pace.largest_delta_s) // unit)
    audio_pieces: list[Piece] = []
    begin = 0
    while begin < len(audio):
        size = rng.randint(1, largest) * unit
        burst = math.floor(audio_format.seconds_in(begin) / pace.burst_s)
        audio_pieces.append(AudioPiece(burst * pace.burst_s / pace.speed, audio[begin : begin + size]))
        begin += size
    words = [f"{word} " for word in text.split()]
    if words:
        words[-1] = words[-1].rstrip()
    half_s = audio_format.seconds_in(len(audio)) / pace.speed / 2
    text_pieces: list[Piece] = [TextPiece(half_s * n / len(words), word) for n, word in enumerate(words)]
    return sorted([*text_pieces, *audio_pieces], key=lambda piece: piece.at_s)


@attrs.frozen(kw_only=True)
class ResponseSpec:
    """What a response will contain: fixed when it is created, later updates do not change it."""

    response_id: str
    reply: Reply | None
    """None: user audio that is sent back, see `Echo`."""
    audio: bytes
    audio_format: AudioFormat | None
    """None: written text."""
    described: JsonObject
    """The fields that `response.created` and `response.done` have in addition to status and output."""
    fault: ResponseFault | None


@attrs.frozen(kw_only=True)
class ResponseContext:
    """What a response needs from its session."""

    emit: Emit
    new_id: Callable[[str], str]
    random: random.Random
    pace: Pace
    conversation: Conversation | None
    """None: out of band."""
    measure: Callable[[list[Item]], JsonObject]
    """Return the usage of a response with this output."""
    on_done: Callable[[Response], None]
    """Called once, after `response.done` or when the response is lost."""


_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_NO_QUOTA: tuple[str, JsonObject] = (
    "failed",
    {
        "type": "failed",
        "error": {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "You exceeded your current quota, please check your plan and billing details.",
        },
    },
)

_ENDS: Mapping[ResponseFault, tuple[str, JsonObject | None]] = {
    ResponseFault.FAILED: (
        "failed",
        {"type": "failed", "error": {"type": "rate_limit_error", "code": "rate_limit_exceeded"}},
    ),
    ResponseFault.INCOMPLETE: ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}),
    ResponseFault.FILTERED: ("incomplete", {"type": "incomplete", "reason": "content_filter"}),
    ResponseFault.EMPTY: ("completed", None),
    ResponseFault.NO_QUOTA: _NO_QUOTA,
    ResponseFault.QUOTA_RAN_OUT: _NO_QUOTA,
    ResponseFault.SERVER_ERROR: (
        "failed",
        {"type": "failed", "error": {"type": "server_error", "code": None, "message": _SERVER_ERROR}},
    ),
}
_COMPLETE = {ResponseFault.UNANNOUNCED, ResponseFault.WRITTEN}
_WORDLESS = {ResponseFault.EMPTY, ResponseFault.NO_QUOTA, ResponseFault.SERVER_ERROR}


class Response:
    """One response in progress."""

    def __init__(self, spec: ResponseSpec, context: ResponseContext) -> None:
        self._spec = spec
        self._context = context
        self._outputs: list[Output] = []
        self._open: Output | None = None
        self._unsent: deque[Piece] = deque()  # bounded by the reply
        self.done: JsonObject | None = None
        """The body of its `response.done`; None while it is in progress, and if it was lost."""

    @property
    def response_id(self) -> str:
        """Its id."""
        return self._spec.response_id

    @property
    def metadata(self) -> JsonObject | None:
        """What the client attached to it."""
        metadata: JsonObject | None = self._spec.described["metadata"]
        return metadata

    @property
    def out_of_band(self) -> bool:
        """Whether it is outside the default conversation."""
        return self._context.conversation is None

    @property
    def playback_s(self) -> float:
        """Duration of the audio sent so far."""
        items = (output.item for output in self._outputs)
        return sum(item.audio_format.seconds_in(len(item.generated)) for item in items)

    @property
    def audio(self) -> bytes:
        """All audio sent so far, in the order of its deltas."""
        return b"".join(bytes(output.item.generated) for output in self._outputs)

    def deliver(self) -> Iterator[float]:
        """Send the whole response; yields the seconds to wait before each step.

        It may be abandoned at any step: `cancel` closes what is open.
        """
        spec, pace = self._spec, self._context.pace
        yield pace.created_s
        if spec.fault is not ResponseFault.UNANNOUNCED:
            self._context.emit("response.created", response=self._described("in_progress", None))
        if spec.reply is None:
            self._open_message()
            return
        yield pace.first_delta_s + spec.reply.after_s
        if spec.fault is ResponseFault.SILENT:
            return
        if spec.fault not in _WORDLESS and (spec.reply.text or spec.reply.speech is not None):
            yield from self._say(spec.reply.text)
        if spec.fault is None or spec.fault in _COMPLETE:
            yield from self._call_all(spec.reply.tool_calls)
            self._finish("completed", None)
        else:
            self._fail(spec.fault)

    def echo(self, audio: bytes, encoded: str) -> None:
        """Send appended audio back; only after `deliver` has run for an echo."""
        if isinstance(self._open, MessageOutput):
            self._open.add_encoded_audio(audio, encoded)

    def cancel(self, reason: str) -> None:
        """Close the response now: `turn_detected` or `client_cancelled`."""
        self._finish("cancelled", {"type": "cancelled", "reason": reason})

    def late_deltas(self, how_many: int) -> Iterator[float]:
        """Send audio of a cancelled response all the same; yields the seconds to wait before each step."""
        messages = [each for each in self._outputs if isinstance(each, MessageOutput)]
        late = [piece for piece in self._unsent if isinstance(piece, AudioPiece)][:how_many]
        for piece in late if messages else ():
            yield _LATE_DELTA_S
            messages[-1].add_audio(piece.audio)

    def _say(self, text: str) -> Iterator[float]:
        spec = self._spec
        audio_format = spec.audio_format
        pieces = (
            cut_into_pieces(text, spec.audio, audio_format, self._context.pace, self._context.random)
            if audio_format is not None
            else [TextPiece(0.0, f"{word} ") for word in text.split()]
        )
        whole = spec.fault is None or spec.fault in _COMPLETE
        self._unsent = deque(pieces if whole else pieces[: len(pieces) // 2])
        message = self._open_message()
        sent_s = 0.0
        while self._unsent:
            yield self._unsent[0].at_s - sent_s
            piece = self._unsent.popleft()
            sent_s = piece.at_s
            if isinstance(piece, TextPiece):
                message.add_words(piece.text)
            else:
                message.add_audio(piece.audio)
        if whole:
            self._close("completed")

    def _call_all(self, calls: tuple[ToolCall, ...]) -> Iterator[float]:
        for call in calls:
            new_id = self._context.new_id
            output = FunctionCallOutput(self._slot(), new_id("item"), new_id("call"), call)
            self._outputs.append(output)
            self._open = output
            for begin in range(0, len(call.arguments), _ARGUMENT_PIECE_CHARS):
                output.add_arguments(call.arguments[begin : begin + _ARGUMENT_PIECE_CHARS])
            yield 0.0
            self._close("completed")

    def _open_message(self) -> MessageOutput:
        message = MessageOutput(self._slot(), self._context.new_id("item"), self._spec.audio_format)
        self._outputs.append(message)
        self._open = message
        return message

    def _slot(self) -> OutputSlot:
        return OutputSlot(
            emit=self._context.emit,
            response_id=self.response_id,
            output_index=len(self._outputs),
            conversation=self._context.conversation,
        )

    def _close(self, status: ItemStatus) -> None:
        if self._open is not None:
            self._open.close(status)
            self._open = None

    def _fail(self, fault: ResponseFault) -> None:
        if fault is ResponseFault.LOST:
            error = {"type": "server_error", "code": None, "message": _SERVER_ERROR, "param": None, "event_id": None}
            self._context.emit("error", error=error)
            self._context.on_done(self)
            return
        self._finish(*_ENDS[fault])

    def _finish(self, status: str, details: JsonObject | None) -> None:
        self._close("incomplete")
        usage = self._context.measure([output.item for output in self._outputs])
        self.done = {**self._described(status, details), "usage": usage}
        self._context.emit("response.done", response=self.done)
        self._context.on_done(self)

    def _described(self, status: str, details: JsonObject | None) -> JsonObject:
        conversation = self._context.conversation
        return {
            "object": "realtime.response",
            "id": self.response_id,
            "status": status,
            "status_details": details,
            "output": [output.item.shown() for output in self._outputs],
            "conversation_id": None if conversation is None else conversation.conversation_id,
            "usage": None,
            **self._spec.described,
        }
