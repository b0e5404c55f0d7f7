"""Idle prompts: nobody says anything, so the agent asks whether the user is still there.

Rule 1: idle is a function of the states, computed anew at each event: quiet
means that nobody speaks, nothing is due and nothing is being played.  The
deadline counts from the last moment that was not quiet.
Rule 2: after ``prompts`` prompts without a word of the user the call has been
abandoned; the policy says what then.  Where the user has heard none of them,
it is the session that failed.

Pure; time is an argument.
"""

from __future__ import annotations

import enum

import attrs

from voicecore import kinds
from voicecore.facts import EndCause
from voicecore.turns.orders import EndCall


class ThenIdle(enum.Enum):
    """What happens when prompts have brought no answer."""

    HANG_UP = "hang_up"
    STAY = "stay"  #: the line stays open, in silence


@attrs.frozen(kw_only=True)
class IdlePolicy:
    """When the agent prompts a silent user; seconds."""

    after_s: float = attrs.field(default=8.0, validator=kinds.seconds(above=0, high=600))
    """Silence on both sides before the agent asks."""
    prompts: int = attrs.field(default=2, validator=kinds.whole(1, 20))
    """Prompts in a row before the agent gives up on the user."""
    text: str = attrs.field(default="Are you still there?", validator=kinds.TEXT)
    """What the agent asks."""
    then: ThenIdle = attrs.field(default=ThenIdle.HANG_UP, validator=kinds.member(ThenIdle))
    """What happens when the prompts bring no answer: the call ends, or the line stays open in silence."""


class IdleStep(enum.Enum):
    """What silence leads to."""

    PROMPT = "prompt"
    GIVE_UP = "give up"


class Idle:
    """The silence of one call."""

    def __init__(self, policy: IdlePolicy | None) -> None:
        self.prompted = 0
        """Prompts since the user last did something."""
        self.requests = 0
        """Prompts that were asked for, in the whole call."""
        self.request_id: str | None = None
        """The newest request for one."""
        self._was_heard = False  # anything of them
        self._response_id: str | None = None  # that is to say the newest, as long as nothing of it was heard
        self._policy = policy
        self._quiet_since: float | None = None

    def notice(self, quiet: bool, now: float) -> None:
        """Take in whether anything is going on."""
        if not quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now

    def user_acted(self) -> None:
        """The user said or keyed something in: prompts are counted anew."""
        self.prompted, self._was_heard = 0, False

    def began(self, response_id: str) -> None:
        """The response to a prompt has begun."""
        self._response_id = response_id

    def audible(self) -> None:
        """Audio of the session was sent to the carrier."""
        self._was_heard, self._response_id = self.prompted > 0, None

    def awaits(self, response_id: str) -> bool:
        """Whether this response is to say a prompt of which nothing was heard."""
        return response_id == self._response_id

    def end(self) -> EndCall:
        """Return the end of a call whose user is given up."""
        if self._was_heard:
            return EndCall(EndCause.USER_SILENT)
        return EndCall(EndCause.SESSION_LOST, "no reply could be had: prompt_lost")

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        done = self._policy is None or self.prompted > self._policy.prompts
        if self._policy is None or done or self._quiet_since is None:
            return None
        return self._quiet_since + self._policy.after_s

    def expire(self, now: float) -> IdleStep | None:
        """Return what the silence leads to, where it has lasted long enough."""
        deadline = self.deadline()
        if self._policy is None or deadline is None or now < deadline:
            return None
        self._quiet_since = None  # the prompt ends it
        self.prompted += 1
        if self.prompted <= self._policy.prompts:
            self.requests += 1
            return IdleStep.PROMPT
        return IdleStep.GIVE_UP if self._policy.then is ThenIdle.HANG_UP else None
