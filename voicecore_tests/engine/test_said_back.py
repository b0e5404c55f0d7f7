"""I19, S32: peers say our own secrets back to us, in every place where they have words; none of it goes any further."""

from __future__ import annotations

import base64
import json
import logging

import attrs
import pytest
from trio.testing import MockClock

from voicecore.errors import ProviderError
from voicecore.facts import CallReport, EndCause
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.sessions import open_session
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Handshake,
    RealtimeTwin,
    Recorded,
    Reply,
    Script,
    UnsolicitedEvent,
    errors,
)
from voicecore.simulation.twilio import At, DialPlan, HangUp, Refusal, Say
from voicecore.simulation.world import simulated_world
from voicecore_tests.kit import Rig, rig, ulaw

KEY = "sk-planted-secret"  # as in kit.settings
TOKEN = "voicecore-test-token"
BASIC = base64.b64encode(f"AC00000000000000000000000000000001:{TOKEN}".encode()).decode()
WORDS = f"no: key {KEY}, {KEY.encode().hex()}, Authorization: Basic {BASIC}, Bearer {KEY}, token={TOKEN}"
HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),), hears=("hello?",))
STEPS = (Say(At(1.5), ulaw("caller-hello-it")), HangUp(At(5.0)))
SPELLINGS = (
    KEY,
    TOKEN,
    KEY.encode().hex(),
    base64.b64encode(TOKEN.encode()).decode().rstrip("="),
    BASIC[-24:].rstrip("="),
)


def check_says_no_secret(text: str) -> None:
    runs = {spelling[at : at + 8] for spelling in SPELLINGS for at in range(len(spelling) - 7)}
    found = sorted(run for run in runs if run in text)
    assert not found, f"{found} in {text[:2000]}"


def check_nothing_of_it_is_kept(it: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """No line, no traceback, no file, no fact, no report."""
    lines = "\n".join(record.getMessage() + (record.exc_text or "") for record in caplog.records)
    check_says_no_secret(lines.replace("voicecore", ""))
    for data in it.simulated.files.files.values():
        check_says_no_secret(bytes(data).decode("latin-1"))
    for report in it.reports:
        check_says_no_secret(json.dumps(attrs.asdict(report), default=str))


BEHAVIOURS = {
    "errors": Behaviour(unsolicited_events=tuple(errors(WORDS, "odd", KEY, f"code {TOKEN}", at_s=1.0))),
    "unknown events": Behaviour(
        unsolicited_events=tuple(UnsolicitedEvent(1.0, f"unheard.{KEY}.{number}") for number in range(5))
    ),
    "fatal error": Behaviour(unsolicited_events=tuple(errors(WORDS, "session_expired", at_s=1.0))),
    "close reason": Behaviour(endings=(Ending(how=End.IDLE, at_s=2.0),), close_reason=WORDS[:100]),
    "refused session": Behaviour(handshake=Handshake(first_error="invalid_api_key", refusal_words=WORDS)),
    "refused with the key as its code": Behaviour(handshake=Handshake(first_error=KEY, refusal_words=WORDS)),
}


@pytest.mark.parametrize("place", BEHAVIOURS)
async def test_i19_a_provider_that_says_our_secrets_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """In an error's message and code, in an event's type, in a close reason, in its refusal of a session."""
    caplog.set_level(logging.DEBUG, "voicecore")
    async with rig(HELLO, BEHAVIOURS[place], agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert it.report.problems or it.report.outcome is not EndCause.REMOTE_HUNG_UP
    check_nothing_of_it_is_kept(it, caplog)


async def test_i19_a_carrier_that_says_our_secrets_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In the refusal of a call."""
    caplog.set_level(logging.DEBUG, "voicecore")
    async with rig(HELLO) as it:
        report: CallReport = await it.dial(DialPlan(refuse=Refusal(status=400, code=21210, message=WORDS)))
    assert report.outcome is EndCause.DIAL_REFUSED
    assert "no: key ***" in report.outcome_detail
    check_nothing_of_it_is_kept(it, caplog)


async def test_i19_a_lone_session_raises_nothing_with_a_key_in_it(autojump_clock: MockClock) -> None:
    """The program that opens it prints the exception."""
    world = simulated_world().world
    behaviour = Behaviour(handshake=Handshake(first_error="invalid_api_key", refusal_words=WORDS))
    async with RealtimeTwin(world, HELLO, behaviour).serve() as base_url:
        provider = OpenAIRealtime(api_key=KEY, base_url=base_url)
        with pytest.raises(ProviderError) as refused:
            async with open_session(provider, world=world):
                raise AssertionError("opened")
    check_says_no_secret(str(refused.value) + repr(refused.value))


async def test_g_a_flood_of_unknown_events_costs_few_names_and_few_lines(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """2,000 types of a kilobyte each: bounded in the record and in the log, and the call goes on."""
    unsolicited_events = tuple(
        UnsolicitedEvent(0.5 + number / 1000, f"unheard.{number}." + "x" * 1000) for number in range(2000)
    )
    async with rig(HELLO, Behaviour(unsolicited_events=unsolicited_events), agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert [line.text for line in it.report.transcript] == ["Hello.", "hello?", "Hello."]
    assert sum(it.report.problems.values()) >= 2000
    assert len(it.report.problems) <= 20
    assert len(json.dumps(it.records())) < 20_000
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 21
