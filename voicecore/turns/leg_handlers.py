"""What an event of the leg leads to.

Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.machines import Handler, Machines, Step
from voicecore.turns.orders import EndCall, Notify
from voicecore.turns.playout.ledger import MarkKind


def _mark_returned(its: Machines, event: ev.MarkReturned, now: float) -> Iterator[Step]:
    kind, steps = its.speech.mark_returned(event.name, now)
    if kind is MarkKind.UNMATCHED:
        return
    yield Notify(facts.MarkReceived(its.notifier.at(now), event.name, kind is MarkKind.HEARD))
    if kind is MarkKind.FLUSHED:
        yield from its.taking.interruptions.flushed(now)
    yield from steps


def _digit(its: Machines, event: ev.DigitPressed, now: float) -> Iterator[Step]:
    opening = its.opening
    may_stop = opening is None or not opening.bars_keys
    yield from its.taking.pressed(event.digit, now, may_stop=may_stop, later=opening is not None)


def _stopped(_its: Machines, _event: ev.LegStopped, _now: float) -> Iterator[Step]:
    yield EndCall(facts.EndCause.REMOTE_HUNG_UP)


def _ignored(its: Machines, _event: ev.LegMessageIgnored | ev.LegStarted, _now: float) -> tuple[()]:
    its.leg_messages_ignored += 1
    return ()


LEG_HANDLERS: Mapping[type, Handler] = {
    ev.MarkReturned: _mark_returned,
    ev.DigitPressed: _digit,
    ev.LegStopped: _stopped,
    ev.LegMessageIgnored: _ignored,
    ev.LegStarted: _ignored,
}
