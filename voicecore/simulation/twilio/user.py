"""What the user does: a short script of steps, each with the moment at which it is due.

Rule 1: steps are taken in order; one begins when it is due and the step before it is over.
Rule 2: a frame is sent every 20 ms, silence where the user says nothing.
Rule 3: whether the agent speaks is judged by what is audible, nothing else.

Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

FRAME_S = 0.020
FRAME_BYTES = 160
_SILENCE = b"\xff" * FRAME_BYTES


@attrs.frozen
class At:
    """``seconds`` after the stream began."""

    seconds: float


@attrs.frozen
class AfterAgent:
    """Once the agent has spoken since the last step, and then been silent for ``pause_s``."""

    pause_s: float = 0.5


@attrs.frozen
class WhileAgentSpeaks:
    """While the agent speaks: ``after_s`` after its current words became audible."""

    after_s: float = 1.0


When = At | AfterAgent | WhileAgentSpeaks


@attrs.frozen
class Say:
    """Speak µ-law bytes."""

    when: When
    ulaw: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class Press:
    """Press a key."""

    when: When
    digit: str


@attrs.frozen
class HangUp:
    """End the call."""

    when: When


Step = Say | Press | HangUp


class AgentSpeechTracker:
    """Since when the agent has been speaking, or silent."""

    def __init__(self) -> None:
        self.speaks_since: float | None = None
        self.silent_since: float | None = None

    def notice(self, playing: bool, now: float) -> None:
        """Note whether something is audible now."""
        if playing and self.speaks_since is None:
            self.speaks_since, self.silent_since = now, None
        elif not playing and self.speaks_since is not None:
            self.speaks_since, self.silent_since = None, now


class SimulatedUser:
    """One user on the line."""

    def __init__(self, script: Sequence[Step], began_at: float) -> None:
        self.hung_up = False
        self._steps = deque(script)
        self._began_at = began_at
        self._agent = AgentSpeechTracker()
        self._speech = b""

    def frame(self, playing: bool, now: float) -> tuple[bytes, list[str]]:
        """Return the frame to send now, and the keys pressed before it."""
        self._agent.notice(playing, now)
        digits: list[str] = []
        while self._steps and not self._speech and not self.hung_up and self._is_due(self._steps[0].when, now):
            step = self._steps.popleft()
            self._agent = AgentSpeechTracker()
            if isinstance(step, Say):
                self._speech = step.ulaw
            elif isinstance(step, Press):
                digits.append(step.digit)
            else:
                self.hung_up = True
        frame, self._speech = self._speech[:FRAME_BYTES], self._speech[FRAME_BYTES:]
        if frame and not self._speech:
            self._agent = AgentSpeechTracker()  # what the next step waits for comes after this speech
        return frame.ljust(FRAME_BYTES, b"\xff") if frame else _SILENCE, digits

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking."""
        return bool(self._speech)

    def _is_due(self, when: When, now: float) -> bool:
        if isinstance(when, At):
            return now >= self._began_at + when.seconds - 1e-9
        if isinstance(when, WhileAgentSpeaks):
            return self._agent.speaks_since is not None and now >= self._agent.speaks_since + when.after_s - 1e-9
        return self._agent.silent_since is not None and now >= self._agent.silent_since + when.pause_s - 1e-9
