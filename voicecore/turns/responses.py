"""Who may speak: the one owner of response state in a session.

A provider runs at most one response at a time, starts some by itself, refuses
a second one, and sometimes forgets to say that one is over.  Everything that
wants the agent to speak asks here.

Rule 1: a request waits until the last response is over, then is sent; one
request is under way at most.
Rule 2: a refusal "already active" puts the request back; it is asked for again
when that response is over, at most ``tries`` times.
Rule 3: audio is admitted by response id: never for one that was interrupted or
given up, whatever arrives later.
Rule 4: a request that nothing answers and a response that makes no progress
both have a deadline; late offspring of a request that was given up is cancelled.
Rule 5: the id that a response gives back is a hint, not a proof: servers leave it
out.  While our request is out and the session has no reason to begin one by
itself, the next response is ours, unless a refusal that names the request says
otherwise.  In a session that has given an id back, one without is its own.

Pure: no Trio, no sockets; time is an argument.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection

import attrs

from voicecore import kinds
from voicecore.errors import LocalProtocolError
from voicecore.events import CancelResponse, RequestResponse, ResponseEnded, ResponseStarted

WAITING_LIMIT = 16  #: requests that may wait for their turn
_REMEMBERED = 64  #: ids of interrupted or given-up responses that are kept, per call


@attrs.frozen(kw_only=True)
class ResponseSettings:
    """Deadlines of the response owner."""

    start_s: float = attrs.field(default=10.0, validator=kinds.seconds(above=0))
    """A request that has not started by then is lost."""
    perhaps_refused_s: float = attrs.field(default=3.0, validator=kinds.seconds(above=0))
    """The same for a request that an error which names none may have refused."""
    announced_s: float = attrs.field(default=20.0, validator=kinds.seconds(above=0))
    """A response that has begun, and from which nothing has come by then, is cancelled: slow is not lost."""
    progress_s: float = attrs.field(default=15.0, validator=kinds.seconds(above=0))
    """A response from which something came, and then nothing for so long, is cancelled."""
    cancel_s: float = attrs.field(default=3.0, validator=kinds.seconds(above=0))
    """A cancelled response that has not ended by then counts as over."""
    tries: int = attrs.field(default=3, validator=kinds.whole(1))
    """How often one request is sent when the provider is busy with another response."""


class ResponsePhase(enum.Enum):
    """What the provider is doing, as far as we know."""

    IDLE = "idle"
    REQUESTED = "requested"  #: our request was sent and has not started
    ACTIVE = "active"
    CANCELLING = "cancelling"  #: asked to stop, or without progress; its end is due


@attrs.frozen
class RequestLost:
    """A request for speech will not be answered; ``why`` is for people."""

    request_id: str
    why: str


ResponseOrder = RequestResponse | CancelResponse | RequestLost


@attrs.define
class _Pending:
    request: RequestResponse
    tries_left: int
    due_at: float = float("inf")  # once it is sent


class ResponseOwner:
    """The response state of one session."""

    def __init__(self, settings: ResponseSettings | None = None) -> None:
        self.settings = settings or ResponseSettings()
        self.phase = ResponsePhase.IDLE
        self.active_id: str | None = None
        self._active_request: str | None = None
        self._waiting: deque[_Pending] = deque()  # bounded by WAITING_LIMIT in `request`
        self._sent: _Pending | None = None
        self._guessed: _Pending | None = None  # what the active response answers, by Rule 5
        self._gives_ids_back = False
        self._deadline: float | None = None
        self._silenced: deque[str] = deque(maxlen=_REMEMBERED)
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)
        self._given_up: deque[str] = deque(maxlen=_REMEMBERED)  # request ids

    # --- what we want ------------------------------------------------------

    def request(self, request: RequestResponse, now: float) -> list[ResponseOrder]:
        """Ask for a response; it is sent now or when its turn comes.

        Raises:
            LocalProtocolError: WAITING_LIMIT requests wait already.
        """
        if len(self._waiting) >= WAITING_LIMIT:
            raise LocalProtocolError(f"{WAITING_LIMIT} responses are waiting already; ask again when one is done")
        self._waiting.append(_Pending(request, self.settings.tries))
        return self._next(now)

    def assume_sent(self, request: RequestResponse, now: float) -> None:
        """Take over a request that was sent before this owner existed: while the phone rang."""
        self._deadline = now + self.settings.start_s
        self._sent = _Pending(request, self.settings.tries - 1, self._deadline)
        self.phase = ResponsePhase.REQUESTED

    def disown(self, response_ids: Collection[str]) -> None:
        """Let nothing be heard of responses that nobody asked for, and that were cancelled already."""
        for response_id in response_ids:
            self._silence(response_id)

    def abandon(self, request_id: str, now: float) -> list[ResponseOrder]:
        """Want this request no more; should it start yet, it is cancelled. Nothing for one that has started."""
        self._waiting = deque(p for p in self._waiting if p.request.request_id != request_id)
        if self._sent is None or self._sent.request.request_id != request_id:
            return []
        self._given_up.append(request_id)
        self._sent = None
        return self._become_idle(now) if self.phase is ResponsePhase.REQUESTED else []

    def interrupt(self, response_id: str, now: float, *, provider_cancels: bool) -> list[ResponseOrder]:
        """Silence a response for good; cancel it if it still runs and the provider will not do so itself."""
        self._silence(response_id)
        if response_id != self.active_id or self.phase is not ResponsePhase.ACTIVE:
            return []
        self.phase = ResponsePhase.CANCELLING
        self._deadline = now + self.settings.cancel_s
        return [] if provider_cancels else [CancelResponse(response_id)]

    def admits(self, response_id: str) -> bool:
        """Whether audio of this response may still be played."""
        return response_id not in self._silenced

    def has_ended(self, response_id: str) -> bool:
        """Whether the end of this response was seen (or assumed) already."""
        return response_id in self._ended

    @property
    def waiting(self) -> int:
        """Requests that were not sent yet."""
        return len(self._waiting)

    def requested(self) -> list[str]:
        """Return the requests that have not begun, sent or not."""
        sent = [self._sent.request.request_id] if self._sent is not None else []
        return sent + [pending.request.request_id for pending in self._waiting]

    def request_of(self, response_id: str) -> str | None:
        """Return the request that the running response answers; None where nobody asked, or it does not run."""
        return self._active_request if response_id == self.active_id else None

    def is_waiting(self, request_id: str) -> bool:
        """Whether this request was not sent yet."""
        return any(pending.request.request_id == request_id for pending in self._waiting)

    # --- what the provider says ---------------------------------------------

    def named(self, event: ResponseStarted, *, may_be_own: bool) -> ResponseStarted:
        """Return a start with the request that it answers, by Rule 5.

        ``may_be_own``: the session has a reason to begin a response by itself.
        """
        if event.request_id is not None:
            self._gives_ids_back = True
            return event
        if self._gives_ids_back or may_be_own or not self.admits(event.response_id):
            return event
        if self._sent is not None:
            self._guessed = self._sent
            return ResponseStarted(event.response_id, self._sent.request.request_id)
        return ResponseStarted(event.response_id, self._given_up[0]) if self._given_up else event

    def started(self, event: ResponseStarted, now: float) -> list[ResponseOrder]:
        """A response began, by our request or by the provider's own decision."""
        if event.response_id in self._ended:
            return []
        if event.request_id is not None and event.request_id in self._given_up:
            self._given_up.remove(event.request_id)
            self._silence(event.response_id)
            self._activate(event.response_id, now, self.settings.cancel_s)  # what is wanted waits for its end
            return [CancelResponse(event.response_id)]
        if self._sent is not None and event.request_id == self._sent.request.request_id:
            self._sent = None
        self._waiting = deque(p for p in self._waiting if p.request.request_id != event.request_id)
        self._activate(event.response_id, now, self.settings.announced_s)
        self._active_request = event.request_id
        return []

    def progressed(self, response_id: str, now: float) -> None:
        """Something of this response arrived; also the first sign of one whose start was not announced."""
        if response_id in self._ended:
            return
        if self.phase is ResponsePhase.ACTIVE and response_id == self.active_id:
            self._deadline = now + self.settings.progress_s
        elif self.phase in {ResponsePhase.IDLE, ResponsePhase.REQUESTED} and self.admits(response_id):
            self._activate(response_id, now, self.settings.progress_s)

    def ended(self, event: ResponseEnded, now: float) -> list[ResponseOrder]:
        """A response is over; the next request may go. An unknown or repeated end changes nothing."""
        self._remember_end(event.response_id)
        if event.response_id != self.active_id:
            return []
        return self._become_idle(now)

    def refused(self, request_id: str | None, now: float, *, busy: bool) -> list[ResponseOrder]:
        """The provider refused a request; ``busy`` means because another response is active.

        An id of None (providers do leave it out) stands for the oldest request that may still be refused;
        where the reason is not that another response is active, it may be about something else altogether:
        then the request that is out is only waited for less long.
        """
        if request_id is None and not busy:
            self._doubt_sent(now)
            return []
        if self._given_up and request_id in {None, *self._given_up}:
            self._given_up.remove(request_id or self._given_up[0])
            return []
        if busy and self._guessed is not None and request_id == self._guessed.request.request_id:
            self._sent, self._active_request = self._guessed, None  # what was taken for its answer was not
        self._guessed = None
        pending = self._sent
        if pending is None or request_id not in {None, pending.request.request_id}:
            return []
        self._sent = None
        lost = self._put_back(pending) if busy else RequestLost(pending.request.request_id, "refused by the provider")
        if self.phase is ResponsePhase.REQUESTED:
            # Busy with a response that we have not heard of yet: its start or its end will come, or the deadline.
            self._deadline = now + self.settings.start_s if busy else None
            orders = [] if busy else self._become_idle(now)
        else:
            orders = []
        return ([lost] if lost else []) + orders

    # --- time -------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        return self._deadline

    def expire(self, now: float) -> list[ResponseOrder]:
        """Act on a deadline that has passed; nothing when there is none."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.phase is ResponsePhase.ACTIVE and self.active_id is not None:
            return self.interrupt(self.active_id, now, provider_cancels=False)
        if self.phase is ResponsePhase.CANCELLING and self.active_id is not None:
            self._remember_end(self.active_id)
            return self._become_idle(now)
        return self._give_up_sent() + self._become_idle(now)

    # --- inside -------------------------------------------------------------

    def _activate(self, response_id: str, now: float, wait_s: float) -> None:
        self.active_id, self._active_request = response_id, None
        self.phase = ResponsePhase.ACTIVE if self.admits(response_id) else ResponsePhase.CANCELLING
        self._deadline = now + (wait_s if self.phase is ResponsePhase.ACTIVE else self.settings.cancel_s)

    def _become_idle(self, now: float) -> list[ResponseOrder]:
        self.active_id = self._guessed = None
        self.phase = ResponsePhase.IDLE
        self._deadline = None
        if self._sent is not None:  # ours was in doubt behind the provider's own: its answer is still due
            self.phase = ResponsePhase.REQUESTED
            self._deadline = self._sent.due_at
        return self._next(now)

    def _next(self, now: float) -> list[ResponseOrder]:
        if self.phase is not ResponsePhase.IDLE or not self._waiting:
            return []
        self._sent = self._waiting.popleft()
        self._sent.tries_left -= 1
        self._sent.due_at = self._deadline = now + self.settings.start_s
        self.phase = ResponsePhase.REQUESTED
        return [self._sent.request]

    def _put_back(self, pending: _Pending) -> RequestLost | None:
        if pending.tries_left <= 0:
            return RequestLost(pending.request.request_id, "the provider stayed busy with other responses")
        self._waiting.appendleft(pending)
        return None

    def _doubt_sent(self, now: float) -> None:
        if self._sent is None:
            return
        self._sent.due_at = min(self._sent.due_at, now + self.settings.perhaps_refused_s)
        if self.phase is ResponsePhase.REQUESTED and self._deadline is not None:
            self._deadline = min(self._deadline, self._sent.due_at)

    def _give_up_sent(self) -> list[ResponseOrder]:
        if self._sent is None:
            return []
        lost = self._sent.request.request_id
        self._given_up.append(lost)
        self._sent = None
        return [RequestLost(lost, "the provider did not start it in time")]

    def _silence(self, response_id: str) -> None:
        if response_id not in self._silenced:
            self._silenced.append(response_id)

    def _remember_end(self, response_id: str) -> None:
        if response_id not in self._ended:
            self._ended.append(response_id)
