"""What the agent is asked to say: requests for responses, and the response that runs.

The verbs of the response owner (responses.py) in the words of the other machines.

Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection

from voicecore import events as ev
from voicecore.turns.responses import ResponseOwner, ResponsePhase, ResponseSettings
from voicecore.turns.speech_steps import SpeechStep

_REPLY = "request-"  #: begins the ids of requests for replies


class AgentRequests:
    """The requests of one call."""

    def __init__(self, settings: ResponseSettings) -> None:
        self.responses = ResponseOwner(settings)
        self._requests = 0

    # --- asking --------------------------------------------------------------------

    def request_reply(self, now: float) -> list[SpeechStep]:
        """Ask for a reply, now or when its turn comes."""
        self._requests += 1
        return self.request(ev.RequestResponse(request_id=f"{_REPLY}{self._requests}"), now)

    @property
    def is_reply_requested(self) -> bool:
        """Whether a reply was asked for that has not begun."""
        return any(request_id.startswith(_REPLY) for request_id in self.responses.requested())

    def want_no_reply(self, now: float) -> list[SpeechStep]:
        """Want no reply of those that wait for their turn."""
        waiting = [each for each in self.responses.requested() if self.responses.is_waiting(each)]
        replies = [each for each in waiting if each.startswith(_REPLY)]
        return [step for each in replies for step in self.responses.abandon(each, now)]

    def request(self, request: ev.RequestResponse, now: float) -> list[SpeechStep]:
        """Ask for a response, now or when its turn comes."""
        return [*self.responses.request(request, now)]

    def assume_requested(self, request: ev.RequestResponse, now: float) -> None:
        """Take over a request that was sent while the phone rang."""
        self.responses.assume_sent(request, now)

    def is_waiting(self, request_id: str) -> bool:
        """Whether a request was not sent yet: another response runs."""
        return self.responses.is_waiting(request_id)

    def abandon(self, request_id: str, now: float) -> list[SpeechStep]:
        """Want this request no more, where it has not begun."""
        return [*self.responses.abandon(request_id, now)]

    def refused(self, request_id: str | None, now: float, *, busy: bool) -> list[SpeechStep]:
        """The provider refused a request; see `ResponseOwner.refused`."""
        return [*self.responses.refused(request_id, now, busy=busy)]

    def silence(self, response_id: str, now: float) -> list[SpeechStep]:
        """Let nothing of a response be heard from here on; what waits of it stays with `cut`."""
        return [*self.responses.interrupt(response_id, now, provider_cancels=False)]

    def disown(self, response_ids: Collection[str]) -> None:
        """Let nothing be heard of responses that nobody asked for, and that were cancelled already."""
        self.responses.disown(response_ids)

    def silence_running(self, now: float) -> list[SpeechStep]:
        """Let nothing be heard of the response that runs, if any, from here on."""
        active = self.responses.active_id
        return self.silence(active, now) if active is not None else []

    def want_nothing(self, now: float) -> list[SpeechStep]:
        """Want no more of what was asked for, or has begun without a sound."""
        newest_first = reversed(self.responses.requested())  # so that none takes the place of another
        steps: list[SpeechStep] = [step for each in newest_first for step in self.responses.abandon(each, now)]
        return steps + self.silence_running(now)

    # --- the response that runs ----------------------------------------------------------

    @property
    def running(self) -> str | None:
        """The response that runs, as far as is known."""
        return self.responses.active_id

    @property
    def is_response_due(self) -> bool:
        """Whether a response runs, or was asked for at the provider."""
        return self.responses.phase is not ResponsePhase.IDLE

    def request_of(self, response_id: str) -> str | None:
        """Return the request that the running response answers; None where nobody asked, or it does not run."""
        return self.responses.request_of(response_id)

    def may_be_heard(self, response_id: str) -> bool:
        """Whether a response was not silenced."""
        return self.responses.admits(response_id)

    def has_ended(self, response_id: str) -> bool:
        """Whether the end of a response was seen, or assumed, already."""
        return self.responses.has_ended(response_id)

    # --- what the provider says ---------------------------------------------------------

    def named(self, event: ev.ResponseStarted, *, may_be_own: bool) -> ev.ResponseStarted:
        """Return a start with the request that it answers; see `ResponseOwner.named`."""
        return self.responses.named(event, may_be_own=may_be_own)

    def started(self, event: ev.ResponseStarted, now: float) -> list[SpeechStep]:
        """A response began, by our request or by the provider's own decision."""
        return [*self.responses.started(event, now)]
