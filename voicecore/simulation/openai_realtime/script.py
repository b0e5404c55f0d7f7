"""What the agent of a provider twin says, and what it understands of the user.

Rule 1: replies are used in order, one per response, also by responses that are
cancelled or out of band; the last one is repeated.
Rule 2: all recorded speech is PCM16 at 8 kHz; it is converted to the session's
output format when it is sent.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Recorded:
    """A recording of `voicecore.simulation.recordings`, by name."""

    name: str


@attrs.frozen
class Samples:
    """Speech as PCM16 at 8 kHz."""

    pcm16_8k: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class Tone:
    """A sine tone."""

    seconds: float
    hz: float = 440.0


@attrs.frozen
class Silence:
    """Digital silence."""

    seconds: float


@attrs.frozen
class NumberedFrames:
    """Frames that say where they come from, see `voicecore.simulation.numbered_audio`.

    Exact in µ-law sessions; other formats go through a conversion.
    """

    seconds: float


FixedSpeech = Recorded | Samples | Tone | Silence  #: the same audio each time
Speech = FixedSpeech | NumberedFrames


@attrs.frozen
class ToolCall:
    """A function call of the model; ``arguments`` is JSON text, valid or not."""

    name: str
    arguments: str = "{}"


@attrs.frozen(kw_only=True)
class Reply:
    """One response: speech, tool calls, or both in this order."""

    text: str = attrs.field(default="", kw_only=False)
    speech: Speech | None = None
    """How the text sounds; None: a tone as long as the text would take to say."""
    tool_calls: tuple[ToolCall, ...] = ()
    after_s: float = 0.0
    """Additional time before the first delta."""


@attrs.frozen
class Echo:
    """Send every piece of appended audio straight back, unchanged, as audio of one endless response.

    For benchmarks: the audio that comes back is what was sent, and its delay is the engine's.
    No turn detection runs; both formats must be the same.
    """


@attrs.frozen(kw_only=True)
class Script:
    """What is said in one session."""

    replies: tuple[Reply, ...] | Echo = attrs.field(default=(Reply("Hello, how can I help you?"),))
    hears: tuple[str, ...] = ()
    """The transcripts of the user's turns in order; those of further turns are empty."""

    def __attrs_post_init__(self) -> None:
        if self.replies == ():
            raise ValueError("a script needs at least one reply, or Echo()")
