"""What a session is asked for on behalf of a message: the lockout that it is opened with, and the words.

Pure.
"""

from __future__ import annotations

import enum

from voicecore.events import Lockout, RequestResponse
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import (
    FirstMessage,
    FirstMessagePolicy,
    Message,
    ProtectionRule,
    SpeaksFirst,
)

_SAY = "Say exactly the following to the user, word for word, and nothing else:\n"


class Purpose(enum.Enum):
    """What a message is for; the value begins its requests' ids."""

    FIRST = "first-message"
    MACHINE = "machine-message"  #: left on an answering machine; then the call is over


def word_for_word(text: str) -> str:
    """Return the instructions that have a session say a text."""
    return _SAY + text


def message_request(message: Message, request_id: str) -> RequestResponse:
    """Return the request that has a session speak a message: the same while the phone rings and after pick-up."""
    return RequestResponse(request_id=request_id, instructions=word_for_word(message.text))


def lockout_for(message: Message | None, policy: FirstMessagePolicy) -> Lockout:
    """Return the lockout that a session must be opened with, so that this message is safe from the first moment."""
    if message is None:
        return Lockout.NONE
    if policy.speaks_first is not SpeaksFirst.AGENT:
        return Lockout.NO_REPLY  # the user's greeting is to be heard, and not answered by the model
    if policy.protection is ProtectionRule.OFF:
        return Lockout.NONE
    forwards = policy.user_audio is UserAudioRule.FORWARD
    return Lockout.NO_REPLY if forwards else Lockout.DETECTION_OFF


def prepared_request(message: Message) -> RequestResponse:
    """Return the request for a first message that is generated before the media begin."""
    return message_request(message, FirstMessage(message, FirstMessagePolicy(), Purpose.FIRST.value).request_id)
