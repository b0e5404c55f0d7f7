"""What follows from the steps of one machine in the others, and what observers see of them.

Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.agent_speech import BARGED_IN
from voicecore.turns.first_message.audio_gate import SpokeOver
from voicecore.turns.first_message.message import CutMessage, MessageOver
from voicecore.turns.first_message.protection import Lifted, RestoreFailed
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.machines import Handler, Machines, Step
from voicecore.turns.orders import EndCall, Notify
from voicecore.turns.playout.ledger import FirstHeard, Played
from voicecore.turns.replies import PROMPT
from voicecore.turns.responses import RequestLost
from voicecore.turns.speech_steps import Done, Generated, Said, Unheard

# --- the agent's speech -----------------------------------------------------------


def _requested(its: Machines, request: ev.RequestResponse, now: float) -> tuple[()]:
    """A request goes to the session: the time of the message begins, where it is for the message."""
    if its.opening is not None:
        its.opening.request_sent(request.request_id, now)
    return ()


def _request_lost(its: Machines, lost: RequestLost, now: float) -> Iterator[Step]:
    if its.opening is not None and its.opening.awaits(lost.request_id):
        yield from its.close_behind(its.opening.lost(lost.why, now), now)
    elif lost.request_id.startswith(PROMPT):
        yield from its.notifier.problem("prompt_lost", lost.why, now)
    else:
        yield from its.taking.replies.lost(lost.why, now)


def _generated(its: Machines, step: Generated, now: float) -> Iterator[Step]:
    yield from its.taking.replies.generated(step.response_id, now)


def _unheard(its: Machines, step: Unheard, now: float) -> Iterator[Step]:
    yield from its.taking.ended_unheard(step.response_id, now)


def _said(its: Machines, step: Said, now: float) -> Iterator[Step]:
    yield Notify(facts.AgentSaid(its.notifier.at(now), step.item_id, step.text, step.interrupted, step.heard))


def _done(its: Machines, step: Done, now: float) -> Iterator[Step]:
    yield Notify(facts.ResponsePlayed(its.notifier.at(now), step.response_id, step.why, step.incomplete))
    if step.why:
        yield from its.taking.ended_unheard(step.response_id, now)
    if step.why == BARGED_IN and its.opening is not None and its.opening.says(step.response_id):
        yield from its.close_behind(its.opening.interrupted(now), now)


def _first_heard(its: Machines, step: FirstHeard, now: float) -> Iterator[Step]:
    yield Notify(facts.FirstAudioHeard(its.notifier.at(now), step.response_id))
    if its.opening is not None:
        yield from its.close_behind(its.opening.first_heard(step.response_id, now), now)


def _played(its: Machines, step: Played, now: float) -> Iterator[Step]:
    if its.opening is not None:
        yield from its.close_behind(its.opening.played(step.response_id, step.item_id, step.mark, now), now)


# --- a message that must be heard ---------------------------------------------------


def _message_cut(its: Machines, step: CutMessage, now: float) -> Iterator[Step]:
    yield from its.notifier.problem(step.why, "a try to say the message was lost", now)


def _message_over(its: Machines, step: MessageOver, now: float) -> Iterator[Step]:
    yield Notify(facts.MessageDone(its.notifier.at(now), step.outcome, step.detail))
    if step.outcome is facts.MessageOutcome.UNDELIVERED:
        yield from its.notifier.problem("message_undelivered", step.detail, now)
    if its.openings.purpose is Purpose.MACHINE and step.outcome is not facts.MessageOutcome.DROPPED:
        heard = step.outcome is facts.MessageOutcome.HEARD
        yield EndCall(facts.EndCause.MESSAGE_LEFT if heard else facts.EndCause.MACHINE_ANSWERED, step.detail)


def _spoke_over(its: Machines, step: SpokeOver, now: float) -> Iterator[Step]:
    yield Notify(facts.SpokeOverMessage(its.notifier.at(now), step.kept))


def _lifted(its: Machines, step: Lifted, now: float) -> Iterator[Step]:
    yield Notify(facts.ProtectionEnded(its.notifier.at(now)))
    if not step.acknowledged:
        why = "the provider did not confirm turn detection"
        yield from its.notifier.problem("restore_unacknowledged", why, now)


def _restore_failed(its: Machines, step: RestoreFailed, now: float) -> Iterator[Step]:
    yield from its.notifier.problem("turn_detection_refused", step.why, now)
    yield EndCall(facts.EndCause.SESSION_REFUSED, f"the session would not hear the user: {step.why}")


STEP_HANDLERS: Mapping[type, Handler] = {
    ev.RequestResponse: _requested,
    RequestLost: _request_lost,
    Generated: _generated,
    Unheard: _unheard,
    Said: _said,
    Done: _done,
    FirstHeard: _first_heard,
    Played: _played,
    CutMessage: _message_cut,
    MessageOver: _message_over,
    SpokeOver: _spoke_over,
    Lifted: _lifted,
    RestoreFailed: _restore_failed,
}
