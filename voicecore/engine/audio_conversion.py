"""The audio of one call between the leg's format and the session's.

Rule: audio is converted here and nowhere else in a call, and not at all where the formats agree.
"""

from __future__ import annotations

import attrs

from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import AudioFormat
from voicecore.events import AgentAudio, AgentAudioEnded, SessionEvent
from voicecore.facts import AudioPath
from voicecore.ports import Session


class AudioConversion:
    """Both directions of one call."""

    def __init__(self, leg_format: AudioFormat) -> None:
        self.leg_format = leg_format
        self._to_session: Converter = converter(leg_format, leg_format)
        self._from_session: Converter = converter(leg_format, leg_format)
        self._agent_item: str | None = None

    def use_session(self, session: Session) -> AudioPath:
        """Convert for this session from here on; return the path that the audio takes."""
        self._to_session = converter(self.leg_format, session.user_format)
        self._from_session = converter(session.agent_format, self.leg_format)
        return AudioPath(
            leg=str(self.leg_format),
            session_user=str(session.user_format),
            session_agent=str(session.agent_format),
            passthrough=self.leg_format == session.user_format == session.agent_format,
        )

    def for_session(self, audio: bytes) -> bytes:
        """Return user audio in the session's format; empty where the filter keeps all of it for what comes next."""
        return self._to_session.convert(audio)

    def for_leg(self, event: SessionEvent) -> list[SessionEvent]:
        """Return a session's event with its audio in the leg's format; an item's last audio comes before its end."""
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
