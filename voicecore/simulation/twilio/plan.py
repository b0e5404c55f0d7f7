"""How a call that the application places turns out: what the REST interface answers, and what the phone does.

Rule 1: everything is decided before the call; by default the phone rings for two
seconds and is answered by somebody who says nothing.
Rule 2: a plan belongs to one wanted call: requests for a number that are refused use
the same plan until one is accepted.

Facts: docs/protocols/twilio-media-streams.md, sections 7 to 9.  Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

import attrs

from voicecore.simulation.twilio.dial_request import DialRequest
from voicecore.simulation.twilio.faults import LineFaults, StatusFaults
from voicecore.simulation.twilio.user import Step

VERDICTS = frozenset(
    {"human", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"}
)


class Pickup(enum.Enum):
    """How the ringing ends, once it has lasted as long as planned."""

    ANSWERS = "in-progress"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"  #: without ringing
    CANCELED = "canceled"  #: by somebody other than the application
    SILENT = "silent"  #: it rings for ever, and no status callback is sent


@attrs.frozen(kw_only=True)
class AmdCallback:
    """The result of answering-machine detection, where the application asked for it."""

    word: str = attrs.field(default="human", validator=attrs.validators.in_(VERDICTS))
    """As `AnsweredBy` spells it."""
    after_s: float = 2.0
    """From the answer; beyond the request's own timeout the verdict is "unknown"."""
    times: int = 1
    """How often the callback of asynchronous detection is sent; 0: never."""


@attrs.frozen(kw_only=True)
class Refusal:
    """An error that the REST interface answers with instead of placing the call."""

    status: int
    code: int = 20500
    times: int | None = None
    """How many requests for the call are refused; None: all."""
    retry_after_s: int | None = None
    """Sent as a Retry-After header."""
    message: str = "The request was refused."
    body: bytes | None = None
    """Instead of Twilio's JSON, such as a gateway's own page."""
    content_type: str = "application/json"


@attrs.frozen(kw_only=True)
class UpdateFaults:
    """What goes wrong with requests that change an existing call."""

    refuse: Refusal | None = None
    """Every request is answered with this; its ``times`` is ignored."""
    answer_s: float = 0.0
    """How late a request is carried out and answered."""


@attrs.frozen(kw_only=True)
class DialPlan:
    """How one call turns out; seconds."""

    # --- the REST interface
    refuse: Refusal | None = None
    answer_s: float = 0.0
    """How late the request is answered; it is carried out at once."""
    answer_lost: bool = False
    """The call is placed, and the connection closed without an answer."""
    switches_id: bool = False
    """Callbacks and the stream use another CallSid than the answer gave."""

    # --- the phone
    queue_s: float = 0.0
    """How long the call is queued before the carrier dials."""
    ring_s: float = 2.0
    """How long it rings; beyond the request's Timeout and the 5 s that Twilio adds it ends in no-answer."""
    end: Pickup = Pickup.ANSWERS
    statuses: StatusFaults = attrs.field(factory=StatusFaults)

    # --- once answered
    machine: AmdCallback = attrs.field(factory=AmdCallback)
    stream_after_s: float = 0.0
    """From the TwiML until the stream is opened; ``math.inf``: never."""
    script: Sequence[Step] = ()
    """What the person who answers does."""
    line: LineFaults = attrs.field(factory=LineFaults)


DialPlans = DialPlan | Sequence[DialPlan] | Callable[[DialRequest], DialPlan]
"""One for every call; or one per call, the last one repeated; or a function that returns one for each call."""


class DialPlanQueue:
    """Gives each wanted call its plan."""

    def __init__(self, plans: DialPlans) -> None:
        self._plans = plans
        self._taken = 0
        self._refusing: dict[str, tuple[DialPlan, int]] = {}  # by number; one entry for each that is being refused

    def plan_for(self, request: DialRequest) -> DialPlan:
        """Return the plan of a request; its refusal is None where the request is accepted."""
        if request.to not in self._refusing:
            self._refusing[request.to] = (self._next(request), 0)
        plan, refused = self._refusing.pop(request.to)
        if plan.refuse is None or refused == plan.refuse.times:
            return attrs.evolve(plan, refuse=None)
        self._refusing[request.to] = (plan, refused + 1)
        return plan

    def _next(self, request: DialRequest) -> DialPlan:
        self._taken += 1
        if isinstance(self._plans, DialPlan):
            return self._plans
        if isinstance(self._plans, Sequence):
            return self._plans[min(self._taken, len(self._plans)) - 1]
        return self._plans(request)
