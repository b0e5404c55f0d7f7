"""The engine's settings: frozen values with their units and reasons."""

from __future__ import annotations

import enum
import re

import attrs

from voicecore import kinds
from voicecore.engine.agent import Agent, Direction
from voicecore.engine.parking.pool import ParkingSettings
from voicecore.engine.record_queue import WritingSettings
from voicecore.errors import ConfigError
from voicecore.events import LegStarted
from voicecore.ports import MachineDetection
from voicecore.turns.first_message.protection import ProtectionSettings
from voicecore.turns.flood import FloodSettings
from voicecore.turns.playout.ledger import MarkSupport, PlayoutSettings
from voicecore.turns.responses import ResponseSettings
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.user_turns import UserTurnSettings


class OnVoicemail(enum.Enum):
    """What is done when an answering machine answers."""

    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"
    GO_ON = "go_on"


@attrs.frozen(kw_only=True)
class DialOptions:
    """How one call is placed; seconds."""

    ring_timeout_s: int = attrs.field(default=30, validator=kinds.whole(5, 600))
    """How long it rings."""
    detection: MachineDetection = attrs.field(default=MachineDetection.OFF, validator=kinds.member(MachineDetection))
    """Whether the carrier listens for answering machines: beside the call, or before it (dead air for people)."""
    on_voicemail: OnVoicemail = attrs.field(default=OnVoicemail.HANG_UP, validator=kinds.member(OnVoicemail))
    """What is done when an answering machine answers."""
    voicemail_message: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_TEXT)
    """Said to an answering machine once its greeting has ended."""
    queue_s: float = attrs.field(default=120.0, validator=kinds.seconds(above=0))
    """How long the carrier may keep the call before it rings: it places few calls a second."""
    grace_s: float = attrs.field(default=10.0, validator=kinds.seconds(above=0))
    """How much later than it should a carrier's last word may come."""
    media_s: float = attrs.field(default=15.0, validator=kinds.seconds(above=0))
    """How long the media stream may take to come once the call was answered."""
    verdict_s: float = attrs.field(default=35.0, validator=kinds.seconds(above=0))
    """What machine detection before the media may take on top."""

    def __attrs_post_init__(self) -> None:
        leaves = self.on_voicemail is OnVoicemail.LEAVE_MESSAGE
        if leaves and not self.voicemail_message:
            raise ConfigError("DialOptions.voicemail_message", "missing; on_voicemail says that a message is left")
        if leaves and self.detection is MachineDetection.OFF:
            raise ConfigError("DialOptions.detection", "must be async or sync to leave a message")


_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")


def checked_number(number: str) -> str:
    """Return a number in E.164 form. Raises ConfigError for any other."""
    if _NUMBER.fullmatch(number) is None:
        raise ConfigError("number", "must be in E.164 form: a plus sign, the country code, and digits only")
    return number


@attrs.frozen(kw_only=True)
class CallSettings:
    """Bounds of one call."""

    max_call_s: float = attrs.field(default=4 * 3600.0, validator=kinds.seconds(1, 24 * 3600))
    """The call ends after so long, whatever happens; the carriers' own maximum is four hours."""
    open_tries: int = attrs.field(default=2, validator=kinds.whole(1, 10))
    """How often opening a session is tried while the user waits."""
    retry_pause_s: float = attrs.field(default=0.25, validator=kinds.seconds())
    buffer_audio_s: float = attrs.field(default=10.0, validator=kinds.seconds(above=0, high=60))
    """User audio kept while the session opens or does not read; beyond it the oldest is dropped."""
    stop_wait_s: float = attrs.field(default=2.0, validator=kinds.seconds())
    """After the carrier's terminal status, how long the stream's own stop may still take; and after a stream that
    broke off without one, within how long that status makes it a hang-up."""
    flood: FloodSettings = attrs.field(factory=FloodSettings, validator=kinds.instance(FloodSettings))
    words_wait_s: float = attrs.field(default=1.5, validator=kinds.seconds())
    """After the end: how long the session is still read for the words of a turn that has none yet. Media go at once."""
    turns: UserTurnSettings = attrs.field(factory=UserTurnSettings, validator=kinds.instance(UserTurnSettings))
    playout: PlayoutSettings = attrs.field(factory=PlayoutSettings, validator=kinds.instance(PlayoutSettings))
    responses: ResponseSettings = attrs.field(factory=ResponseSettings, validator=kinds.instance(ResponseSettings))
    protection: ProtectionSettings = attrs.field(
        factory=ProtectionSettings, validator=kinds.instance(ProtectionSettings)
    )

    def conversation(self, agent: Agent, direction: Direction, leg: LegStarted) -> ConversationSettings:
        """Return what the conversation of a call with this agent needs on this leg."""
        echoes = MarkSupport.RETURNED if leg.returns_marks else MarkSupport.NONE
        return ConversationSettings(
            first_message=agent.message(leg.audio_format),
            policy=agent.policy_for(direction),
            protection=self.protection,
            barge_in=agent.barge_in,
            idle=agent.idle,
            keypad=agent.keypad,
            fallback=agent.fallback,
            waiting=agent.waiting(leg.audio_format),
            turns=self.turns,
            playout=attrs.evolve(self.playout, echoes=echoes),
            responses=self.responses,
        )


@attrs.frozen(kw_only=True)
class HostSettings:
    """Bounds of all calls together."""

    max_calls: int = attrs.field(default=200, validator=kinds.whole(1, 10_000))
    """Calls ringing or talking at once; beyond it a user gets a busy answer."""
    token_s: float = attrs.field(default=15.0, validator=kinds.seconds(above=0))
    """How long an incoming call waits for its media stream, and its media token is good; then the call is over.

    A carrier opens the stream as soon as it has our answer, a second or two later, and a session that is paid for
    waits meanwhile: as long as for the stream of a call that we placed."""
    status_wait_s: float = attrs.field(default=10.0, validator=kinds.seconds())
    """How long the last word on a call waits for the carrier's terminal status after the stream ended.

    The record is written before, and completed by it.
    """
    closing_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """How long records may take to be written when the host closes; what is not written then goes into the log.

    Also how long the block of `dial` waits for a first try to write the record.
    """
    drain_media_s: float = attrs.field(default=3.0, validator=kinds.seconds())
    """When the engine is stopped: how long incoming calls whose stream has not come are waited for."""
    drain_status_s: float = attrs.field(default=0.5, validator=kinds.seconds())
    """When the engine is stopped and no call runs: how long records wait for the carrier's terminal status."""
    choose_agent_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """How long the handler of incoming calls may take; then the engine's own agent takes the call."""
    hang_up_s: float = attrs.field(default=3.0, validator=kinds.seconds(above=0))
    """How long the end of a live call waits for the carrier to acknowledge it: time for a new connection and another
    try. Then its media are closed, and the user hears the carrier's apology."""
    call: CallSettings = attrs.field(factory=CallSettings, validator=kinds.instance(CallSettings))
    parking: ParkingSettings = attrs.field(factory=ParkingSettings, validator=kinds.instance(ParkingSettings))
    records: WritingSettings = attrs.field(factory=WritingSettings, validator=kinds.instance(WritingSettings))
