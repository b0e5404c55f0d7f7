"""Each step of a reply is stamped once; what was not seen is None."""

from __future__ import annotations

from voicecore.facts import TurnTimes
from voicecore.turns.replies import ReplyTimes


def test_the_steps_of_a_reply_are_seconds_since_the_call_began() -> None:
    """One clock, one origin."""
    replies = ReplyTimes(began_at=100.0)
    replies.caller_stopped(101.0)
    replies.generated("r1", 101.3)
    assert replies.sent("r1", 101.5) == 0.5
    replies.heard("r1", 101.75)
    assert replies.times() == [
        TurnTimes(
            response_id="r1",
            caller_stopped_at_s=1.0,
            first_generated_at_s=101.3 - 100.0,
            first_sent_at_s=1.5,
            first_heard_at_s=1.75,
        )
    ]


def test_d2_the_first_stamp_of_a_step_wins() -> None:
    """Later audio of the same response moves nothing."""
    replies = ReplyTimes(0.0)
    for moment in (1.0, 2.0, 3.0):
        replies.generated("r1", moment)
        replies.sent("r1", moment)
        replies.heard("r1", moment)
    (times,) = replies.times()
    assert (times.first_generated_at_s, times.first_sent_at_s, times.first_heard_at_s) == (1.0, 1.0, 1.0)


def test_e4_a_missing_step_is_none_not_zero() -> None:
    """A greeting answers nobody, and was perhaps never sent."""
    replies = ReplyTimes(0.0)
    replies.generated("r1", 0.0)
    (times,) = replies.times()
    assert (times.caller_stopped_at_s, times.first_sent_at_s, times.first_heard_at_s) == (None, None, None)


def test_e3_the_end_of_the_callers_speech_is_charged_to_one_reply_only() -> None:
    """A second response without a caller turn has no such anchor."""
    replies = ReplyTimes(0.0)
    replies.caller_stopped(1.0)
    replies.generated("r1", 1.5)
    replies.generated("r2", 9.0)
    assert [times.caller_stopped_at_s for times in replies.times()] == [1.0, None]


def test_an_interrupted_reply_says_so() -> None:
    """E1: one record a reply, with its end in it."""
    replies = ReplyTimes(0.0)
    replies.generated("r1", 1.0)
    replies.interrupted("r1")
    assert [times.interrupted for times in replies.times()] == [True]
