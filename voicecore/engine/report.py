"""Makes the report of a call, once nothing of it runs any more.

Rule 1: the report is a pure function of the call; the order in which stream, status and
socket ended shows in nothing but the cause.
Rule 2: what a peer may have written is printable, bounded, and without any secret;
what the user and the agent said is kept as they said it.
Rule 3: a call whose live call cannot be read any more has a report too, without that part.
"""

from __future__ import annotations

from collections import Counter

import attrs

from voicecore.engine.call_origin import Outbound
from voicecore.engine.ending import Ending
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.live_call import LiveCall
from voicecore.errors import printable
from voicecore.events import TokenUsage
from voicecore.facts import CallReport, EndCause, MediaCounts, MessageReport, Pickup, TurnTimes
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.metrics.latencies import latencies

_ID_CHARS = 200
_WORDS_CHARS = 500


def bare_report(hosted: HostedCall, ending: Ending) -> CallReport:
    """Return the report of a call whose live call cannot be read."""
    return attrs.evolve(call_report(hosted, ending, None), problems={"report_failed": 1})


def call_report(hosted: HostedCall, ending: Ending, call: LiveCall | None) -> CallReport:
    """Return the report of a call, with its ending; ``call``: None where it never had media."""
    ending = _with_last_status(hosted, ending)
    status, final = hosted.at_carrier.status, hosted.at_carrier.final
    amd = hosted.origin.amd if isinstance(hosted.origin, Outbound) else None
    conversation = call.conversation if call else None
    turns = tuple(_turn(turn) for turn in conversation.log.turns()) if conversation else ()
    return CallReport(
        call_id=hosted.call_id,
        carrier_call_id=hosted.carrier_call_id,
        direction=hosted.direction,
        caller=hosted.caller,
        callee=hosted.callee,
        started_at=hosted.started_at,
        ringing_s=round((call.began_at if call else ending.at) - hosted.announced_at, 6),
        duration_s=round(ending.at - (call.began_at if call else hosted.announced_at), 6),
        outcome=ending.cause,
        outcome_detail=ending.detail,
        carrier_status=printable(final.word) if final else None,
        carrier_duration_s=status.duration_s if status else None,
        carrier_failure=status.failure if status else None,
        session_id=printable(call.session.session_id, _ID_CHARS) if call and call.session else None,
        session_open_s=call.session.open_s if call and call.session else None,
        session_attempts=call.session_attempts if call else 0,
        pickup=_pickup(call),
        parked=hosted.parked_reports(),
        answered_by=amd.word if amd else None,
        first_message=_message(call, Purpose.FIRST),
        left_message=_message(call, Purpose.MACHINE),
        audio_path=call.session.audio_path if call and call.session else None,
        transcript=tuple(conversation.speech.transcript.lines()) if conversation else (),
        turns=turns,
        latencies=latencies(turns),
        playout=conversation.speech.playout.line if conversation else None,
        decisions=tuple(conversation.taking.barge_in.decisions) if conversation else (),
        barge_ins=conversation.taking.barge_ins if conversation else 0,
        media=_media_counts(call) if call else MediaCounts(),
        usage=(conversation.usage if conversation else TokenUsage()) + hosted.usage_before(),
        problems=dict(conversation.problems) if conversation else {},
    )


def _with_last_status(hosted: HostedCall, ending: Ending) -> Ending:
    """Return the end as the carrier's final status shows it: a stream that broke off with a hang-up was not lost.

    Where a stream is lost and the call is not, the carrier speaks its apology first: its
    final status comes later.  A carrier without one ends the call with the stream: a status
    after it shows nothing, and one before it has decided already.
    """
    call, at_carrier = hosted.call, hosted.at_carrier
    if call is None or ending.cause is not EndCause.LEG_LOST or at_carrier.final is None:
        return ending
    if hosted.carrier is not None and not hosted.carrier.outlives_stream:
        return ending
    is_hang_up = at_carrier.status_at is not None and at_carrier.status_at <= ending.at + call.settings.stop_wait_s
    return Ending(EndCause.REMOTE_HUNG_UP, "", ending.at) if is_hang_up else ending


def _pickup(call: LiveCall | None) -> Pickup | None:
    if call is None or call.session is None:
        return None
    return Pickup(source=call.session.source, waited_s=call.session.waited_s)


def _message(call: LiveCall | None, purpose: Purpose) -> MessageReport | None:
    openings = call.conversation.openings if call else []
    report = next((opening.report() for opening in openings if opening.purpose is purpose), None)
    if report is None:
        return None
    trace = tuple(attrs.evolve(line, what=printable(line.what, _WORDS_CHARS)) for line in report.trace)
    detail, verdict = printable(report.detail, _WORDS_CHARS), printable(report.verdict, _WORDS_CHARS)
    return attrs.evolve(report, detail=detail, verdict=verdict, trace=trace)


def _turn(turn: TurnTimes) -> TurnTimes:
    why = printable(turn.why, _WORDS_CHARS)
    return turn if why == turn.why else attrs.evolve(turn, why=why)


def _media_counts(call: LiveCall) -> MediaCounts:
    conversation, played = call.conversation, call.conversation.speech.playout.counts
    user_dropped = Counter(session_slow=call.session_queue.dropped_bytes, flood=call.flood.dropped_bytes)
    for opening in conversation.openings:
        user_dropped += opening.gate.dropped_bytes
    user_dropped["call_over"] = call.user_received_bytes - call.user_forwarded_bytes - user_dropped.total()
    agent_dropped = Counter(conversation.speech.dropped_bytes) + Counter(cleared=played.dropped_bytes)
    return MediaCounts(
        user_received_bytes=call.user_received_bytes,
        user_forwarded_bytes=call.user_forwarded_bytes,
        user_dropped_bytes={reason: count for reason, count in user_dropped.items() if count},
        agent_received_bytes=conversation.speech.received_bytes,
        agent_sent_bytes=conversation.speech.sent_bytes,
        agent_padding_bytes=played.padding_bytes,
        agent_dropped_bytes=dict(agent_dropped),
        marks_placed=played.marks_placed,
        marks_heard=played.marks_heard,
        marks_flushed=played.marks_flushed,
        marks_assumed=played.marks_assumed,
        marks_unmatched=played.marks_unmatched,
        clears=played.clears,
        underruns=played.underruns,
        leg_messages_ignored=conversation.leg_messages_ignored,
        digits=conversation.taking.keypad.pressed,
    )
