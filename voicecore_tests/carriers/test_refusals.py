"""Refused requests: one line a minute a kind, with what to look at, and no secret in it."""

from __future__ import annotations

from typing import Literal

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voicecore.carriers.twilio import TwilioInbound
from voicecore.carriers.twilio.refusals import EVERY_S, Refusals
from voicecore.net.http.messages import Request, Response
from voicecore.net.http.routes import Router
from voicecore.simulation.twilio.signing import sign
from voicecore.simulation.world import simulated_world
from voicecore_tests.carriers.test_twilio import ACCOUNT, CALL, PUBLIC, TOKEN, Desk, upgrade, webhook

WRONG = "bm90IGEgc2lnbmF0dXJl"


def port() -> Router:
    """The routes of one process, with what is said of requests that have none."""
    inbound = TwilioInbound(simulated_world().world, ACCOUNT, Desk())
    return Router(inbound.routes(), inbound.unrouted)


async def status_of(router: Router, request: Request) -> int:
    answer = await router(request)
    assert isinstance(answer, Response)
    return answer.status


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert TOKEN not in caplog.text
    return [record.getMessage() for record in caplog.records if record.name == "voicecore.carriers"]


async def test_fifty_refusals_are_one_line_and_the_next_minute_counts_them(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What was refused, for which URL it was checked, what to compare."""
    router = port()
    for _ in range(50):
        assert await status_of(router, webhook("/twilio/voice", CALL, WRONG)) == 403
    (first,) = lines(caplog)
    for words in ("POST /twilio/voice", f"{PUBLIC}/twilio/voice", "server.public_url", "carriers.twilio.auth_token"):
        assert words in first
    assert WRONG not in first
    await trio.sleep(EVERY_S)
    await status_of(router, webhook("/twilio/voice", CALL, WRONG))
    _, second = lines(caplog)
    assert "(49 more since the last such line)" in second
    await trio.sleep(EVERY_S)
    await status_of(router, webhook("/twilio/voice", CALL, WRONG))
    assert "since the last" not in lines(caplog)[-1]


async def test_kinds_are_counted_apart(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """One does not hide the other."""
    router = port()
    for _ in range(3):
        for request in (
            webhook("/twilio/voice", CALL, WRONG),
            attrs.evolve(webhook("/twilio/status", CALL), headers={"content-type": "application/json"}),
            attrs.evolve(webhook("/twilio/voice", CALL), method="GET"),
        ):
            await status_of(router, request)
    assert len(lines(caplog)) == 3


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"host": "tunnel.example.test"}, "https://tunnel.example.test/twilio/voice"),
        ({"host": "127.0.0.1", "x-forwarded-host": "calls.example.test"}, "https://calls.example.test/twilio/voice"),
        ({"host": "calls.example.test", "x-forwarded-proto": "http"}, "http://calls.example.test/twilio/voice"),
    ],
    ids=["host", "forwarded", "plain"],
)
async def test_the_address_that_a_signature_fits_is_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, headers: dict[str, str], url: str
) -> None:
    """It is what the setting should be; and the request is refused all the same."""
    request = webhook("/twilio/voice", CALL, sign(TOKEN, url, CALL))
    request = attrs.evolve(request, headers={**request.headers, **headers})
    assert await status_of(port(), request) == 403
    (said,) = lines(caplog)
    assert f"it matches {url}" in said


async def test_another_account_is_named(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A sub-account signs with its own token."""
    await status_of(port(), webhook("/twilio/voice", {**CALL, "AccountSid": "AC2"}, WRONG))
    (said,) = lines(caplog)
    assert "it names the account AC2, which is not carriers.twilio.account_sid" in said


async def test_a_request_without_a_signature_is_not_twilios(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Or a proxy lost it: another thing to look at."""
    assert await status_of(port(), webhook("/twilio/status", CALL, "")) == 403
    (said,) = lines(caplog)
    assert "no signature" in said


@pytest.mark.parametrize(
    ("signature", "words"), [(WRONG, "wss://voice.example.test/twilio/media/***"), (None, "unknown, used, or expired")]
)
async def test_a_refused_stream_is_logged_without_its_token(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, signature: str | None, words: str
) -> None:
    """By its signature, or by its token."""
    assert await status_of(port(), upgrade("/twilio/media/planted-token", signature)) == 403
    (said,) = lines(caplog)
    assert words in said
    assert "planted-token" not in said


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (attrs.evolve(webhook("/twilio/voice", CALL), headers={}), 415, "is missing"),
        (webhook("/twilio/voice", {"CallSid": "XX1"}), 400, "CallSid"),
        (attrs.evolve(webhook("/twilio/status", CALL), body=b""), 400, "empty form"),
        (attrs.evolve(webhook("/twilio/voice", CALL), method="GET"), 405, "HTTP POST"),
        (webhook("/voice/twilio/voice", CALL), 404, "remove the path prefix /voice"),
        (webhook("/twilio/voice/", CALL), 404, "but /twilio/voice is"),
        (upgrade("/v/twilio/media/planted-token"), 404, "/v/twilio/media/***"),
    ],
    ids=["no type", "form", "empty", "method", "prefix", "slash", "stream"],
)
async def test_what_is_wrong_with_a_request_is_said(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, request_: Request, status: int, words: str
) -> None:
    """In words that lead to a setting."""
    assert await status_of(port(), request_) == status
    (said,) = lines(caplog)
    assert words in said
    assert "planted-token" not in said


@pytest.mark.parametrize("path", ["/", "/wp-admin/setup.php", "/twilio/other", "/metrics", "/twilio/voicemail"])
async def test_strangers_who_look_around_are_not_worth_a_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """What does not look like a webhook of ours."""
    assert await status_of(port(), webhook(path, CALL)) == 404
    assert lines(caplog) == []


async def test_a_request_that_is_served_is_not_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was refused."""
    assert await status_of(port(), webhook("/twilio/voice", CALL)) == 200
    assert lines(caplog) == []


ODD = st.text(alphabet="/twiliovoicemedia.\n\x1b[31m%0a é", max_size=40)


@given(ODD, ODD, ODD, st.sampled_from(["http", "ws"]))
def test_no_request_can_break_a_line(path: str, host: str, query: str, scheme: Literal["http", "ws"]) -> None:
    """Any request gives one printable line of bounded length."""
    said: list[str] = []
    refusals = Refusals(lambda: 0.0, ACCOUNT)
    request = Request(method="PO\nST", path=path, query=query, headers={"host": host, "x-twilio-signature": WRONG})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("voicecore.carriers.twilio.refusals.log.warning", lambda form, *what: said.append(form % what))
        refusals.signature(request, scheme, f"{PUBLIC}{path}?{query}", None)
        refusals.form(request, path + host)
        refusals.stream(request)
        refusals.unrouted(attrs.evolve(request, path=f"{path}/twilio/voice"), 404)
    assert len(said) == 4
    assert all(line.isprintable() and len(line) < 1000 for line in said)
