"""What the agent of a provider twin says, and what it understands of the user.

Rule 1: replies are used in order, one a response, also by responses that are
cancelled or out of band; the last one is repeated.
Rule 2: all recorded speech is PCM16 at 8 kHz; it is converted to the session's
output format on its way out.
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
    """A sine of so many seconds."""

    seconds: float
    hz: float = 440.0


@attrs.frozen
class Silence:
    """So many seconds of audio in which there is nothing to hear."""

    seconds: float


@attrs.frozen
class NumberedFrames:
    """Frames that carry their own origin, see `voicecore.simulation.numbered_audio`.

    Exact in µ-law sessions; other formats carry the conversion.
    """

    seconds: float


FixedSpeech = Recorded | Samples | Tone | Silence  #: sounds the same each time
Speech = FixedSpeech | NumberedFrames


@attrs.frozen
class ToolCall:
    """The model asks for a function; ``arguments`` is JSON text, legal or not."""

    name: str
    arguments: str = "{}"


@attrs.frozen(kw_only=True)
class Reply:
    """One response: some words with their sound, some tool calls, or both in this order."""

    text: str = attrs.field(default="", kw_only=False)
    speech: Speech | None = None
    """How the words sound; None: a tone as long as the words would take."""
    tool_calls: tuple[ToolCall, ...] = ()
    after_s: float = 0.0
    """Thinking time before the first delta, beside the behaviour's own."""


@attrs.frozen
class Echo:
    """Send every piece of appended audio back at once, unchanged, as audio of one endless response.

    For benchmarks: what comes back is what was sent, and its delay is the engine's.
    No turn detection runs; both formats must be the same.
    """


@attrs.frozen(kw_only=True)
class Script:
    """One session's worth of talk."""

    replies: tuple[Reply, ...] | Echo = attrs.field(default=(Reply("Hello, how can I help you?"),))
    hears: tuple[str, ...] = ()
    """The words of the user's turns in order; further turns have none."""

    def __attrs_post_init__(self) -> None:
        if self.replies == ():
            raise ValueError("a script needs at least one reply, or Echo()")
