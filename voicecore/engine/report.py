"""The report of a call, made once, when nothing of it runs any more.

Rule: it is a pure function of the entry and the call; the order in which stream,
status and socket ended leaves no trace in it but the cause.

Used by engine/host.py.
"""

from __future__ import annotations

from collections import Counter

from voicecore.engine.book import CallEntry
from voicecore.engine.call import Call, Ending
from voicecore.events import TokenUsage
from voicecore.facts import CallReport, MediaCounts


def call_report(entry: CallEntry, ending: Ending) -> CallReport:
    """Return what the call came to; ``ending`` is the call's own, or the host's where no call ran."""
    call = entry.call
    conversation = call.conversation if call else None
    return CallReport(
        call_id=entry.call_id,
        carrier_call_id=entry.ringing.carrier_call_id,
        direction=entry.ringing.direction,
        caller=entry.ringing.caller,
        callee=entry.ringing.callee,
        started_at=entry.started_at,
        duration_s=round(ending.at - (call.began_at if call else entry.announced_at), 6),
        end_cause=ending.cause,
        end_detail=ending.detail,
        carrier_status=entry.status.word if entry.status and entry.status.status.is_terminal else None,
        carrier_duration_s=entry.status.duration_s if entry.status else None,
        session_id=call.session.session_id if call and call.session else None,
        session_open_s=call.session.open_s if call and call.session else None,
        session_attempts=call.session_attempts if call else 0,
        audio_path=call.session.audio_path if call and call.session else None,
        transcript=tuple(conversation.transcript.lines()) if conversation else (),
        turns=tuple(conversation.replies.times()) if conversation else (),
        barge_ins=conversation.barge_ins if conversation else 0,
        media=_media_counts(call) if call else MediaCounts(),
        usage=conversation.usage if conversation else TokenUsage(),
        problems=dict(conversation.problems) if conversation else {},
    )


def _media_counts(call: Call) -> MediaCounts:
    conversation, played = call.conversation, call.conversation.playout.counts
    slow = call.outbox.dropped_bytes
    left = call.caller_received_bytes - call.caller_forwarded_bytes - slow
    caller_dropped = {"session_slow": slow, "call_over": left}
    agent_dropped = Counter(conversation.dropped_bytes) + Counter(cleared=played.dropped_bytes)
    return MediaCounts(
        caller_received_bytes=call.caller_received_bytes,
        caller_forwarded_bytes=call.caller_forwarded_bytes,
        caller_dropped_bytes={reason: count for reason, count in caller_dropped.items() if count},
        agent_received_bytes=conversation.agent_received_bytes,
        agent_sent_bytes=conversation.agent_sent_bytes,
        agent_padding_bytes=played.padding_bytes,
        agent_dropped_bytes=dict(agent_dropped),
        marks_placed=played.marks_placed,
        marks_heard=played.marks_heard,
        marks_flushed=played.marks_flushed,
        marks_assumed=played.marks_assumed,
        marks_unmatched=played.marks_unmatched,
        clears=played.clears,
        under_runs=played.under_runs,
        leg_messages_ignored=conversation.leg_messages_ignored,
        digits=conversation.digits,
    )
