"""Buffered speech never stops what is playing: whole calls over every policy, direction, delay, moment and lockout."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.facts import CallReport, MessageOutcome
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import Behaviour, Handshake, Pace, Recorded, Reply, Script, Updates
from voicecore.simulation.twilio import At, DialPlan, HangUp, Line, Say
from voicecore_tests.chance import examples
from voicecore_tests.kit import rig, run_seeded, ulaw

GREETING = "Your call is now first in line."
SPOKEN = ulaw("agent-you-are-next")
TALK = Script(
    replies=(
        Reply(GREETING, speech=Recorded("agent-you-are-next")),
        Reply("One moment.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?", "hello?"),
)
WORDS = ulaw("caller-long-it")  # speech without long pauses
HANGS_UP_AT_S = 15.0
NOTICED_S = 0.1  #: speech that began so much earlier has been noticed by the engine's own ear
TALKED_OVER_S = 2.0
SLOW_UPDATES = Updates(answer_s=0.15, effect_s=0.15)
LOCKOUTS = {
    "accepted": Updates(),
    "accepted, far away": SLOW_UPDATES,
    "refused": Updates(refuses_null_turn_detection=True),
    "ignored, and said so": Updates(ignores_null_turn_detection=True),
    "unproven": Updates(answer_s=None),
    "acknowledged late": Updates(answer_s=3.0),
    "restored late": Updates(answers={2: 1.5}, effects={2: 1.5}),
    "restore refused once": Updates(refuses_restore=1),
}
LINKS = {"near": None, "far": LinkSettings(delay_s=0.08)}


@attrs.frozen(kw_only=True)
class Case:
    """One call."""

    moment_s: float = 0.3
    words_s: float = 0.4
    delay_s: float = 0.6
    speaks_first: str = "agent"
    protection: str = "auto"
    user_audio: str = "buffer"
    outbound: bool = False
    prepared: bool = False
    lockout: str = "accepted"
    link: str = "near"
    parked: bool = True
    speed: float = 4.0

    @property
    def is_held(self) -> bool:
        """Whether all that the user says is to be answered; late acknowledgements leave open who does."""
        return (self.speaks_first, self.user_audio) == ("agent", "buffer") and self.lockout != "acknowledged late"

    @property
    def is_whole(self) -> bool:
        return self.protection == "heard" or (self.protection == "auto" and self.outbound)


async def called(case: Case) -> tuple[Line, CallReport]:
    """Run the call; its user says one thing."""
    behaviour = Behaviour(
        pace=Pace(first_delta_s=case.delay_s, speed=case.speed),
        updates=LOCKOUTS[case.lockout],
        handshake=Handshake(created_s=0.05),
    )
    agent: dict[str, Any] = {
        "agent__first_message": GREETING,
        "agent__speaks_first": case.speaks_first,
        "agent__protect_first_message": case.protection,
        "agent__user_audio": case.user_audio,
        "agent__prepare_first_message": case.prepared and case.speaks_first != "user",
        "parking__enabled": case.parked,
    }
    steps = (Say(At(case.moment_s), WORDS[: round(8000 * case.words_s)]), HangUp(At(HANGS_UP_AT_S)))
    async with rig(TALK, behaviour, link=LINKS[case.link], **agent) as it:
        if case.outbound:
            await it.dial(DialPlan(ring_s=2.0, script=steps))
            line = it.dialled.line
        else:
            line = await it.carrier.call(it.engine.url, steps)
            await it.engine.drain()
        assert line is not None
        return line, it.report


def is_as_promised(case: Case, line: Line, report: CallReport) -> bool:
    """Whether the message was heard whole, or live speech over its audible words stopped it."""
    media, message = report.media, report.first_message
    assert message is not None
    assert media.user_forwarded_bytes + sum(media.user_dropped_bytes.values()) == media.user_received_bytes
    is_heard = SPOKEN in line.playout.heard_bytes()
    assert (message.outcome is MessageOutcome.HEARD) is is_heard
    if is_heard:
        return True
    heard_s = message.first_heard_s or math.inf
    began_live = case.moment_s > heard_s - NOTICED_S
    went_on = case.moment_s + case.words_s > heard_s + TALKED_OVER_S - NOTICED_S
    return message.outcome is MessageOutcome.INTERRUPTED and not case.is_whole and (began_live or went_on)


def answered(report: CallReport) -> list[str | None]:
    return [line.text for line in report.transcript]


MOMENTS = st.floats(0.0, 4.0).map(lambda moment: round(moment, 3))
CASES = st.builds(
    Case,
    moment_s=MOMENTS,
    words_s=st.sampled_from([0.15, 0.4, 0.8, 1.5, 3.0]),
    delay_s=st.sampled_from([0.1, 0.6, 2.0]),
    speaks_first=st.sampled_from(["agent", "user", "whoever"]),
    protection=st.sampled_from(["auto", "heard", "first_audio"]),
    user_audio=st.sampled_from(["buffer", "drop", "forward"]),
    outbound=st.booleans(),
    prepared=st.booleans(),
    lockout=st.sampled_from(sorted(LOCKOUTS)),
    link=st.sampled_from(sorted(LINKS)),
    parked=st.booleans(),
    speed=st.sampled_from([1.2, 4.0]),
)


@examples(25)
@given(case=CASES)
def test_what_was_held_never_stops_the_message(case: Case) -> None:
    """Whatever the policy, the direction, the provider and the moment; and buffered speech is answered once."""
    line, report = run_seeded(lambda: called(case))
    assert is_as_promised(case, line, report)
    if case.is_held and case.words_s < 2.0:
        assert answered(report).count("One moment.") == 1


@pytest.mark.parametrize("delay_s", [0.6, 1.5])
@pytest.mark.parametrize("moment_s", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("lockout", LOCKOUTS)
def test_a_hello_before_the_greeting_of_a_call_that_comes_in_is_answered_once_and_stops_nothing(
    delay_s: float, moment_s: float, lockout: str
) -> None:
    """The default: protected until its first audio, buffered meanwhile; also a hello that overlaps its start."""
    case = Case(delay_s=delay_s, moment_s=moment_s, lockout=lockout)
    line, report = run_seeded(lambda: called(case))
    assert is_as_promised(case, line, report)
    message = report.first_message
    assert message is not None
    assert message.first_heard_s is not None
    if message.first_heard_s - NOTICED_S > moment_s:
        assert message.outcome is MessageOutcome.HEARD
        texts = answered(report)
        assert texts[:3] == [GREETING, "hello?", "One moment."]
        assert len(texts) == 3 or lockout == "acknowledged late"  # nobody knows then whether the session replies
