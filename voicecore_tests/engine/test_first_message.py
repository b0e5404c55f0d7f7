"""The first message on whole calls: heard, or reported; in every variant of what providers do to a lockout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.agent import Agent
from voicecore.errors import ConfigError
from voicecore.facts import CallReport, EndCause, MessageOutcome, SpokeOverMessage
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import (
    Behaviour,
    Handshake,
    Pace,
    RealtimeTwin,
    Recorded,
    Reply,
    ResponseFault,
    Script,
    Tone,
    Updates,
)
from voicecore.simulation.twilio import (
    AfterAgent,
    At,
    DialPlan,
    HangUp,
    Line,
    LineFaults,
    MarkOrder,
    Say,
    open_twilio,
)
from voicecore.simulation.world import simulated_world
from voicecore_tests.engine.naive import naive_application
from voicecore_tests.kit import LIMIT_S, Rig, asked, rig, ulaw

GREETING = "Your call is now first in line."
FIRST = Reply(GREETING, speech=Recorded("agent-you-are-next"))
ANSWER = Reply("One moment.", speech=Recorded("agent-one-moment"))
TALK = Script(replies=(FIRST, ANSWER), hears=("hello?", "hello?"))
SPOKEN = ulaw("agent-you-are-next")
HELLO = ulaw("caller-hello-it")
HELLOS = (Say(At(0.04), HELLO), Say(At(1.5), HELLO), HangUp(At(25.0)))
SLOWLY = Pace(first_delta_s=0.3, speed=4.0)
VARIANTS = {
    "healthy": Behaviour(),
    "update refused whole": Behaviour(updates=Updates(refused=frozenset({1}))),
    "null refused": Behaviour(updates=Updates(refuses_null_turn_detection=True)),
    "applied late": Behaviour(updates=Updates(effect_s=1.5)),
    "acknowledged late": Behaviour(updates=Updates(answer_s=3.5)),
    "never acknowledged": Behaviour(updates=Updates(answer_s=None)),
    "null kept, and the echo says so": Behaviour(updates=Updates(ignores_null_turn_detection=True)),
    "null kept silently": Behaviour(updates=Updates(acknowledges_null_but_keeps=True)),
    "flat field ignored": Behaviour(updates=Updates(ignores_flat_turn_detection=True)),
    "speech before the update": Behaviour(
        handshake=Handshake(speech_before_update_s=(0.0, 0.9)), updates=Updates(answer_s=0.2, effect_s=0.2)
    ),
    "idle timer after the restore": Behaviour(updates=Updates(stale_idle_after_restore_s=0.3)),
    "restore refused once": Behaviour(updates=Updates(refuses_restore=1)),
    "events in pieces": Behaviour(unknown_event_every=3),
}
HOWS: dict[str, dict[str, Any]] = {
    "parked": {},
    "cold": {"parking__enabled": False},
    "prepared": {"agent__prepare_first_message": True},
    "forwarded": {"agent__user_audio": "forward"},
    "dropped": {"agent__user_audio": "drop"},
}


def outcome(line: Line | None, report: CallReport | None) -> str:
    """What the user got, judged by what the line played: "heard" whole, "reported" as lost, or "swallowed"."""
    assert line is not None
    if SPOKEN in line.playout.heard_bytes():
        return "heard"
    message = report.first_message if report is not None else None
    told = message is not None and message.outcome in {MessageOutcome.UNDELIVERED, MessageOutcome.DROPPED}
    return "reported" if told else "swallowed"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({}, [True, True]),
        ({"agent__user_audio": "forward"}, [True, True]),
        ({"agent__user_audio": "drop"}, [False, False]),
        ({"agent__protect_first_message": "off"}, []),
    ],
    ids=["held", "forwarded", "dropped", "unprotected"],
)
async def test_what_is_said_over_a_protected_message_is_told_when_it_is_said(
    autojump_clock: MockClock, overrides: dict[str, Any], told: list[bool]
) -> None:
    """Once for each utterance, with whether the agent will ever get it; unprotected, it is a barge-in instead."""
    async with rig(TALK, agent__first_message=GREETING, **overrides) as it:
        await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    spoken = it.facts_of(SpokeOverMessage)
    assert [fact.kept for fact in spoken] == told
    assert all(0.04 < fact.at_s < 2.0 for fact in spoken)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("variant", VARIANTS)
async def test_b1_b2_b3_the_first_message_is_heard_in_every_variant(
    autojump_clock: MockClock, variant: str, how: str
) -> None:
    """The user says hello at once, and again over it."""
    behaviour = attrs.evolve(VARIANTS[variant], pace=SLOWLY)
    given = HOWS[how]
    async with rig(TALK, behaviour, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=3.0, script=HELLOS))
    assert outcome(it.dialled.line, report) in {"heard", "reported"}
    if how != "forwarded":  # what the provider never hears can cancel nothing
        assert outcome(it.dialled.line, report) == "heard" or variant == "speech before the update"
    assert report.first_message is not None
    assert (report.first_message.outcome is MessageOutcome.HEARD) is (outcome(it.dialled.line, report) == "heard")
    assert_every_user_byte_is_accounted_for(it, report)


def assert_every_user_byte_is_accounted_for(it: Rig, report: CallReport) -> None:
    media, line = report.media, it.dialled.line
    assert line is not None
    assert media.user_forwarded_bytes + sum(media.user_dropped_bytes.values()) == media.user_received_bytes
    assert media.user_received_bytes <= len(line.sent_audio)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_the_naive_sequence_swallows_it_in_every_variant(autojump_clock: MockClock, variant: str) -> None:
    """The proof that the test above can fail: the same user, the same twins, the same judge."""
    behaviour = attrs.evolve(VARIANTS[variant], pace=SLOWLY)
    simulated = simulated_world()
    provider = RealtimeTwin(simulated.world, TALK, behaviour)
    with trio.fail_after(LIMIT_S):
        async with (
            provider.serve() as provider_url,
            naive_application(simulated.world, provider_url) as url,
            open_twilio(simulated.world) as carrier,
        ):
            line = await carrier.call(url, HELLOS)
    assert outcome(line, None) == "swallowed"


async def test_the_naive_sequence_is_heard_by_a_user_who_keeps_quiet(autojump_clock: MockClock) -> None:
    """The judge can say both."""
    simulated = simulated_world()
    provider = RealtimeTwin(simulated.world, TALK, Behaviour(pace=SLOWLY))
    async with (
        provider.serve() as provider_url,
        naive_application(simulated.world, provider_url) as url,
        open_twilio(simulated.world) as carrier,
    ):
        line = await carrier.call(url, [HangUp(At(15.0))])
    assert outcome(line, None) == "heard"


async def test_b1_parked_and_cold_come_to_the_same(autojump_clock: MockClock) -> None:
    """The same outcome, the same transcript, the same answer to the hello."""
    texts = []
    for enabled in (True, False):
        async with rig(TALK, Behaviour(pace=SLOWLY), agent__first_message=GREETING, parking__enabled=enabled) as it:
            report = await it.dial(DialPlan(ring_s=3.0, script=(Say(At(0.04), HELLO), HangUp(AfterAgent(2.0)))))
        assert report.first_message is not None
        texts.append((report.first_message.outcome, [line.text for line in report.transcript]))
    assert texts[0] == texts[1] == (MessageOutcome.HEARD, [GREETING, "hello?", "One moment."])


async def test_b2_a_refused_lockout_is_said_and_the_gate_protects_alone(autojump_clock: MockClock) -> None:
    """The request for the greeting waits for the answer to the update; the report explains."""
    behaviour = attrs.evolve(VARIANTS["null refused"], pace=SLOWLY)
    async with rig(TALK, behaviour, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=3.0, script=HELLOS))
    message = report.first_message
    assert message is not None
    assert (message.outcome, message.protection) == (MessageOutcome.HEARD, "the local gate alone")
    assert "the provider's lockout was not in force" in message.verdict
    kinds = [request["type"] for request in it.session.requests]
    assert kinds.index("response.create") > 1  # two updates before it: with the lockout, and without
    assert "notice: lockout" in report.problems


async def test_b3_an_acknowledgement_that_never_comes_delays_the_greeting_by_its_bound_only(
    autojump_clock: MockClock,
) -> None:
    """Two seconds, and a ping that proves the peer alive."""
    behaviour = Behaviour(updates=Updates(answer_s=None))
    async with rig(TALK, behaviour, agent__first_message=GREETING, parking__enabled=False) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    assert report.turns[0].first_sent_at_s is not None
    assert report.turns[0].first_sent_at_s < 2.5


async def test_b4_turn_detection_is_restored_once_and_after_the_last_mark(autojump_clock: MockClock) -> None:
    """Cleared, restored, acknowledged; then the buffered words arrive."""
    async with rig(TALK, Behaviour(pace=SLOWLY), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    updates = [request for request in it.session.requests if request["type"] == "session.update"]
    detections = [update["session"]["audio"]["input"]["turn_detection"] for update in updates]
    assert [detection and detection["type"] for detection in detections] == [None, "server_vad"]
    kinds = [request["type"] for request in it.session.requests]
    assert kinds.count("input_audio_buffer.clear") == 1
    assert kinds.index("input_audio_buffer.clear") < len(kinds) - 1 - kinds[::-1].index("session.update")
    message = report.first_message
    assert message is not None
    assert message.heard_s is not None
    lifted = next(line for line in message.trace if line.what == "the protection is lifted")
    assert lifted.at_s == pytest.approx(message.heard_s)


@pytest.mark.parametrize(
    "fault", [ResponseFault.FAILED, ResponseFault.INCOMPLETE, ResponseFault.SILENT, ResponseFault.LOST]
)
async def test_b5_b6_a_lost_first_message_is_asked_for_once_more_and_the_user_is_heard_after_it(
    autojump_clock: MockClock, fault: ResponseFault
) -> None:
    """Failed, cut off, silent, or without an end: never silence, and turn detection comes back."""
    script = Script(replies=(FIRST, FIRST, ANSWER), hears=TALK.hears)
    user = (Say(At(0.04), HELLO), HangUp(At(40.0)))
    async with rig(script, Behaviour(responses={1: fault}, pace=SLOWLY), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=user))
    message = report.first_message
    assert message is not None
    assert (message.outcome, message.requests) == (MessageOutcome.HEARD, 2)
    assert "a try was lost" in message.verdict
    assert outcome(it.dialled.line, report) == "heard"
    assert [line.text for line in report.transcript if line.text][-2:] == ["hello?", "One moment."]


async def test_b6_lost_twice_is_reported_and_the_call_goes_on(autojump_clock: MockClock) -> None:
    """Two requests; then the user is let in and answered."""
    faults = {1: ResponseFault.FAILED, 2: ResponseFault.FAILED}
    async with rig(TALK, Behaviour(responses=faults, pace=SLOWLY), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.requests) == (MessageOutcome.UNDELIVERED, 2)
    assert report.problems["message_undelivered"] == 1
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert report.transcript[-1].text == "One moment."


async def test_b7_the_first_message_is_the_agents_in_every_history(autojump_clock: MockClock) -> None:
    """In the record and at the provider; nothing replies to it while the user is silent."""
    async with rig(TALK, Behaviour(pace=SLOWLY), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=(HangUp(At(12.0)),)))
    assert [(line.speaker.value, line.text) for line in report.transcript] == [("agent", GREETING)]
    roles = [item.body["role"] for item in it.session.session.conversation.items]
    assert (roles, len(it.session.session.responses)) == (["assistant"], 1)


async def test_b8_the_reader_of_the_leg_never_waits_for_the_greeting(autojump_clock: MockClock) -> None:
    """A stop 100 ms after pickup ends the call at once."""
    long = Script(replies=(Reply(GREETING, speech=Tone(10.0)),))
    async with rig(long, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=(HangUp(At(0.1)),)))
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert report.duration_s < 0.3
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.DROPPED


async def test_b9_a_prepared_greeting_is_paced_like_any_other(autojump_clock: MockClock) -> None:
    """Ten seconds are ready before pickup; the carrier never has more than its lead."""
    long = Script(replies=(Reply(GREETING, speech=Tone(10.0)),))
    given: dict[str, Any] = {"agent__prepare_first_message": True}
    async with rig(long, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=5.0, script=(HangUp(At(3.0)),)))
    line = it.dialled.line
    assert line is not None
    sent = sum(entry.size_bytes for entry in line.ledger if entry.kind == "media" and entry.direction == "in")
    assert sent / 8000 <= 3.0 + 0.2 + 0.01
    assert report.turns[0].first_sent_at_s == 0.0
    (parked,) = report.parked
    assert parked.prepared_s == pytest.approx(10.0, abs=0.2)


async def test_b11_words_before_slow_speech_are_answered(autojump_clock: MockClock) -> None:
    """Buffered by the gate while the greeting is slow, and then heard."""
    slow = Behaviour(pace=Pace(first_delta_s=3.0))
    async with rig(TALK, slow, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=(Say(At(0.5), HELLO), HangUp(At(20.0)))))
    assert [line.text for line in report.transcript] == [GREETING, "hello?", "One moment."]


async def test_b12_a_cut_reaches_a_greeting_whose_source_is_silent(autojump_clock: MockClock) -> None:
    """Unprotected, half of it came and no more: the barge-in works, and so does the next turn."""
    behaviour = Behaviour(responses={1: ResponseFault.LOST}, pace=SLOWLY)
    given: dict[str, Any] = {"agent__protect_first_message": "off"}
    user = (Say(At(1.2), HELLO), HangUp(At(30.0)))
    async with rig(TALK, behaviour, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=user))
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert report.transcript[-1].text == "One moment."


async def test_b14_the_calls_own_first_message_is_what_the_user_hears(autojump_clock: MockClock) -> None:
    """In each mode."""
    for given in HOWS.values():
        async with rig(TALK, agent__first_message="Not this.", **given) as it:
            agent = Agent(instructions="Be brief.", first_message="But this.")
            await it.dial(DialPlan(ring_s=1.0, script=HELLOS), agent=agent)
        assert asked(it.session)[0].endswith("\nBut this.")


@pytest.mark.parametrize("how", ["parked", "cold", "prepared"])
async def test_b16_nothing_leaves_before_the_stream_has_started_and_all_of_it_after(
    autojump_clock: MockClock, how: str
) -> None:
    """Whatever is ready first; a lead-in can be set."""
    given: dict[str, Any] = {**HOWS[how], "agent__lead_in_ms": 300}
    async with rig(TALK, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=2.0, script=(HangUp(AfterAgent(1.0)),)))
    line = it.dialled.line
    assert line is not None
    assert outcome(line, report) == "heard"
    assert line.playout.violations == []
    first = next(entry.at for entry in line.ledger if entry.direction == "in" and entry.kind == "media")
    assert first - line.began_at >= 0.3 - 1e-9
    assert report.first_message is not None
    assert report.first_message.first_heard_s is not None


async def test_b18_the_callee_greets_first_where_that_is_the_policy(autojump_clock: MockClock) -> None:
    """Turn 0 is the callee's; the first message is the answer to it, and the only one."""
    given: dict[str, Any] = {"agent__speaks_first": "user"}
    user = (Say(At(0.5), HELLO), HangUp(AfterAgent(1.0)))
    async with rig(TALK, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=user))
    assert [(line.speaker.value, line.text) for line in report.transcript] == [
        ("user", "hello?"),
        ("agent", GREETING),
    ]
    assert len(it.session.session.responses) == 1


async def test_b18_and_the_agent_waits_no_longer_than_the_limit(autojump_clock: MockClock) -> None:
    """A callee who lifts the receiver and says nothing."""
    given: dict[str, Any] = {"agent__speaks_first": "user", "agent__hello_wait_ms": 1500}
    async with rig(TALK, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=(HangUp(AfterAgent(1.0)),)))
    assert report.turns[0].first_sent_at_s == pytest.approx(1.75, abs=0.06)


async def test_b17_whoever_begins_has_the_floor(autojump_clock: MockClock) -> None:
    """The callee speaks at the moment of the first frame: the message follows the words."""
    given: dict[str, Any] = {"agent__speaks_first": "whoever", "agent__prepare_first_message": True}
    slow = Behaviour(pace=Pace(first_delta_s=2.2))
    async with rig(TALK, slow, agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=2.0, script=(Say(At(0.0), HELLO), HangUp(AfterAgent(1.0)))))
    first = report.turns[0].first_sent_at_s
    assert first is not None
    assert first > 0.6
    assert outcome(it.dialled.line, report) == "heard"


async def test_b20_without_any_mark_the_floor_opens_all_the_same(autojump_clock: MockClock) -> None:
    """At the computed end plus a margin; the report says that no mark proves it."""
    faults = LineFaults(mark_returns=MarkOrder.NEVER)
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS, line=faults))
    message = report.first_message
    assert message is not None
    assert (message.outcome, message.heard_by) == (MessageOutcome.HEARD, None)
    assert report.transcript[-1].text == "One moment."


@pytest.mark.parametrize(("rule", "reasons"), [("buffer", set()), ("drop", {"first_message"}), ("forward", set())])
async def test_what_becomes_of_user_audio_is_a_policy(autojump_clock: MockClock, rule: str, reasons: set[str]) -> None:
    """Buffered and answered, dropped and counted, or sent to the model at once."""
    given: dict[str, Any] = {"agent__user_audio": rule}
    user = (Say(At(0.2), HELLO), HangUp(At(20.0)))
    async with rig(TALK, Behaviour(pace=SLOWLY), agent__first_message=GREETING, **given) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=user))
    assert set(report.media.user_dropped_bytes) == reasons
    assert (report.transcript[-1].text == "One moment.") is (rule != "drop")
    assert outcome(it.dialled.line, report) == "heard"
    assert_every_user_byte_is_accounted_for(it, report)


async def test_a_greeting_that_waits_for_a_slow_session_is_still_protected(autojump_clock: MockClock) -> None:
    """Cold, with a handshake of 300 ms and a user who is faster."""
    behaviour = Behaviour(handshake=Handshake(accept_s=0.1, created_s=0.1), updates=Updates(answer_s=0.1, effect_s=0.1))
    async with rig(TALK, behaviour, agent__first_message=GREETING, parking__enabled=False) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    assert outcome(it.dialled.line, report) == "heard"
    assert report.pickup is not None
    assert report.pickup.source == "cold"
    assert report.pickup.waited_s == pytest.approx(0.3, abs=0.02)


async def test_a_recorded_first_message_is_played_as_it_is_at_the_moment_of_pick_up(
    autojump_clock: MockClock,
) -> None:
    """From a WAV file of any rate; no session is needed for it, and its words are in every history as the agent's."""
    wav = (Path(recordings.__file__).parent / "recordings" / "agent-hello.wav").read_bytes()
    given: dict[str, Any] = {
        "agent__first_message_file": "/hello.wav",
        "parking__enabled": False,
        "files": {"/hello.wav": wav},
    }
    slow = Behaviour(handshake=Handshake(created_s=0.5))
    script = Script(replies=(ANSWER,), hears=("hello?",))
    async with rig(script, slow, agent__first_message="Hello.", **given) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=(Say(At(0.04), HELLO), HangUp(AfterAgent(1.5)))))
    line = it.dialled.line
    assert line is not None
    assert ulaw("agent-hello") in line.playout.heard_bytes()
    assert report.turns[0].first_sent_at_s == 0.0
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.requests) == (MessageOutcome.HEARD, 0)
    assert [entry.text for entry in report.transcript] == ["Hello.", "hello?", "One moment."]
    roles = [item.body["role"] for item in it.session.session.conversation.items]
    assert roles == ["assistant", "user", "assistant"]


@pytest.mark.parametrize(("data", "said"), [(None, "cannot be read: No such file"), (b"MP3", "not a WAV file")])
async def test_a_recording_that_cannot_be_played_is_named_before_any_call(
    autojump_clock: MockClock, data: bytes | None, said: str
) -> None:
    """By its key, when the engine opens."""
    given: dict[str, Any] = {"agent__first_message_file": "/hello.wav", "files": {"/hello.wav": data} if data else {}}
    with pytest.raises(ConfigError, match=said) as wrong:
        async with rig(TALK, agent__first_message="Hello.", **given):
            pass
    assert wrong.value.key == "agent.first_message_file"
