"""`voicecore call` if the carrier does not place the call: one clear line, and no second request.

The whole program runs in this process, in virtual time: its network is the twins'.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.assembly import open_engine
from voicecore.cli import call
from voicecore.cli.main import main
from voicecore.config import Settings
from voicecore.facts import CallReport
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import RealtimeTwin
from voicecore.simulation.twilio import Account, DialPlan, Pickup, Refusal, TwilioTwin, open_twilio
from voicecore.simulation.world import simulated_world
from voicecore_tests.cli.test_programs import GOOD, KEY, SECRETS, TOKEN, config
from voicecore_tests.kit import LIMIT_S

Place = Callable[[Settings, argparse.Namespace], Awaitable[CallReport]]

PROVIDER_PORT, CARRIER_PORT = 7001, 7002
CONFIGURED = GOOD.replace(
    "[providers", f'phone_number = "+15550100002"\napi_base_url = "http://127.0.0.1:{CARRIER_PORT}"\n[providers'
)
UNVERIFIED = "The number +15550100077 is unverified. Trial accounts may only make calls to verified numbers."
GEO = "Account not authorized to call +15550100077. Perhaps you need to enable some international permissions"
PAGE = b"<html><head><title>503</title></head><body>" + b"x" * 3000 + b"</body></html>"
XML = (
    b"<?xml version='1.0'?><TwilioResponse><RestException><Code>21211</Code><Message>bad</Message>"
    b"</RestException></TwilioResponse>"
)


@attrs.define
class Program:
    """`voicecore call` between both twins, and what its last run left."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    config: str
    out: str = ""
    err: str = ""
    carrier: TwilioTwin | None = None

    def call(self, plan: DialPlan, *arguments: str) -> int:
        """Place one call at a carrier that has a plan for it; return the exit code."""
        place = functools.partial(self._place, call.place, plan)
        with self.monkeypatch.context() as patched:
            patched.setattr(trio, "run", functools.partial(trio.run, clock=MockClock(autojump_threshold=0)))
            patched.setattr(call, "place", place)
            code = main(["call", "+15550100077", "--config", self.config, "--port", "0", *arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    @property
    def posts(self) -> int:
        """How often a call was requested."""
        assert self.carrier is not None
        return [request.path.rpartition("/")[2] for request in self.carrier.rest_requests].count("Calls.json")

    async def _place(self, place: Place, plan: DialPlan, settings: Settings, options: argparse.Namespace) -> CallReport:
        world = simulated_world().world
        with trio.fail_after(LIMIT_S):
            async with (
                RealtimeTwin(world).serve(port=PROVIDER_PORT),
                open_twilio(world, Account(auth_token=Secret(TOKEN))) as self.carrier,
                self.carrier.serve_rest(port=CARRIER_PORT),
            ):
                self.carrier.expect(plan)
                with self.monkeypatch.context() as patched:
                    patched.setattr(call, "open_engine", functools.partial(open_engine, world=world))
                    return await place(settings, options)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """A program with a whole configuration."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Program(monkeypatch, capsys, config(tmp_path, CONFIGURED, f"ws://127.0.0.1:{PROVIDER_PORT}/v1"))


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["shown", "json"])
@pytest.mark.parametrize(
    ("refusal", "says", "posts"),
    [
        (Refusal(status=400, code=21219, message=UNVERIFIED), f"HTTP status 400, error 21219: {UNVERIFIED}", 1),
        (Refusal(status=401, code=20003, message="Authenticate"), "HTTP status 401, error 20003: Authenticate", 1),
        (Refusal(status=400, code=21215, message=GEO), f"HTTP status 400, error 21215: {GEO}", 1),
        (
            Refusal(status=429, code=20429, message="Too Many Requests"),
            "HTTP status 429, error 20429: Too Many Requests",
            3,
        ),
        (Refusal(status=503, body=PAGE, content_type="text/html"), "HTTP status 503: no reason given", 1),
        (Refusal(status=400, body=XML, content_type="application/xml"), "HTTP status 400: no reason given", 1),
        (
            Refusal(status=201, body=PAGE, content_type="text/html"),
            "answer to the request for a call cannot be read",
            1,
        ),
        (Refusal(status=400, code=21201, message=f"{TOKEN} and {KEY}\nTraceback"), "error 21201: *** and", 1),
    ],
    ids=["unverified", "auth", "geo", "429", "503 html", "400 xml", "201 html", "repeats a secret"],
)
def test_a_call_that_is_refused_is_one_clear_line(
    program: Program,
    caplog: pytest.LogCaptureFixture,
    refusal: Refusal,
    says: str,
    posts: int,
    arguments: tuple[str, ...],
) -> None:
    """Exit 1: status, code and Twilio's message; no traceback, secret or HTML page; repeated only after a 429."""
    assert program.call(DialPlan(refuse=refusal), *arguments) == 1
    (line,) = program.err.splitlines()
    assert line.startswith("voicecore: the call failed: ")
    assert says in line
    assert len(line) < 400
    shown = program.out + program.err + caplog.text
    assert not [bad for bad in ("Traceback (most", TOKEN, "<html", "xxxx", "<Code>") if bad in shown]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert program.posts == posts
    if arguments:
        assert json.loads(program.out)["outcome"] in {"dial_refused", "dial_uncertain"}


def test_a_call_that_is_taken_at_the_third_try_rings_once(program: Program) -> None:
    """429 twice, then a phone that is busy: one call, one line."""
    plan = DialPlan(refuse=Refusal(status=429, code=20429, times=2), ring_s=1.0, end=Pickup.BUSY)
    assert program.call(plan) == 1
    assert program.err == "voicecore: the call failed: busy (the carrier reported busy)\n"
    assert program.posts == 3
    assert program.carrier is not None
    assert [dialled.rang for dialled in program.carrier.dials] == [1]
