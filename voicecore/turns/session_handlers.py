"""What an event of the session leads to.

Pure; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.agent_speech import TextEvent
from voicecore.turns.machines import Handler, Machines, Step
from voicecore.turns.orders import EndCall, Notify
from voicecore.turns.session_traits import NO_LOCKOUT

NOT_AS_ASKED = "is not as asked for"

# --- the user -----------------------------------------------------------------------


def _speech_started(its: Machines, event: ev.UserSpeechStarted, now: float) -> Iterator[Step]:
    opening = its.opening
    is_protected = opening is not None and (opening.protects or its.speech.audible_since is None)
    may_stop = not is_protected and not its.taking.is_ending  # what plays then is all that will be heard
    yield from its.taking.user_started(event, now, may_stop=may_stop)


def _speech_stopped(its: Machines, event: ev.UserSpeechStopped, now: float) -> Iterator[Step]:
    yield from its.taking.user_stopped(event, now)


def _turn_committed(its: Machines, event: ev.UserTurnCommitted, now: float) -> Iterator[Step]:
    its.last_words.committed(event.item_id)
    opening = its.opening
    if opening is None:
        yield from its.taking.committed(event.item_id, now)
        return
    later = not opening.answers_turns and not its.session.replies  # answered behind the message, not by it
    yield from its.taking.committed(event.item_id, now, later=later, awaits_message=True)
    yield from its.close_behind(opening.user_turn(now), now)


def _user_text(its: Machines, event: ev.UserTranscriptPart, now: float) -> Iterator[Step]:
    if its.transcript.extend(facts.Speaker.USER, event.item_id, event.text):
        yield from its.taking.user_words(event.item_id, now, complete=False)


def _user_text_done(its: Machines, event: ev.UserTranscriptDone, now: float) -> Iterator[Step]:
    its.transcript.complete(facts.Speaker.USER, event.item_id, event.text)
    its.last_words.known(event.item_id)
    yield Notify(facts.UserSaid(its.notifier.at(now), event.item_id, event.text))
    yield from its.taking.user_words(event.item_id, now, complete=True)


def _user_text_failed(its: Machines, event: ev.UserTranscriptFailed, now: float) -> Iterator[Step]:
    its.transcript.add(facts.Speaker.USER, event.item_id)
    its.last_words.known(event.item_id)
    yield Notify(facts.UserSaid(its.notifier.at(now), event.item_id, None))
    yield from its.notifier.problem(event.code, event.message or "a turn could not be transcribed", now)
    yield from its.taking.user_words(event.item_id, now, complete=True)


# --- the agent ----------------------------------------------------------------------


def _response_started(its: Machines, event: ev.ResponseStarted, now: float) -> Iterator[Step]:
    event = its.speech.named(event, may_be_own=its.taking.turns.session_owes_reply)
    yield from its.speech.started(event, now)
    if its.speech.may_be_heard(event.response_id):
        yield from its.taking.response_began(event, now)
    if its.opening is not None:
        yield from its.close_behind(its.opening.started(event, now), now)


def _written(its: Machines, event: TextEvent, now: float) -> Iterator[Step]:
    yield from its.speech.write(event, now)


def _agent_audio(its: Machines, event: ev.AgentAudio, now: float) -> Iterator[Step]:
    if not its.speech.admit(event, now):
        return
    refused = its.speech.dropped_bytes["no_room"]
    yield from its.speech.play(event, now)
    if its.speech.dropped_bytes["no_room"] != refused:
        its.notifier.problems["playout_full"] += 1
    if its.opening is not None:
        yield from its.close_behind(its.opening.audio(event, now), now)


def _agent_audio_ended(its: Machines, event: ev.AgentAudioEnded, _now: float) -> Iterator[Step]:
    yield from its.speech.item_ended(event.item_id)


def _tool_call(its: Machines, event: ev.ToolCallRequested, _now: float) -> Iterator[Step]:
    yield from its.taking.replies.tool_called(event)


def _response_ended(its: Machines, event: ev.ResponseEnded, now: float) -> Iterator[Step]:
    if its.speech.has_ended(event.response_id):
        return
    if event.usage is not None:
        its.usage += event.usage
    yield from its.speech.ended(event, now)
    is_fatal = event.severity is ev.Severity.FATAL
    if is_fatal:
        yield from its.taking.replies.session_failed(event, now)
    if its.opening is not None and its.opening.says(event.response_id):
        yield from its.close_behind(its.opening.ended(event, now), now)
    elif not is_fatal:
        yield from its.taking.replies.response_ended(event, now)


# --- the session itself ---------------------------------------------------------------


def _discarded(its: Machines, event: ev.UserAudioDiscarded, now: float) -> Iterator[Step]:
    if its.opening is not None:
        yield from its.close_behind(its.opening.discarded(event, now), now)


def _reconfigured(its: Machines, event: ev.SessionReconfigured, now: float) -> Iterator[Step]:
    its.session.capabilities = event.capabilities
    is_lifted = event.lock is ev.LockoutState.RESTORED
    its.session.lockout = NO_LOCKOUT if is_lifted else (its.session.lockout[0], event.lock)
    for key in event.differences:
        yield from its.notifier.problem(f"notice: {key}", NOT_AS_ASKED, now)
    if its.opening is not None:
        yield from its.close_behind(its.opening.reconfigured(event, now), now)


def _problem(its: Machines, event: ev.SessionProblem, now: float) -> Iterator[Step]:
    code = event.code or "unnamed"
    if event.severity is ev.Severity.HARMLESS:
        its.notifier.problems[code] += 1
        return
    yield from its.notifier.problem(code, event.message, now)
    if event.severity is ev.Severity.FATAL:
        words = f"{code}: {event.message}" if event.message else code
        yield EndCall(facts.EndCause.SESSION_LOST, f"the provider ended the session: {words}")
    else:
        yield from _refused(its, event, code, now)


def _refused(its: Machines, event: ev.SessionProblem, code: str, now: float) -> Iterator[Step]:
    """The provider did not do what one request asked for, perhaps because another response runs."""
    busy = event.severity is ev.Severity.BUSY
    if its.opening is not None:
        yield from its.close_behind(its.opening.refused(event.request_id, code, now, busy=busy), now)
    yield from its.speech.refused(event.request_id, now, busy=busy)
    if busy or event.request_id is not None:
        yield from its.taking.replies.request_refused(now)
    if busy and event.request_id is None and its.opening is None:
        yield from its.taking.replies.session_refused(now)


def _notice(its: Machines, event: ev.SessionNotice, now: float) -> Iterator[Step]:
    yield from its.notifier.problem(f"notice: {event.name}", event.why, now)


def _nothing_follows(_its: Machines, _event: object, _now: float) -> tuple[()]:
    """An event that confirms what is known already, or that another one says better."""
    return ()


SESSION_HANDLERS: Mapping[type, Handler] = {
    ev.UserSpeechStarted: _speech_started,
    ev.UserSpeechStopped: _speech_stopped,
    ev.UserTurnCommitted: _turn_committed,
    ev.UserTranscriptPart: _user_text,
    ev.UserTranscriptDone: _user_text_done,
    ev.UserTranscriptFailed: _user_text_failed,
    ev.ResponseStarted: _response_started,
    ev.AgentItemAdded: _written,
    ev.AgentAudio: _agent_audio,
    ev.AgentAudioEnded: _agent_audio_ended,
    ev.AgentTextPart: _written,
    ev.AgentTextDone: _written,
    ev.ToolCallRequested: _tool_call,
    ev.ResponseEnded: _response_ended,
    ev.SessionProblem: _problem,
    ev.SessionNotice: _notice,
    ev.UserAudioDiscarded: _discarded,
    ev.SessionReconfigured: _reconfigured,
    ev.ItemTruncated: _nothing_follows,  # the transcript is cut when it is asked for
    ev.ItemDeleted: _nothing_follows,  # likewise
    ev.SilenceTimedOut: _nothing_follows,  # the turn that the provider makes of it is committed like any other
}
