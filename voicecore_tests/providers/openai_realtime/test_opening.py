"""Opening a session with a lockout: the effective configuration decides, also if it arrives late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trio.testing import MockClock

from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.errors import ProviderRefused
from voicecore.events import (
    AddAgentText,
    AgentAudio,
    AppendUserAudio,
    Lockout,
    LockoutState,
    RequestResponse,
    ResponseEnded,
    RestoreTurnDetection,
    SessionEvent,
    SessionNotice,
    SessionProblem,
    SessionReconfigured,
    Severity,
)
from voicecore.ports import Brief, Session
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.simulation.openai_realtime import (
    READY_MADE,
    Behaviour,
    RealtimeTwin,
    Rewrite,
    TwinConnection,
    Updates,
    replaced,
)
from voicecore.simulation.world import simulated_world
from voicecore.wire.openai_realtime import SemanticVad, ServerVad


@asynccontextmanager
async def opened(
    updates: Updates | None = None,
    lockout: Lockout = Lockout.DETECTION_OFF,
    *,
    rewrites: tuple[Rewrite, ...] = (),
    **settings: object,
) -> AsyncIterator[tuple[Session, TwinConnection]]:
    """Open a session with the twin under a lockout."""
    world = simulated_world().world
    twin = RealtimeTwin(world, behaviour=Behaviour(updates=updates or Updates(), rewrites=rewrites))
    async with twin.serve() as base_url:
        provider = OpenAIRealtime(api_key="key", base_url=base_url, **settings)  # type: ignore[arg-type]
        brief = Brief(instructions="Be brief.", audio_format=PCMU_8K, lockout=lockout)
        async with provider.open_session(world, brief) as session:
            yield session, twin.connections[-1]


async def first(session: Session, kind: type[SessionEvent]) -> SessionEvent:
    """Return the next event of a kind."""
    while True:
        for event in await session.receive():
            if isinstance(event, kind):
                return event


@pytest.mark.parametrize(
    ("updates", "lock", "replies"),
    [
        (Updates(), LockoutState.IN_FORCE, False),
        (Updates(refused=frozenset({1})), LockoutState.REFUSED, True),
        (Updates(refuses_null_turn_detection=True), LockoutState.REFUSED, True),
        (Updates(ignores_null_turn_detection=True), LockoutState.UNCONFIRMED, True),
        (Updates(acknowledges_null_but_keeps=True), LockoutState.IN_FORCE, False),
        (Updates(answer_s=None), LockoutState.UNCONFIRMED, True),
        (Updates(effect_s=1.0), LockoutState.IN_FORCE, False),
    ],
    ids=["healthy", "refused", "null refused", "ignored", "a lie", "no answer", "applied late"],
)
async def test_b2_what_is_known_of_a_lockout_is_what_was_echoed(
    autojump_clock: MockClock, updates: Updates, lock: LockoutState, replies: bool
) -> None:
    """Refused, it is left out; without proof it is not relied on, and the session counts as doing all it might."""
    async with opened(updates) as (session, _):
        assert (session.lock, session.capabilities.replies) == (lock, replies)
        assert session.agent_format == PCMU_8K


async def test_without_a_lockout_none_is_claimed(autojump_clock: MockClock) -> None:
    """The plain session."""
    async with opened(lockout=Lockout.NONE) as (session, connection):
        assert (session.lock, session.capabilities.replies) == (LockoutState.NOT_REQUESTED, True)
        assert connection.session.effective["audio"]["input"]["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize("detection", [ServerVad(idle_timeout_ms=6000), SemanticVad(eagerness="low")])
async def test_a_listening_lockout_hears_and_does_nothing_by_itself(
    autojump_clock: MockClock, detection: ServerVad | SemanticVad
) -> None:
    """Turns are committed; no reply, no interruption, no prompt into the silence."""
    async with opened(lockout=Lockout.NO_REPLY, turn_detection=detection) as (session, connection):
        assert session.lock is LockoutState.IN_FORCE
        assert (session.capabilities.detects_turns, session.capabilities.interrupts) == (True, False)
        given = connection.session.effective["audio"]["input"]["turn_detection"]
        assert (given["create_response"], given["interrupt_response"]) == (False, False)
        assert given.get("idle_timeout_ms") is None


async def test_unlocking_restores_the_whole_turn_detection_and_nothing_else(autojump_clock: MockClock) -> None:
    """A nested update with the complete object; its acknowledgement is reported."""
    async with opened(turn_detection=ServerVad(threshold=0.7, idle_timeout_ms=6000)) as (session, connection):
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.lock, event.differences, event.capabilities.replies) == (LockoutState.RESTORED, (), True)
        update = connection.requests[-1]
        assert update["session"] == {
            "type": "realtime",
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.7,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 500,
                        "create_response": True,
                        "interrupt_response": True,
                        "idle_timeout_ms": 6000,
                    }
                }
            },
        }
        assert connection.session.effective["instructions"] == "Be brief."


async def test_b3_a_late_echo_proves_the_lockout_and_is_not_taken_for_its_end(autojump_clock: MockClock) -> None:
    """The opening went on without it; the session's configuration is compared when it comes."""
    async with opened(Updates(answer_s=3.5)) as (session, _):
        assert session.lock is LockoutState.UNCONFIRMED
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.lock, event.capabilities.replies) == (LockoutState.IN_FORCE, False)


async def test_a_restore_that_is_ignored_is_told_by_its_keys(autojump_clock: MockClock) -> None:
    """Acknowledged, but the effective configuration does not show it."""
    async with opened(Updates(effects={2: None})) as (session, _):
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.lock, event.differences) == (LockoutState.UNCONFIRMED, ("audio.input.turn_detection",))


async def test_a_restore_that_is_refused_names_its_request(autojump_clock: MockClock) -> None:
    """So that the protection knows."""
    async with opened(Updates(refuses_restore=1)) as (session, _):
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionProblem)
        assert isinstance(event, SessionProblem)
        assert (event.request_id, event.severity) == ("unlock-1", Severity.REFUSED)


async def test_a_configuration_that_is_refused_without_its_lockout_too_opens_nothing(
    autojump_clock: MockClock,
) -> None:
    """It was not the lockout."""
    with pytest.raises(ProviderRefused, match="invalid_value"):
        async with opened(Updates(refused=frozenset({1, 2}))):
            pass


async def test_formats_that_never_become_what_was_asked_for_are_obeyed(autojump_clock: MockClock) -> None:
    """Requested again until the time limit; then the effective format is used."""
    async with opened(Updates(effect_s=None)) as (session, connection):
        assert (session.user_format, session.agent_format) == (PCM16_24K, PCM16_24K)
        assert len(connection.requests) > 1


SAYS_NOTHING = ["formats of null", "updated without audio", "updated without a session", "G.711 at 24 kHz"]


@pytest.mark.parametrize("name", [*SAYS_NOTHING, "formats as names", "milliseconds as floats", "created without audio"])
async def test_an_echo_that_names_no_other_format_is_asked_for_nothing_more(
    autojump_clock: MockClock, name: str
) -> None:
    """One update; the requested format holds, at the opening and after it."""
    async with opened(rewrites=(READY_MADE[name],)) as (session, connection):
        assert (session.user_format, session.agent_format) == (PCMU_8K, PCMU_8K)
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.lock, event.differences) == (LockoutState.RESTORED, ())
        assert len(connection.updates) == 2


@pytest.mark.parametrize("lockout", [Lockout.NONE, Lockout.DETECTION_OFF])
async def test_turn_detection_that_is_not_shown_is_as_asked_for_but_for_a_lockout(
    autojump_clock: MockClock, lockout: Lockout
) -> None:
    """A lockout wants proof; without one the session counts as doing all that it might, until it is lifted."""
    asked_for = SemanticVad(create_response=False, interrupt_response=False)
    rewrites = (READY_MADE["updated without audio"],)
    async with opened(lockout=lockout, rewrites=rewrites, turn_detection=asked_for) as (session, _):
        locked = lockout is not Lockout.NONE
        assert session.lock is (LockoutState.UNCONFIRMED if locked else LockoutState.NOT_REQUESTED)
        assert (session.capabilities.replies, session.capabilities.interrupts) == (locked, locked)
        assert session.capabilities.transcribes_user
        notices = [event for event in await session.receive() if isinstance(event, SessionNotice)]
        assert SessionNotice("audio.input.turn_detection", "is not reported by the provider") in notices
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.capabilities.detects_turns, event.capabilities.replies) == (True, False)


async def test_another_voice_than_asked_for_does_not_keep_the_lockout(autojump_clock: MockClock) -> None:
    """A configuration without turn detection does not confirm it."""
    rewrites = (replaced("session.updated", "session.audio.output.voice", "alloy"),)
    async with opened(rewrites=rewrites) as (session, _):
        assert session.lock is LockoutState.IN_FORCE
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionReconfigured)
        assert isinstance(event, SessionReconfigured)
        assert (event.lock, event.differences) == (LockoutState.RESTORED, ("audio.output.voice",))


async def test_a_format_in_force_is_no_news_when_it_is_echoed_again(autojump_clock: MockClock) -> None:
    """PCM instead of the requested µ-law: reported at the opening, and not again."""
    async with opened(Updates(formats_from={1: "audio/pcm"})) as (session, _):
        assert (session.user_format, session.agent_format) == (PCM16_24K, PCM16_24K)
        notices = [event.name for event in await session.receive() if isinstance(event, SessionNotice)]
        assert {"audio.input.format", "audio.output.format"} <= set(notices)
        for number in range(3):
            await session.send(RestoreTurnDetection(f"unlock-{number}"))
            (event,) = await session.receive()
            assert isinstance(event, SessionReconfigured)
            assert (event.lock, event.differences) == (LockoutState.RESTORED, ())


async def test_a_format_that_changes_is_told_and_converted_in_both_directions(autojump_clock: MockClock) -> None:
    """The session goes on in the formats that it announced."""
    async with opened(Updates(formats_from={2: "audio/pcm"})) as (session, connection):
        await session.send(RestoreTurnDetection("unlock-1"))
        told: list[SessionEvent] = []
        while not told or not isinstance(told[-1], SessionReconfigured):
            told += await session.receive()
        assert [event.name for event in told if isinstance(event, SessionNotice)] == [
            "audio.input.format",
            "audio.output.format",
        ]
        assert (session.user_format, session.agent_format) == (PCMU_8K, PCMU_8K)
        for _ in range(50):
            await session.send(AppendUserAudio(b"\xff" * 160))
        await session.send(RequestResponse(request_id="r-1"))
        audio = b""
        while True:
            events = await session.receive()
            audio += b"".join(event.audio for event in events if isinstance(event, AgentAudio))
            if any(isinstance(event, ResponseEnded) for event in events):
                break
        (response,) = connection.session.responses
        assert len(audio) == pytest.approx(len(response.audio) / 6, abs=2)
        assert len(connection.session.user_audio) == pytest.approx(50 * 160 * 6, abs=480)


async def test_a_format_that_becomes_a_foreign_one_is_the_end_by_its_name(autojump_clock: MockClock) -> None:
    """Noise is worse than an end."""
    opus = {"type": "audio/opus"}
    count = iter(range(100))
    rewrites = (replaced("session.updated", "session.audio.output.format", lambda old: opus if next(count) else old),)
    async with opened(rewrites=rewrites) as (session, _):
        await session.send(RestoreTurnDetection("unlock-1"))
        event = await first(session, SessionProblem)
        assert isinstance(event, SessionProblem)
        assert (event.code, event.severity) == ("audio_format", Severity.FATAL)
        assert "audio/opus" in event.message


async def test_an_opening_that_is_refused_without_a_word_says_so(autojump_clock: MockClock) -> None:
    """Not "None"."""
    with pytest.raises(ProviderRefused, match="no reason given"):
        async with opened(Updates(refused=frozenset({1, 2})), rewrites=(READY_MADE["errors of null"],)):
            pass


async def test_b7_words_that_were_spoken_without_the_session_are_the_agents_there(autojump_clock: MockClock) -> None:
    """An assistant item of text."""
    async with opened() as (session, connection):
        await session.send(AddAgentText("Hello, this is the clinic."))
        await session.prove_alive(0.0)
        (item,) = connection.session.conversation.items
        assert (item.body["role"], item.body["content"][0]["text"]) == ("assistant", "Hello, this is the clinic.")


def test_a2_the_fingerprint_tells_sessions_apart_that_are_opened_differently() -> None:
    """Where, with which key, and the whole configuration; never the key itself."""
    provider = OpenAIRealtime(api_key="sk-planted", base_url="wss://a.test/v1")
    brief = Brief(instructions="Be brief.", audio_format=PCMU_8K)
    others = [
        (OpenAIRealtime(api_key="sk-other", base_url="wss://a.test/v1"), brief),
        (OpenAIRealtime(api_key="sk-planted", base_url="wss://b.test/v1"), brief),
        (OpenAIRealtime(api_key="sk-planted", base_url="wss://a.test/v1", voice="cedar"), brief),
        (provider, Brief(instructions="Be long.", audio_format=PCMU_8K)),
        (provider, Brief(instructions="Be brief.", audio_format=PCM16_24K)),
        (provider, Brief(instructions="Be brief.", audio_format=PCMU_8K, lockout=Lockout.DETECTION_OFF)),
    ]
    prints = [provider.fingerprint(brief), *(other.fingerprint(given) for other, given in others)]
    assert len(set(prints)) == len(prints)
    assert provider.fingerprint(brief) == provider.fingerprint(brief)
    assert all("planted" not in each for each in prints)
