"""Asking Twilio for calls, over real HTTP: repeated only where a phone cannot ring twice."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.carriers.twilio import DialLimits, TwilioAccount, TwilioDialler
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, CarrierUncertain
from voicecore.net.http_client import open_http_client
from voicecore.net.http_messages import Request, Response
from voicecore.net.routes import Parameters, Router
from voicecore.net.server import serve
from voicecore.nurseries import open_service_nursery
from voicecore.ports import DialOrder, MachineDetection
from voicecore.secrets import Secret
from voicecore.simulation.world import simulated_world

SID = "CA" + "0" * 31 + "1"
TOKEN = "planted-carrier-token-77b1"
CREATED = Response(201, f'{{"sid": "{SID}", "status": "queued"}}'.encode())
ORDER = DialOrder(call_id="call_1", callee="+15550100077", token="t" * 48, ring_timeout_s=30)


@attrs.define
class Rest:
    """A REST interface that gives one answer after the other, the last one again and again."""

    answers: Sequence[Response | float]
    """A number: so many seconds without an answer, and then none."""
    requests: list[tuple[float, str, dict[str, str]]] = attrs.field(factory=list)

    async def __call__(self, request: Request, _parameters: Parameters) -> Response:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self.requests.append((trio.current_time(), request.path, form))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Response):
            await trio.lowlevel.checkpoint()
            return answer
        await trio.sleep(answer)
        return Response(500)


@asynccontextmanager
async def dialler(rest: Rest, **limits: Any) -> AsyncIterator[TwilioDialler]:
    """Run the interface and a dialler that asks it."""
    world = simulated_world().world
    listening = await world.network.listen("127.0.0.1", 0)
    paths = ["/2010-04-01/Accounts/{sid}/Calls.json", "/2010-04-01/Accounts/{sid}/Calls/{call}"]
    async with open_service_nursery() as nursery, open_http_client(world.network) as http:
        await nursery.start(serve, listening.listeners, Router({("POST", path): rest for path in paths}))
        account = TwilioAccount(
            account_sid="AC1",
            auth_token=Secret(TOKEN),
            public_url="https://voice.example.test",
            api_base_url=f"http://127.0.0.1:{listening.port}",
            apology="We are sorry.",
        )
        yield TwilioDialler(account, "+15550100002", http, DialLimits(**limits))


async def test_a_call_is_asked_for_with_everything_that_it_needs(autojump_clock: MockClock) -> None:
    """Inline TwiML to the call's own token; callbacks that bring our id back."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        assert await it.dial(ORDER) == SID
    ((_, path, form),) = rest.requests
    assert path == "/2010-04-01/Accounts/AC1/Calls.json"
    assert (form["To"], form["From"], form["Timeout"]) == ("+15550100077", "+15550100002", "30")
    assert f"wss://voice.example.test/twilio/media/{'t' * 48}" in form["Twiml"]
    assert "<Say>We are sorry.</Say>" in form["Twiml"]
    assert form["StatusCallback"] == "https://voice.example.test/twilio/status?call=call_1"
    assert "MachineDetection" not in form


async def test_detection_beside_the_call_has_its_own_callback(autojump_clock: MockClock) -> None:
    """And waits for the beep where a message is to be left."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        await it.dial(attrs.evolve(ORDER, detection=MachineDetection.BESIDE, waits_for_beep=True))
    form = rest.requests[0][2]
    assert (form["MachineDetection"], form["AsyncAmd"]) == ("DetectMessageEnd", "true")
    assert form["AsyncAmdStatusCallback"] == "https://voice.example.test/twilio/amd?call=call_1"


async def test_detection_before_the_media_lets_the_carrier_ask_what_to_do(autojump_clock: MockClock) -> None:
    """A URL in place of TwiML: the verdict comes with the request."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        await it.dial(attrs.evolve(ORDER, detection=MachineDetection.BEFORE))
    form = rest.requests[0][2]
    assert (form["Url"], form["MachineDetection"]) == ("https://voice.example.test/twilio/voice?call=call_1", "Enable")
    assert not {"Twiml", "AsyncAmd"} & set(form)


TOO_MANY = Response(429, b'{"code": 20429, "message": "Too Many Requests"}')
NO_NUMBER = Response(400, b'{"code": 21211, "message": "Invalid \'To\' Phone Number"}')


@pytest.mark.parametrize(
    ("answers", "raises", "requests"),
    [
        ([TOO_MANY, TOO_MANY, CREATED], None, 3),
        ([TOO_MANY], CarrierRefused, 3),
        ([NO_NUMBER], CarrierRefused, 1),
        ([Response(401, b'{"code": 20003, "message": "Authenticate"}')], CarrierRefused, 1),
        ([Response(500, b"<html>")], CarrierUncertain, 1),
        ([Response(503)], CarrierUncertain, 1),
        ([Response(408)], CarrierUncertain, 1),
        ([Response(201, b"{}")], CarrierUncertain, 1),
        ([60.0], CarrierUncertain, 1),
    ],
    ids=["429 twice", "429", "400", "401", "500", "503", "408", "no id", "no answer"],
)
async def test_a_request_is_made_again_only_where_nothing_has_happened(
    autojump_clock: MockClock, answers: list[Response | float], raises: type[CarrierError] | None, requests: int
) -> None:
    """Each answer is sure to have had no effect, or is not asked twice."""
    rest = Rest(answers)
    async with dialler(rest) as it:
        if raises is None:
            assert await it.dial(ORDER) == SID
        else:
            with pytest.raises(raises) as failure:
                await it.dial(ORDER)
            assert type(failure.value) is raises
            assert TOKEN not in str(failure.value) + repr(failure.value)
    assert len(rest.requests) == requests


async def test_a_refusal_says_why_in_the_carriers_words(autojump_clock: MockClock) -> None:
    """Number and message."""
    async with dialler(Rest([NO_NUMBER])) as it:
        with pytest.raises(CarrierRefused, match="21211: Invalid 'To' Phone Number") as refused:
            await it.dial(ORDER)
    assert (refused.value.status, refused.value.code) == (400, 21211)


async def test_tries_are_apart_and_bounded(autojump_clock: MockClock) -> None:
    """Half a second, then a whole one."""
    rest = Rest([TOO_MANY])
    async with dialler(rest, tries=3, pause_s=0.5) as it:
        with pytest.raises(CarrierRefused):
            await it.dial(ORDER)
    moments = [at for at, _, _ in rest.requests]
    assert [b - a for a, b in itertools.pairwise(moments)] == [pytest.approx(0.5), pytest.approx(1.0)]


async def test_a_carrier_that_cannot_be_reached_was_not_asked(autojump_clock: MockClock) -> None:
    """Three tries, and it is said that nothing rings."""
    world = simulated_world().world
    account = TwilioAccount(
        account_sid="AC1", auth_token=Secret(TOKEN), public_url="https://v.test", api_base_url="http://127.0.0.1:9"
    )
    async with open_http_client(world.network) as http:
        with pytest.raises(CarrierUnavailable):
            await TwilioDialler(account, "+15550100002", http).dial(ORDER)
    assert trio.current_time() == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("answers", "raises", "requests"),
    [
        ([Response(200, b"{}")], None, 1),
        ([Response(404, b'{"code": 20404}')], None, 1),
        ([Response(400, b'{"code": 21220}')], None, 1),
        ([Response(503), Response(503), Response(200)], None, 3),
        ([Response(503)], CarrierUncertain, 3),
        ([Response(401, b'{"code": 20003}')], CarrierRefused, 3),
        ([60.0], CarrierUncertain, 1),
    ],
    ids=["ended", "unknown", "over", "503 twice", "503", "401", "no answer"],
)
async def test_ending_a_call_may_be_asked_for_again(
    autojump_clock: MockClock, answers: list[Response | float], raises: type[CarrierError] | None, requests: int
) -> None:
    """Within its bound; a call that is over already is no error."""
    rest = Rest(answers)
    async with dialler(rest) as it:
        if raises is None:
            await it.hang_up(SID)
        else:
            with pytest.raises(raises):
                await it.hang_up(SID)
    assert trio.current_time() <= 5.0
    assert len(rest.requests) == requests
    assert rest.requests[0][1:] == (f"/2010-04-01/Accounts/AC1/Calls/{SID}.json", {"Status": "completed"})
