"""Whole calls through a tunnel or reverse proxy: TLS that ends there, a path prefix, requests in every form of HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trio.testing import MockClock

from voicecore.cli import serve
from voicecore.errors import RemoteProtocolError
from voicecore.facts import EndCause, MessageOutcome
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import (
    AfterAgent,
    DialPlan,
    HangUp,
    LineFaults,
    RequestForm,
    Tunnel,
    TunnelSettings,
    WebhookFaults,
    open_tunnel,
)
from voicecore.simulation.twilio.signing import sign
from voicecore_tests.kit import Rig, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
TALK = (HangUp(AfterAgent(0.5)),)
HOST = "voice.example.test"
OFFERED = "permessage-deflate; client_max_window_bits"


@asynccontextmanager
async def behind(settings: TunnelSettings) -> AsyncIterator[tuple[Rig, Tunnel]]:
    """Run an engine that carriers reach through a tunnel only."""
    async with (
        rig(HELLO, agent__first_message="Hello.", server__public_url=settings.public_url) as it,
        open_tunnel(it.simulated.world, it.engine.url, settings) as tunnel,
    ):
        yield it, tunnel


def was_heard(it: Rig) -> bool:
    """Whether the one call went through: greeted to the end, ended by the user."""
    assert it.report.first_message is not None
    return (it.report.outcome, it.report.first_message.outcome) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)


def first_line(head: bytes) -> str:
    return head.partition(b"\r\n")[0].decode()


# --- a tunnel that ends TLS ----------------------------------------------------------------


async def test_a_call_comes_through_a_tunnel_and_forged_streams_do_not(autojump_clock: MockClock) -> None:
    """Signed over https, and for a forged host: 403 each, the token stays good; no extension is taken up."""
    headers = {"user-agent": "Twilio.TmeWs/1.0", "sec-websocket-extensions": OFFERED}
    faults = LineFaults(forged_for=(f"https://{HOST}", "wss://evil.example"))
    async with behind(TunnelSettings(public_url=f"https://{HOST}", headers=headers)) as (it, tunnel):
        line = await it.carrier.call(f"https://{HOST}", TALK, faults=faults)
        await it.engine.drain()
        assert await it.engine.find_url_problem() is None
        nothing_is_left(it)
    assert line is not None
    assert line.forgeries == [403, 403]
    assert was_heard(it)
    assert it.carrier.violations == line.playout.violations == []
    assert len(it.provider.connections) == 1
    (voice,) = [passed for passed in tunnel.forwarded if b"/twilio/voice" in passed.request]
    *_, forged, stream = [passed for passed in tunnel.forwarded if b"/twilio/media/" in passed.request]
    assert (voice.status, forged.status, stream.status) == (200, 403, 101)
    assert b"x-forwarded-host: evil.example\r\n" in forged.request
    for sent in (f"host: {HOST}", f"x-forwarded-host: {HOST}", "x-forwarded-proto: https", "accept-encoding: gzip"):
        assert f"\r\n{sent}\r\n".encode() in voice.request
        assert f"\r\n{sent}\r\n".encode() in stream.request
    assert f"\r\nsec-websocket-extensions: {OFFERED}\r\n".encode() in stream.request
    assert b"extensions" not in stream.answer.lower()


@pytest.mark.parametrize("url", ["https://evil.example", f"http://{HOST}", f"wss://{HOST}"])
async def test_a_webhook_that_is_signed_for_another_url_is_refused(autojump_clock: MockClock, url: str) -> None:
    """Whatever host and scheme the forwarding headers name: nothing is announced."""
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-proto": url.partition(":")[0]}
    async with behind(TunnelSettings(public_url=f"https://{HOST}", headers=forged)) as (it, _):
        fields = {"CallSid": "CA1", "AccountSid": it.carrier.account.account_sid, "From": "+1555", "To": "+1666"}
        token = it.carrier.account.auth_token.reveal()
        for signed_for, status in ((url, 403), (f"https://{HOST}", 200)):
            signature = sign(token, f"{signed_for}/twilio/voice", fields)
            answer = await it.carrier.post(f"https://{HOST}/twilio/voice", fields, signature)
            assert (answer.status, it.engine.statistics().ringing) == (status, int(status == 200))


# --- a prefix ------------------------------------------------------------------------------


async def test_a_call_comes_through_a_proxy_that_strips_the_prefix(autojump_clock: MockClock) -> None:
    """Signed for the whole URL; the stream's address and the status callbacks have the prefix too."""
    public_url = f"https://{HOST}/voice/v1"
    async with behind(TunnelSettings(public_url=public_url)) as (it, tunnel):
        line = await it.carrier.call(public_url, TALK)
        assert await it.engine.find_url_problem() is None
        report = await it.dial(DialPlan(ring_s=1.0, script=TALK))
        nothing_is_left(it)
    assert line is not None
    assert [each.outcome for each in it.reports] == [EndCause.REMOTE_HUNG_UP] * 2
    assert report.carrier_status == "completed"
    assert it.carrier.violations == []
    assert [passed.status for passed in tunnel.forwarded if b"/twilio/media/" in passed.request] == [101, 101]
    assert not [passed for passed in tunnel.forwarded if b"/v1" in passed.request.partition(b" HTTP/")[0]]


async def test_a_proxy_that_keeps_the_prefix_is_explained_at_the_start_and_at_the_first_call(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line before anybody calls, one for the call that is refused: which prefix, and what to do about it."""
    public_url = f"https://{HOST}/voice"
    async with behind(TunnelSettings(public_url=public_url, strips_prefix=False)) as (it, tunnel):
        await serve._warn_of_url(it.engine)
        (at_start,) = caplog.messages
        caplog.clear()
        with pytest.raises(RemoteProtocolError, match="404"):
            await it.carrier.call(public_url, TALK)
        nothing_is_left(it)
    assert at_start.startswith(
        f"{public_url} leads to this process, but requests come with the path prefix /voice: have the proxy remove it"
    )
    (at_call,) = caplog.messages
    assert "let the proxy remove the path prefix /voice from its requests" in at_call
    assert {passed.status for passed in tunnel.forwarded} == {404}
    assert it.provider.connections == []


# --- forms of HTTP -------------------------------------------------------------------------

SENT = {
    RequestForm.USUAL: (b"POST /twilio/voice HTTP/1.1\r\n", b"content-length: "),
    RequestForm.HTTP_1_0: (b"POST /twilio/voice HTTP/1.0\r\n", b"connection: close\r\n"),
    RequestForm.CHUNKED: (b"transfer-encoding: chunked\r\n",),
    RequestForm.EXPECT: (b"expect: 100-continue\r\n",),
    RequestForm.PIECES: (b"POST /twilio/voice HTTP/1.1\r\n", b"content-length: "),
    RequestForm.ABSOLUTE: (b"POST http://voice.example.test/twilio/voice HTTP/1.1\r\n",),
    RequestForm.CHARSET: (b"content-type: Application/X-WWW-Form-URLEncoded; charset=UTF-8\r\n",),
    RequestForm.PERCENT_20: (b"POST /twilio/voice HTTP/1.1\r\n", b"content-length: "),
}


@pytest.mark.parametrize("form", RequestForm)
async def test_a_call_comes_through_in_every_form_of_http(autojump_clock: MockClock, form: RequestForm) -> None:
    """A voice webhook with a space and a plus in it, then the stream that it was answered with; the status too."""
    webhooks = WebhookFaults(fields={"CallerName": "A B+C"})
    async with behind(TunnelSettings(public_url=f"https://{HOST}", form=form)) as (it, tunnel):
        line = await it.carrier.call(f"https://{HOST}", TALK, webhooks=webhooks)
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    assert was_heard(it)
    assert it.carrier.violations == []
    voice, *_ = tunnel.forwarded
    assert voice.status == 200
    assert b"content-type: text/xml" in voice.answer.lower()
    assert all(part in voice.request for part in SENT[form])
    assert [first_line(each.answer)[:12] for each in tunnel.forwarded if each.request.startswith(b"GET")] == [
        "HTTP/1.1 101"
    ]
    assert {each.status for each in tunnel.forwarded if each.request.startswith(b"POST")} == {200, 204}
