"""Twilio's routes: what is refused, with which status, and that nothing happened before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from voicecore.carriers.twilio import TwilioAccount, TwilioInbound, TwilioLeg, run_stream
from voicecore.carriers.twilio.webhooks import FORM, QUERY_FIELDS_LIMIT
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.routes import Router
from voicecore.ports import AmdResult, Leg, MediaPass, NotTaken, RingingCall, StatusReport
from voicecore.secrets import Secret
from voicecore.simulation.twilio.signing import sign
from voicecore.simulation.world import simulated_world
from voicecore.statuses import AnsweredBy, CarrierStatus

CallbackName = Literal["status", "amd", "voice"]
TOKEN = "voicecore-test-token"
PUBLIC = "https://voice.example.test"
CALL = {"CallSid": "CA1", "AccountSid": "AC1", "From": "+1555", "To": "+1666", "CallStatus": "ringing"}


ACCOUNT = TwilioAccount(account_sid="AC1", auth_token=Secret(TOKEN), public_url=PUBLIC)


@attrs.define
class Desk:
    """A call host that records its calls."""

    full: bool = False
    over: bool = False
    announced: list[RingingCall] = attrs.field(factory=list)
    reports: list[StatusReport] = attrs.field(factory=list)
    verdicts: list[AmdResult] = attrs.field(factory=list)
    connected: list[AmdResult] = attrs.field(factory=list)
    claimed: list[str] = attrs.field(factory=list)

    def incoming(self, ringing: RingingCall) -> str | NotTaken:
        self.announced.append(ringing)
        if self.over:
            return NotTaken.OVER
        return NotTaken.BUSY if self.full else "token-1"

    def token_valid(self, token: str) -> bool:
        return token == "token-1" and token not in self.claimed

    def take_token(self, token: str) -> MediaPass | None:
        if not self.token_valid(token):
            return None
        self.claimed.append(token)
        return Pass()

    def status(self, report: StatusReport) -> None:
        self.reports.append(report)

    def amd_result(self, report: AmdResult) -> None:
        self.verdicts.append(report)

    def answered(self, report: AmdResult) -> str | None:
        self.connected.append(report)
        return None if self.full else "token-1"


@attrs.define
class Pass:
    """A claimed token of call CA1, and what became of it."""

    is_content: bool = True
    held: list[Leg] = attrs.field(factory=list)
    never_came: list[str] = attrs.field(factory=list)

    def accepts(self, carrier_call_id: str) -> bool:
        return carrier_call_id == "CA1"

    async def run_call(self, leg: Leg) -> bool:
        await trio.lowlevel.checkpoint()
        self.held.append(leg)
        return self.is_content

    def media_never_came(self, detail: str) -> None:
        self.never_came.append(detail)


def router(desk: Desk, *, verify: bool = True) -> Router:
    account = attrs.evolve(ACCOUNT, verify_signatures=verify)
    return Router(TwilioInbound(simulated_world().world, account, desk).routes())


def webhook(path: str, fields: dict[str, str], signature: str | None = None) -> Request:
    given = sign(TOKEN, PUBLIC + path, fields) if signature is None else signature
    headers = {"content-type": FORM, "x-twilio-signature": given}
    path, _, query = path.partition("?")
    return Request(method="POST", path=path, query=query, headers=headers, body=urlencode(fields).encode())


def upgrade(path: str, signature: str | None = None) -> Request:
    given = sign(TOKEN, "wss" + (PUBLIC + path).removeprefix("https")) if signature is None else signature
    return Request(method="GET", path=path, headers={"upgrade": "websocket", "x-twilio-signature": given})


async def answer(desk: Desk, request: Request) -> Response:
    response = await router(desk)(request)
    assert isinstance(response, Response)
    return response


async def test_a_signed_voice_webhook_is_answered_with_a_stream_to_its_token() -> None:
    """Over the configured public URL, wss."""
    desk = Desk()
    response = await answer(desk, webhook("/twilio/voice", CALL))
    stream = ET.fromstring(response.body).find("Connect/Stream")  # noqa: S314
    assert stream is not None
    assert stream.get("url") == "wss://voice.example.test/twilio/media/token-1"
    assert desk.announced == [RingingCall(carrier_call_id="CA1", caller="+1555", callee="+1666")]


async def test_a_full_house_rejects_as_busy() -> None:
    """The user hears it at once."""
    response = await answer(Desk(full=True), webhook("/twilio/voice", CALL))
    assert b'<Reject reason="busy" />' in response.body


async def test_a_webhook_of_a_call_that_is_over_is_answered_and_begins_nothing() -> None:
    """By the reception's word, or by its own."""
    response = await answer(Desk(over=True), webhook("/twilio/voice", CALL))
    assert (response.status, b"<Hangup />" in response.body) == (200, True)


@pytest.mark.parametrize("query", ["", "?call=call_1"])
@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
async def test_a_terminal_status_at_the_voice_address_is_taken_as_a_status(status: str, query: str) -> None:
    """Nothing is announced, nothing connected."""
    desk = Desk()
    response = await answer(desk, webhook(f"/twilio/voice{query}", {**CALL, "CallStatus": status}))
    assert (response.status, b"<Hangup />" in response.body) == (200, True)
    assert (desk.announced, desk.connected) == ([], [])
    assert [(report.carrier_call_id, report.word) for report in desk.reports] == [("CA1", status)]


@pytest.mark.parametrize("status", ["ringing", "in-progress", "a-new-word", "", None])
async def test_any_other_status_at_the_voice_address_announces_a_call(status: str | None) -> None:
    """A word that we do not know costs no call."""
    desk, fields = Desk(), {name: value for name, value in CALL.items() if name != "CallStatus"}
    response = await answer(
        desk, webhook("/twilio/voice", fields if status is None else fields | {"CallStatus": status})
    )
    assert (response.status, len(desk.announced), desk.reports) == (200, 1, [])


async def test_a_status_callback_is_handed_on() -> None:
    """And answered with nothing to say."""
    desk = Desk()
    response = await answer(desk, webhook("/twilio/status", {**CALL, "CallStatus": "completed", "CallDuration": "9"}))
    assert response.status == 204
    assert desk.reports == [
        StatusReport(carrier_call_id="CA1", status=CarrierStatus.COMPLETED, word="completed", duration_s=9)
    ]


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/status"])
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"signature": ""}, 403),
        ({"signature": "bm90IGEgc2lnbmF0dXJl"}, 403),
        ({"headers": {"content-type": FORM}}, 403),
        ({"query": "extra=1"}, 403),
        ({"body": urlencode({**CALL, "From": "+1999"}).encode()}, 403),
        ({"body": b""}, 400),
        ({"body": b"a=%zz"}, 400),
        ({"headers": {"content-type": "application/json"}}, 415),
        ({"headers": {}}, 415),
    ],
    ids=["no-signature", "wrong", "no-header", "query", "changed", "empty", "percent", "json", "no-type"],
)
async def test_s1_s2_s8_a_bad_webhook_has_its_status_and_no_effect(
    path: str, changes: dict[str, Any], status: int
) -> None:
    """Fail closed: nothing was announced, nothing reported."""
    desk, changes = Desk(), dict(changes)
    request = webhook(path, CALL, changes.pop("signature", None))
    response = await answer(desk, attrs.evolve(request, **changes))
    assert (response.status, desk.announced, desk.reports) == (status, [], [])


async def test_s3_forwarding_headers_change_nothing() -> None:
    """The public URL is configured; a request cannot move it."""
    forged = {"x-forwarded-proto": "http", "x-forwarded-host": "evil.example.test", "host": "evil.example.test"}
    desk, request = Desk(), webhook("/twilio/voice", CALL)
    response = await answer(desk, attrs.evolve(request, headers={**request.headers, **forged}))
    assert response.status == 200
    assert b"evil" not in response.body


async def test_a_signed_form_of_the_wrong_shape_is_refused_by_name() -> None:
    """400, and the field."""
    response = await answer(Desk(), webhook("/twilio/voice", {**CALL, "CallSid": "../../x"}))
    assert response.status == 400
    assert b"CallSid" in response.body


@pytest.mark.parametrize(
    ("path", "signature", "status"),
    [
        ("/twilio/media/token-1", "", 403),
        ("/twilio/media/token-1", "bm90IGEgc2lnbmF0dXJl", 403),
        ("/twilio/media/token-2", None, 403),
        ("/twilio/media/..", None, 404),
        ("/twilio/media/a/b", None, 404),
    ],
)
async def test_s14_j1_a_stream_without_its_right_is_refused_before_the_upgrade(
    path: str, signature: str | None, status: int
) -> None:
    """Nothing is claimed by looking."""
    desk = Desk()
    response = await answer(desk, upgrade(path, signature))
    assert (response.status, desk.claimed) == (status, [])


async def test_a_plain_get_of_the_stream_is_told_to_upgrade() -> None:
    """426, and how."""
    request = attrs.evolve(upgrade("/twilio/media/token-1"), headers={})
    response = await answer(Desk(), request)
    assert (response.status, list(response.headers)) == (426, [("upgrade", "websocket")])


async def test_verification_can_be_switched_off_in_writing_only() -> None:
    """For a developer's own machine."""
    desk = Desk()
    response = await router(desk, verify=False)(webhook("/twilio/voice", CALL, "nonsense"))
    assert isinstance(response, Response)
    assert (response.status, len(desk.announced)) == (200, 1)


async def test_what_twilio_tells_of_a_placed_call_names_it_by_our_own_id() -> None:
    """The carrier's id may not be known yet, or may have changed."""
    desk = Desk()
    await answer(desk, webhook("/twilio/status?call=call_1", {**CALL, "CallStatus": "in-progress"}))
    assert [(report.call_id, report.status) for report in desk.reports] == [("call_1", CarrierStatus.IN_PROGRESS)]


@pytest.mark.parametrize(
    ("word", "answered_by"),
    [
        ("human", AnsweredBy.HUMAN),
        ("machine_end_beep", AnsweredBy.MACHINE_RECORDING),
        ("a-new-word", AnsweredBy.UNKNOWN),
    ],
)
async def test_a_verdict_of_machine_detection_reaches_the_desk(word: str, answered_by: AnsweredBy) -> None:
    """By callback, and with the request for TwiML; words that come up later say nothing."""
    desk, fields = Desk(), {**CALL, "AnsweredBy": word}
    assert (await answer(desk, webhook("/twilio/amd?call=call_1", fields))).status == 204
    assert b"<Connect>" in (await answer(desk, webhook("/twilio/voice?call=call_1", fields))).body
    report = AmdResult(call_id="call_1", carrier_call_id="CA1", answered_by=answered_by, word=word)
    assert (desk.verdicts, desk.connected, desk.announced) == ([report], [report], [])


async def test_a_placed_call_that_nobody_wants_any_more_is_hung_up() -> None:
    """TwiML that ends it."""
    response = await answer(Desk(full=True), webhook("/twilio/voice?call=call_1", CALL))
    assert b"<Hangup />" in response.body


@pytest.mark.parametrize("query", ["", "?call=", "?other=call_1", "?call=1" + "&x=1" * QUERY_FIELDS_LIMIT])
async def test_a_verdict_without_a_call_is_refused(query: str) -> None:
    """We gave out no such URL."""
    desk = Desk()
    assert (await answer(desk, webhook(f"/twilio/amd{query}", CALL))).status == 400
    assert desk.verdicts == []


@pytest.mark.parametrize("call_id", ["call_1", "call 1&call=call_2/ü"])
@pytest.mark.parametrize("what", ["status", "amd", "voice"])
async def test_a_callback_url_that_we_give_out_brings_our_id_back(what: CallbackName, call_id: str) -> None:
    """Signed as the official package does it, over the whole URL with its query."""
    desk, url = Desk(), ACCOUNT.callback_url(what, call_id)
    theirs = RequestValidator(TOKEN).compute_signature(url, CALL)
    assert (await answer(desk, webhook(url.removeprefix(PUBLIC), CALL, theirs))).status in {200, 204}
    told: list[StatusReport | AmdResult] = [*desk.reports, *desk.verdicts, *desk.connected]
    assert [report.call_id for report in told] == [call_id]


@pytest.mark.parametrize("signed", ["", "?call=call_2", "?call=call_1&x=1"])
@pytest.mark.parametrize("path", ["/twilio/status", "/twilio/amd", "/twilio/voice"])
async def test_s2_a_signature_of_another_query_is_worth_nothing(path: str, signed: str) -> None:
    """What was said of one call is not taken for another."""
    desk, theirs = Desk(), RequestValidator(TOKEN).compute_signature(PUBLIC + path + signed, CALL)
    assert (await answer(desk, webhook(f"{path}?call=call_1", CALL, theirs))).status == 403
    assert desk == Desk()


@attrs.define
class Ends:
    """A socket that says what it was given, and notes how it was closed."""

    says: list[str] = attrs.field(factory=list)
    closed_with: list[int] = attrs.field(factory=list)
    peer: str = "carrier"

    async def receive(self) -> list[str]:
        if not self.says:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        said, self.says = self.says, []
        return said

    async def send(self, text: str) -> None:
        raise AssertionError(text)

    def send_nowait(self, text: str) -> bool:
        raise AssertionError(text)

    async def close(self, code: int = 1000, reason: str = "") -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        self.closed_with.append(code)


@asynccontextmanager
async def accepted(desk: Desk) -> AsyncIterator[Upgrade]:
    accepting = await router(desk)(upgrade("/twilio/media/token-1"))
    assert isinstance(accepting, Upgrade)
    yield accepting


async def test_the_second_stream_of_a_token_is_closed_and_the_first_untouched(autojump_clock: MockClock) -> None:
    """Both were let in before either had claimed; one of them has the call."""
    desk = Desk()
    async with accepted(desk) as first, accepted(desk) as second:
        sockets = Ends(), Ends()
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.run, sockets[0])
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(second.run, sockets[1])
    assert desk.claimed == ["token-1"]
    assert (sockets[0].closed_with, sockets[1].closed_with) == ([], [1008])


def start(carrier_call_id: str) -> list[str]:
    """What the stream of a call says first."""
    about = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": carrier_call_id,
        "tracks": ["inbound"],
        "customParameters": {},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    return [
        json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": about}),
    ]


async def test_a_stream_that_its_pass_accepts_is_held(autojump_clock: MockClock) -> None:
    """As a leg, from its start message on."""
    media_pass, socket = Pass(), Ends(start("CA1"))
    await run_stream(socket, media_pass, simulated_world().world)
    (leg,) = media_pass.held
    assert isinstance(leg, TwilioLeg)
    assert (leg.started.carrier_call_id, media_pass.never_came, socket.closed_with) == ("CA1", [], [])


async def test_a_stream_of_another_call_than_its_pass_is_for_is_closed(autojump_clock: MockClock) -> None:
    """1008, and the pass is given back unused."""
    media_pass, socket = Pass(), Ends(start("CA2"))
    await run_stream(socket, media_pass, simulated_world().world)
    assert (media_pass.held, socket.closed_with) == ([], [1008])
    assert media_pass.never_came == ["the stream named a call that its token is not for"]


async def test_a_stream_that_broke_its_rules_is_closed_for_that(autojump_clock: MockClock) -> None:
    """1008: the call host closed it."""
    socket = Ends(start("CA1"))
    await run_stream(socket, Pass(is_content=False), simulated_world().world)
    assert socket.closed_with == [1008]


async def test_nonsense_before_the_start_is_borne_up_to_a_bound(autojump_clock: MockClock) -> None:
    """Then the stream is closed, the pass given back, and nothing raised."""
    media_pass, socket = Pass(), Ends([start("CA1")[0], *["{"] * 60])
    await run_stream(socket, media_pass, simulated_world().world)
    assert (media_pass.held, socket.closed_with, len(media_pass.never_came)) == ([], [1008], 1)
