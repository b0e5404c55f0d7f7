"""Every part of an engine can be given from outside: providers, carriers, store, agent, handler, no port at all."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import voicecore
from voicecore.engine.settings import HostSettings
from voicecore.errors import ConnectionLost
from voicecore.facts import CallReport, Fact, TranscriptLine
from voicecore.net.http.messages import Request, Response
from voicecore.ports import CallHost, NotTaken, OpenCarrier, RingingCall
from voicecore.simulation.openai_realtime import RealtimeTwin, Reply, Script, Tone
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp, TwilioTwin, open_twilio
from voicecore.simulation.world import simulated_world
from voicecore.world import World
from voicecore_tests.engine.failing import VICTIM, OpenParts, Trap, TrappedLeg, TrappedProvider
from voicecore_tests.kit import CALLEE, rig, settings

OWN = voicecore.Agent(instructions="I am the engine's own.")
OTHER = voicecore.Agent(instructions="I take calls from +15550100001.")
TWILIO = voicecore.Twilio(account_sid="AC1", auth_token="token", verify_signatures=False)
TALK = Script(replies=(Reply("Hello.", speech=Tone(1.0)),))


@attrs.define
class Memory:
    """A store that keeps reports in a list; implements `voicecore.ports.CallStore`."""

    reports: list[CallReport] = attrs.field(factory=list)
    lines: list[TranscriptLine] = attrs.field(factory=list)

    async def save(self, report: CallReport) -> None:
        self.reports.append(report)

    def one_line(self, report: CallReport) -> str:
        return report.call_id

    @asynccontextmanager
    async def recorder(self, _call_id: str) -> AsyncIterator[Memory]:
        yield self

    @asynccontextmanager
    async def growing_transcript(self, _call_id: str) -> AsyncIterator[Memory]:
        yield self

    async def append(self, lines: Sequence[TranscriptLine]) -> None:
        self.lines += lines

    async def write(self, interleaved_pcm16: bytes) -> None:
        """Keep no audio."""

    async def tidy(self) -> None:
        """Nothing is ever half-written."""


@attrs.define
class OwnCarrier:
    """A carrier without HTTP or sockets; implements `voicecore.ports.Carrier`."""

    name: str = "own"
    host: CallHost | None = None
    parts: OpenParts = attrs.field(factory=OpenParts)
    public_url: str | None = None

    @asynccontextmanager
    async def open_carrier(self, _world: World, public_url: str) -> AsyncIterator[OpenCarrier]:
        self.public_url = public_url
        yield _Opened(name=self.name, carrier=self)

    async def call(self, carrier_call_id: str = "their-id") -> None:
        """Ring, be answered, and talk for a moment."""
        assert self.host is not None
        token = self.host.incoming(RingingCall(carrier_call_id=carrier_call_id, caller="+15550100001", callee="+2"))
        assert not isinstance(token, NotTaken)
        media = self.host.take_token(token)
        assert media is not None
        assert await media.run_call(TrappedLeg(VICTIM, carrier_call_id, Trap()))


@attrs.frozen(kw_only=True)
class _Opened(OpenParts):
    carrier: OwnCarrier

    def routes(self, host: CallHost) -> dict[Any, Any]:
        self.carrier.host = host
        return {}


async def test_an_engine_is_made_of_given_parts_alone(autojump_clock: MockClock) -> None:
    """No settings, no Twilio, no OpenAI, no port, no folder; the call is whole all the same."""
    carrier, store, facts = OwnCarrier(), Memory(), list[Fact]()
    async with voicecore.open_engine(
        agent=OWN,
        providers=[TrappedProvider(Trap())],
        carriers=[carrier],
        store=store,
        observers=[lambda _call_id, fact: facts.append(fact)],
        listen=False,
        world=simulated_world().world,
    ) as engine:
        assert engine.url == ""
        await carrier.call()
        await engine.drain()
    (report,) = store.reports[-1:]
    assert (report.caller, report.outcome) == ("+15550100001", voicecore.EndCause.REMOTE_HUNG_UP)
    assert [line.text for line in report.transcript] == ["Hello?", "Hello yourself."]
    assert facts[-1] == voicecore.facts.CallEnded(facts[-1].at_s, report)


async def test_no_carrier_and_no_store_are_required(autojump_clock: MockClock) -> None:
    """Such an engine places no call, and says why."""
    given: dict[str, Any] = {"agent": OWN, "providers": [TrappedProvider(Trap())], "world": simulated_world().world}
    async with voicecore.open_engine(carriers=[], store=None, listen=False, **given) as engine:
        with pytest.raises(voicecore.ConfigError, match="no carrier was given"):
            async with engine.dial(CALLEE):
                pass
        assert engine.calls() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"providers": [TrappedProvider(Trap())]}, "agent: missing"),
        ({"agent": OWN}, "providers: missing"),
        ({"agent": OWN, "providers": [TrappedProvider(Trap())] * 2}, "same name"),
        ({"agent": attrs.evolve(OWN, provider="nobody"), "providers": [TrappedProvider(Trap())]}, "no such provider"),
        ({"agent": OWN, "providers": [TrappedProvider(Trap())], "carriers": [TWILIO]}, "server.public_url"),
    ],
)
async def test_parts_that_do_not_fit_are_refused_at_once(given: dict[str, Any], message: str) -> None:
    """The missing part is named."""
    with pytest.raises(voicecore.ConfigError, match=message):
        async with voicecore.open_engine(listen=False, world=simulated_world().world, **given):
            pass


@attrs.define
class Between:
    """An engine between its twins, with a handler for incoming calls."""

    engine: voicecore.Engine
    carrier: TwilioTwin
    provider: RealtimeTwin
    facts: list[Fact]

    @property
    def instructions(self) -> str:
        """What the agent of the only session was told."""
        (connection,) = self.provider.connections
        text: str = connection.session.effective["instructions"]
        return text


@asynccontextmanager
async def answering(
    on_incoming: Callable[[voicecore.CallHandle], Awaitable[Any]], **parts: Any
) -> AsyncIterator[Between]:
    world, facts = simulated_world().world, list[Fact]()
    provider = RealtimeTwin(world, TALK)
    with trio.fail_after(120):
        async with (
            provider.serve() as base_url,
            open_twilio(world) as carrier,
            carrier.serve_rest() as rest,
            voicecore.open_engine(
                settings(base_url, carriers__twilio__api_base_url=rest),
                agent=OWN,
                on_incoming=on_incoming,
                observers=[lambda _call_id, fact: facts.append(fact)],
                host_settings=HostSettings(choose_agent_s=0.5),
                world=world,
                **parts,
            ) as engine,
        ):
            yield Between(engine, carrier, provider, facts)


async def test_a_handler_chooses_the_agent_of_an_incoming_call(autojump_clock: MockClock) -> None:
    """By the number that calls, after a look into a database, say."""
    asked: list[tuple[str, str, str]] = []

    async def choose(call: voicecore.CallHandle) -> voicecore.Agent | None:
        asked.append((call.direction, call.caller, call.callee))
        await trio.sleep(0.1)
        return OTHER

    async with answering(choose) as it:
        await it.carrier.call(it.engine.url, [HangUp(At(2.0))])
        await it.engine.drain()
    assert asked == [("inbound", "+15550100001", "+15550100002")]
    assert it.instructions == OTHER.instructions


async def raises(_call: voicecore.CallHandle) -> voicecore.Agent:
    await trio.lowlevel.checkpoint()
    raise LookupError("no such customer")


async def hangs(_call: voicecore.CallHandle) -> voicecore.Agent:
    await trio.sleep_forever()
    raise AssertionError


async def answers_nonsense(_call: voicecore.CallHandle) -> str:
    await trio.lowlevel.checkpoint()
    return "the friendly one"


async def names_a_stranger(_call: voicecore.CallHandle) -> voicecore.Agent:
    await trio.lowlevel.checkpoint()
    return attrs.evolve(OTHER, provider="nobody")


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (raises, "failed: LookupError: no such customer"),
        (hangs, "took longer than 0.5 s"),
        (answers_nonsense, "it returned str"),
        (names_a_stranger, "no such provider: nobody"),
    ],
)
async def test_whatever_the_handler_does_the_call_is_taken(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    handler: Callable[[voicecore.CallHandle], Awaitable[Any]],
    why: str,
) -> None:
    """By the engine's own agent, in time; the log says what was wrong."""
    async with answering(handler) as it:
        line = await it.carrier.call(it.engine.url, [HangUp(At(3.0))])
        await it.engine.drain()
    assert line is not None
    assert it.instructions == OWN.instructions
    (warning,) = [each for each in caplog.records if "agent_not_chosen" in each.getMessage()]
    assert (warning.levelno, why in warning.getMessage()) == (logging.WARNING, True)


async def test_a_handler_may_hang_up_and_none_means_the_engines_own(autojump_clock: MockClock) -> None:
    """The call that is hung up gets no session, no apology, and a hang-up at the carrier."""
    answers: list[str] = []

    async def choose(call: voicecore.CallHandle) -> None:
        await trio.lowlevel.checkpoint()
        if not answers:
            call.hang_up()
        answers.append(call.call_id)

    async with answering(choose) as it:
        with suppress(ConnectionLost):  # its stream is refused
            await it.carrier.call(it.engine.url, [HangUp(At(3.0))])
        assert it.provider.handshakes == 0
        await it.carrier.call(it.engine.url, [HangUp(At(1.0))])
        await it.engine.drain()
    ends = [fact.report.outcome for fact in it.facts if isinstance(fact, voicecore.facts.CallEnded)]
    assert ends == [voicecore.EndCause.HUNG_UP, voicecore.EndCause.REMOTE_HUNG_UP]
    assert (len(answers), it.instructions) == (2, OWN.instructions)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_every_live_call_has_a_handle(autojump_clock: MockClock, direction: str) -> None:
    """Listed, found by either id, watched by two readers, hung up; then it is gone, and its report is there."""
    seen: list[list[type[Fact]]] = [[], []]

    async def watch(call: voicecore.CallHandle, into: list[type[Fact]]) -> None:
        into.extend([type(fact) async for fact in call.facts()])

    async with rig(TALK, agent__first_message="Hello.") as it, trio.open_nursery() as nursery:
        it.carrier.expect(DialPlan(ring_s=1.0, script=[HangUp(At(60.0))]))
        if direction == "inbound":
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(AfterAgent(60.0))])
        else:
            nursery.start_soon(it.dial)
        await trio.sleep(3.0)
        (call,) = it.engine.calls()
        assert (call.direction, call.is_over) == (direction, False)
        assert it.engine.find(call.call_id) is it.engine.find(call.carrier_call_id or "") is call
        async with trio.open_nursery() as watching:
            for into in seen:
                watching.start_soon(watch, call, into)
            await trio.sleep(1.0)
            call.hang_up()
        assert call.report.outcome is voicecore.EndCause.HUNG_UP
        assert it.engine.calls() == []
        assert it.engine.find(call.call_id) is None
        assert [fact async for fact in call.facts()] == []
    assert seen[0] == seen[1]
    assert seen[0][-1] is voicecore.facts.CallEnded


async def test_without_a_port_the_application_is_there_for_another_server(autojump_clock: MockClock) -> None:
    """It answers what a server hands to it; nothing listens."""
    world = simulated_world().world
    given: dict[str, Any] = {"agent": OWN, "providers": [TrappedProvider(Trap())], "world": world}
    url = "https://voice.example.com"
    async with voicecore.open_engine(carriers=[TWILIO], listen=False, public_url=url, **given) as engine:
        form = {"content-type": "application/x-www-form-urlencoded"}
        body = b"CallSid=CA1&AccountSid=AC1&From=%2B1555&To=%2B1666&CallStatus=ringing"
        answer = await engine.app(Request(method="POST", path="/twilio/voice", headers=form, body=body))
        assert isinstance(answer, Response)
        assert (answer.status, b"wss://voice.example.com/twilio/media/" in answer.body) == (200, True)
        assert (await engine.app(Request(method="GET", path="/nowhere"))).status == 404  # type: ignore[union-attr]


async def test_two_carriers_that_answer_the_same_are_refused(autojump_clock: MockClock) -> None:
    """Which of them a webhook is for could not be told."""
    given: dict[str, Any] = {"agent": OWN, "providers": [TrappedProvider(Trap())], "world": simulated_world().world}
    with pytest.raises(voicecore.ConfigError, match="two of them answer"):
        async with voicecore.open_engine(carriers=[TWILIO, TWILIO], public_url="https://v.example.com", **given):
            pass
