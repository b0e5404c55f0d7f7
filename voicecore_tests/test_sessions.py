"""A session by itself: what a program needs that examines an agent, or plays a user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from voicecore import (
    PCM16_8K,
    PCM16_24K,
    PCMU_8K,
    ConfigError,
    OpenAIRealtime,
    ProviderRefused,
    ProviderUnavailable,
    ServerVad,
    SessionLost,
    Speaker,
    StandaloneSession,
    open_session,
)
from voicecore.audio.convert import converter
from voicecore.audio.formats import AudioFormat
from voicecore.events import (
    AgentAudio,
    AgentAudioEnded,
    AgentTextDone,
    Capabilities,
    ItemTruncated,
    ResponseEnded,
    ResponseStarted,
    ResponseStatus,
    ToolCallRequested,
    UserTranscriptDone,
    UserTurnCommitted,
)
from voicecore.secrets import Secret
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Handshake,
    RealtimeTwin,
    Recorded,
    Reply,
    Script,
    ToolCall,
    TwinConnection,
)
from voicecore.simulation.world import SimulatedWorld, simulated_world

KEY = "sk-planted-secret"
GOODBYE = Script(replies=(Reply("Goodbye.", speech=Recorded("agent-goodbye")),), hears=("one moment",))
LONG = Script(replies=(Reply("A long one.", speech=Recorded("agent-long-30s")),))


class Stage:
    """A twin, and sessions with it."""

    def __init__(self, simulated: SimulatedWorld, twin: RealtimeTwin, base_url: str) -> None:
        self.simulated = simulated
        self.twin = twin
        self.base_url = base_url

    @asynccontextmanager
    async def session(
        self, *, by_hand: bool = True, audio_format: AudioFormat = PCM16_24K
    ) -> AsyncIterator[tuple[StandaloneSession, TwinConnection]]:
        provider = OpenAIRealtime(
            api_key=Secret(KEY), base_url=self.base_url, turn_detection=None if by_hand else ServerVad()
        )
        world = self.simulated.world
        async with open_session(provider, instructions="Be brief.", audio_format=audio_format, world=world) as session:
            yield session, self.twin.connections[-1]


@asynccontextmanager
async def stage(
    script: Script | list[Script], behaviour: Behaviour | None = None, key: str | None = None
) -> AsyncIterator[Stage]:
    simulated = simulated_world()
    twin = RealtimeTwin(simulated.world, script, behaviour, api_key=Secret(key) if key else None)
    with trio.fail_after(600):
        async with twin.serve() as base_url:
            yield Stage(simulated, twin, base_url)


def spoken(events: list[object]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, AgentAudio))


async def test_the_simulated_user_speaks_and_commits_by_hand(autojump_clock: MockClock) -> None:
    """Audio in, commit, ask, and the whole answer comes back: its sound, its words and its end."""
    async with stage(GOODBYE) as it, it.session() as (session, peer):
        await session.send_audio(bytes(24_000))
        await session.commit_audio()
        request_id = await session.request_response()
        events = await session.receive_until(ResponseEnded, timeout_s=10)
        assert UserTurnCommitted in map(type, events)
        assert any(isinstance(event, ResponseStarted) and event.request_id == request_id for event in events)
        assert abs(len(spoken([*events])) / 48_000 - recordings.seconds("agent-goodbye")) < 0.03
        assert isinstance(events[-1], ResponseEnded)
        assert events[-1].status is ResponseStatus.COMPLETED
        assert events[-1].usage is not None
        assert session.last_transcript(Speaker.AGENT) == "Goodbye."
        assert len(peer.session.user_audio) == 24_000


async def test_the_words_of_the_one_who_speaks_to_it_are_kept_too(autojump_clock: MockClock) -> None:
    """Transcription comes when it comes; the last one is known."""
    async with stage(GOODBYE) as it, it.session() as (session, _):
        assert session.last_transcript(Speaker.USER) is None
        await session.send_audio(bytes(24_000))
        await session.commit_audio()
        await session.receive_until(UserTranscriptDone, timeout_s=10)
        assert session.last_transcript(Speaker.USER) == "one moment"


async def test_text_goes_in_as_a_user_message(autojump_clock: MockClock) -> None:
    """It is part of the conversation, and asks for nothing by itself."""
    async with stage(GOODBYE) as it, it.session() as (session, peer):
        await session.send_text("Say goodbye.")
        with pytest.raises(TimeoutError):
            await session.receive_until(ResponseStarted, timeout_s=5)
        await session.request_response("Say it kindly.")
        await session.receive_until(ResponseEnded, timeout_s=10)
        body = peer.session.conversation.items[0].body
        assert (body["role"], body["content"]) == ("user", [{"type": "input_text", "text": "Say goodbye."}])
        create = next(request for request in peer.requests if request["type"] == "response.create")
        assert create["response"]["instructions"] == "Say it kindly."


async def test_turn_detection_null_reaches_the_wire_as_null(autojump_clock: MockClock) -> None:
    """A null that a serialiser dropped would leave the server's own detection on."""
    async with stage(GOODBYE) as it, it.session() as (session, peer):
        assert peer.requests[0]["session"]["audio"]["input"]["turn_detection"] is None
        assert session.capabilities == Capabilities(
            detects_turns=False, replies=False, interrupts=False, speaks=True, transcribes_user=True
        )


async def test_with_turn_detection_the_session_answers_by_itself(autojump_clock: MockClock) -> None:
    """The agent under test: speech, then silence, and it speaks."""
    async with stage(GOODBYE) as it, it.session(by_hand=False, audio_format=PCM16_8K) as (session, _):
        assert session.capabilities.replies
        await session.send_audio(recordings.load("caller-one-moment-it") + bytes(16_000))
        events = await session.receive_until(ResponseEnded, timeout_s=10)
        assert UserTurnCommitted in map(type, events)
        assert AgentTextDone("", "", "") not in events


async def test_interrupt_cancels_what_runs_and_nothing_else(autojump_clock: MockClock) -> None:
    """Harmless if no response is active; the heard position can be sent to the provider."""
    async with stage(LONG) as it, it.session() as (session, peer):
        await session.interrupt()
        await session.request_response()
        events = await session.receive_until(AgentAudio, timeout_s=10)
        audio = events[-1]
        assert isinstance(audio, AgentAudio)
        assert session.active_response == audio.response_id
        await session.interrupt()
        ended = (await session.receive_until(ResponseEnded, timeout_s=10))[-1]
        assert isinstance(ended, ResponseEnded)
        assert (ended.status, ended.reason) == (ResponseStatus.CANCELLED, "client_cancelled")
        assert not session.active_response
        await session.truncate(audio.item_id, 5)
        assert await session.receive_until(ItemTruncated, timeout_s=5)
        assert [request["type"] for request in peer.requests].count("response.cancel") == 1


async def test_a_tool_call_is_told_and_answered(autojump_clock: MockClock) -> None:
    """The arguments are the text as it came; one result goes back under its id."""
    script = Script(replies=(Reply(tool_calls=(ToolCall("transfer", '{"to": "sales"}'),)),))
    async with stage(script) as it, it.session() as (session, peer):
        await session.request_response()
        call = (await session.receive_until(ToolCallRequested, timeout_s=10))[-1]
        assert isinstance(call, ToolCallRequested)
        assert (call.name, call.arguments) == ("transfer", '{"to": "sales"}')
        await session.answer_tool(call.call_id, "done")
        await trio.sleep(1)
        outputs = [item.body for item in peer.session.conversation.items if item.body["type"] == "function_call_output"]
        assert [(body["call_id"], body["output"]) for body in outputs] == [(call.call_id, "done")]


@pytest.mark.parametrize("cut", [1, 7, 959, 961])
async def test_h1_an_odd_byte_is_never_passed_on(autojump_clock: MockClock, cut: int) -> None:
    """Whatever the pieces, the provider gets whole samples in order, and so does the program."""
    audio = recordings.load("caller-one-moment-it")
    async with stage(LONG) as it, it.session() as (session, peer):
        for at in range(0, len(audio), cut * 64):
            for start in range(at, min(at + cut * 64, len(audio)), cut):
                await session.send_audio(audio[start : start + cut])
        await session.commit_audio()
        await session.request_response()
        events = await session.receive_until(AgentAudioEnded, timeout_s=30)
        assert bytes(peer.session.user_audio) == audio[: len(audio) // 2 * 2]
        assert all(len(event.audio) % 2 == 0 for event in events if isinstance(event, AgentAudio))


async def test_audio_is_converted_to_and_from_the_format_that_was_asked_for(autojump_clock: MockClock) -> None:
    """A program at 8 kHz talks with a session that speaks PCM at 24 kHz, and duration stays duration."""
    async with stage(GOODBYE) as it, it.session(audio_format=PCM16_8K) as (session, peer):
        await session.send_audio(bytes(16_000))
        await session.commit_audio()
        await session.request_response()
        events = await session.receive_until(ResponseEnded, timeout_s=10)
        assert len(peer.session.user_audio) == 48_000
        assert abs(len(spoken([*events])) / 16_000 - recordings.seconds("agent-goodbye")) < 0.03


async def test_two_sessions_talk_to_each_other(autojump_clock: MockClock) -> None:
    """One simulates the user, one is the agent: each gets exactly what the other said, for three rounds."""
    agent_says = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),), hears=("a", "b", "c"))
    user_says = Script(replies=(Reply("One moment.", speech=Recorded("agent-one-moment")),), hears=("x", "y", "z"))
    async with (
        stage([agent_says, user_says]) as it,
        it.session(audio_format=PCMU_8K) as (agent, agent_peer),
        it.session(audio_format=PCMU_8K) as (user, user_peer),
    ):
        said: dict[StandaloneSession, bytes] = {agent: b"", user: b""}
        speaker, listener = agent, user
        for _ in range(6):
            await speaker.request_response()
            events = await speaker.receive_until(ResponseEnded, timeout_s=30)
            words = spoken([*events])
            said[speaker] += words
            await listener.send_audio(words)
            await listener.commit_audio()
            await listener.receive_until(UserTurnCommitted, timeout_s=5)
            speaker, listener = listener, speaker
        assert bytes(agent_peer.session.user_audio) == said[user]
        assert bytes(user_peer.session.user_audio) == said[agent]
        assert len(agent_peer.session.conversation.items) == 6
        await agent.receive_until(UserTranscriptDone, timeout_s=5)
        assert agent.last_transcript(Speaker.AGENT) == "Hello."
        assert user.last_transcript(Speaker.AGENT) == "One moment."


async def test_receive_has_a_deadline_and_loses_nothing(autojump_clock: MockClock) -> None:
    """What came before a time-out is still there afterwards."""
    async with stage(GOODBYE) as it, it.session() as (session, _):
        await session.request_response()
        with pytest.raises(TimeoutError, match="no ToolCallRequested within 3 s"):
            await session.receive_until(ToolCallRequested, timeout_s=3)
        with trio.move_on_after(0):
            await session.receive()
        first = await session.receive(timeout_s=0)
        assert isinstance(first, ResponseStarted)


async def test_iteration_ends_with_the_session(autojump_clock: MockClock) -> None:
    """F28: the loop is woken when the other side goes."""
    async with stage(GOODBYE) as it, it.session() as (session, peer):
        peer.end(End.GOING_AWAY)
        assert [event async for event in session] == []
        with pytest.raises(SessionLost) as lost:
            await session.receive(timeout_s=1)
        assert lost.value.code == 1001


async def test_leaving_the_block_closes_the_session(autojump_clock: MockClock) -> None:
    """Nothing stays open, also where the block raised."""
    async with stage(GOODBYE) as it:
        with pytest.raises(KeyError):
            async with it.session() as (_, peer):
                raise KeyError("the program's own")
        await peer.ended.wait()
        await trio.sleep(2)
        assert it.simulated.network.open_streams == 0


async def test_the_explicit_key_beats_the_environment_and_none_is_said_clearly(autojump_clock: MockClock) -> None:
    """The key is where the program put it, or where its owner spells it, or missing by name."""
    async with stage(GOODBYE, key=KEY) as it:
        explicit = OpenAIRealtime(api_key=Secret(KEY), base_url=it.base_url)
        bare = OpenAIRealtime()
        wrong, right = {"OPENAI_API_KEY": "sk-other"}, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": it.base_url}
        world = it.simulated.world
        async with open_session(explicit, world=world, environ=wrong):
            pass
        async with open_session(bare, world=world, environ=right):
            pass
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            async with open_session(bare, world=world, environ={}):
                pass
        with pytest.raises(ProviderRefused) as refused:
            async with open_session(bare, world=world, environ={**right, **wrong}):
                pass
        assert (refused.value.status, refused.value.retryable) == (401, False)


async def test_s32_the_key_is_nowhere_to_be_seen(autojump_clock: MockClock) -> None:
    """Not in a repr, not in an error, not in the error's causes."""
    async with stage(GOODBYE, Behaviour(handshake=Handshake(refuse_status=401))) as it:
        provider = OpenAIRealtime(api_key=Secret(KEY), base_url=it.base_url)
        with pytest.raises(ProviderRefused) as refused:
            async with open_session(provider, world=it.simulated.world):
                pass
        seen = repr(provider)
        error: BaseException | None = refused.value
        while error is not None:
            seen += repr(error) + str(error) + repr(error.args)
            error = error.__cause__ or error.__context__
        assert KEY not in seen
    async with stage(GOODBYE) as it, it.session() as (session, _):
        assert KEY not in repr(session)


@pytest.mark.parametrize(
    "ending", [Ending(how=End.CUT, after_events=1), Ending(how=End.STALL, after_events=1)], ids=["cut", "stall"]
)
async def test_a17_a_session_that_dies_while_it_opens_leaves_nothing(autojump_clock: MockClock, ending: Ending) -> None:
    """Opening returns a complete session or raises."""
    async with stage(GOODBYE, Behaviour(endings=(ending,))) as it:
        with pytest.raises(ProviderUnavailable):
            async with it.session():
                pass
        await trio.sleep(2)
        assert it.simulated.network.open_streams <= 1  # the twin's own end, where it plays dead


def test_passthrough_hands_on_the_very_same_bytes() -> None:
    """Where formats agree nothing is touched."""
    audio = bytes(160)
    assert converter(PCMU_8K, PCMU_8K).convert(audio) is audio
