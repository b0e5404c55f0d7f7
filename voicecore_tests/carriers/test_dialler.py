"""Asking Twilio for calls, over real HTTP: repeated only where a phone cannot ring twice."""

from __future__ import annotations

import enum
import itertools
import logging
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from voicecore.carriers.twilio import DialLimits, HangUpLimits, TwilioAccount, TwilioControl, TwilioDialler, TwilioRest
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, CarrierUncertain
from voicecore.net.http.client import open_http_client
from voicecore.net.http.messages import Request, Response, ServerLimits
from voicecore.net.http.routes import Parameters, Router
from voicecore.net.http.server import serve
from voicecore.nurseries import open_service_nursery
from voicecore.ports import DialOrder, MachineDetection
from voicecore.secrets import Secret
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.simulation.world import simulated_world
from voicecore_tests.net.cancelling import assert_every_cancellation_is_clean
from voicecore_tests.net.raw_peer import RawPeer
from voicecore_tests.wire.test_twilio_rest import official

SID = "CA" + "0" * 31 + "1"
TOKEN = "planted-carrier-token-77b1"
CREATED = Response(201, f'{{"sid": "{SID}", "status": "queued"}}'.encode())
ORDER = DialOrder(call_id="call_1", callee="+15550100077", token="t" * 48, ring_timeout_s=30)
PUBLIC = "https://voice.example.test"
PORT = 8080
ACCOUNT = TwilioAccount(
    account_sid="AC1",
    auth_token=Secret(TOKEN),
    public_url=PUBLIC,
    api_base_url=f"http://127.0.0.1:{PORT}",
    apology="We are sorry.",
)
PATIENT = ServerLimits(answer_s=1000.0)  # so that it is the dialler who gives up
ROUTES = ["/2010-04-01/Accounts/{sid}/Calls.json", "/2010-04-01/Accounts/{sid}/Calls/{call}"]


class Silence(enum.Enum):
    """No answer to a request that arrived."""

    LOST = enum.auto()  #: the connection breaks
    ENDLESS = enum.auto()  #: the connection stays


@attrs.frozen
class Slow:
    """An answer that takes its time."""

    after_s: float
    response: Response


Answer = Response | Slow | Silence


@attrs.frozen
class Asked:
    """One request as it arrived."""

    at_s: float
    path: str
    authorization: str
    fields: list[tuple[str, str]]

    @property
    def form(self) -> dict[str, str]:
        return dict(self.fields)


@attrs.define
class Rest:
    """A REST interface that gives one answer after the other, the last one again and again."""

    answers: Sequence[Answer]
    requests: list[Asked] = attrs.field(factory=list)

    async def __call__(self, request: Request, _parameters: Parameters) -> Response:
        fields = parse_qsl(request.body.decode(), keep_blank_values=True)
        self.requests.append(Asked(trio.current_time(), request.path, request.headers["authorization"], fields))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Response):
            await trio.lowlevel.checkpoint()
            return answer
        if isinstance(answer, Slow):
            await trio.sleep(answer.after_s)
            return answer.response
        if answer is Silence.ENDLESS:
            await trio.sleep_forever()
        raise trio.BrokenResourceError("the line breaks")

    async def run(self, network: MemoryNetwork, opens_at_s: float = 0.0) -> None:
        """Answer requests; before ``opens_at_s`` connections are refused."""
        await trio.sleep(opens_at_s)
        listening = await network.listen("127.0.0.1", PORT)
        await serve(listening.listeners, Router({("POST", path): self for path in ROUTES}), PATIENT)


@asynccontextmanager
async def dialler(
    rest: Rest, link: LinkSettings | None = None, *, opens_at_s: float = 0.0, **limits: Any
) -> AsyncIterator[TwilioDialler]:
    """Run the interface and a dialler that asks it; nothing is left open."""
    network = simulated_world(1, link).network
    async with open_service_nursery() as nursery, open_http_client(network) as http:
        nursery.start_soon(rest.run, network, opens_at_s)
        await trio.testing.wait_all_tasks_blocked()
        yield TwilioDialler(TwilioRest(ACCOUNT, http), "+15550100002", DialLimits(**limits))
    assert network.open_streams == 0


@asynccontextmanager
async def control(rest: Rest, *, opens_at_s: float = 0.0) -> AsyncIterator[TwilioControl]:
    """Run the interface and what ends calls by it; nothing is left open."""
    network = simulated_world(1).network
    async with open_service_nursery() as nursery, open_http_client(network) as http:
        nursery.start_soon(rest.run, network, opens_at_s)
        await trio.testing.wait_all_tasks_blocked()
        yield TwilioControl(TwilioRest(ACCOUNT, http))
    assert network.open_streams == 0


async def test_a_call_is_asked_for_with_everything_that_it_needs(autojump_clock: MockClock) -> None:
    """Inline TwiML to the call's own token; callbacks that bring our id back."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        assert await it.dial(ORDER) == SID
    (asked,) = rest.requests
    assert asked.path == "/2010-04-01/Accounts/AC1/Calls.json"
    assert asked.authorization == f"Basic {b64encode(f'AC1:{TOKEN}'.encode()).decode()}"
    assert (asked.form["To"], asked.form["From"], asked.form["Timeout"]) == ("+15550100077", "+15550100002", "30")
    assert f"wss://voice.example.test/twilio/media/{'t' * 48}" in asked.form["Twiml"]
    assert "<Say>We are sorry.</Say>" in asked.form["Twiml"]
    assert asked.form["StatusCallback"] == "https://voice.example.test/twilio/status?call=call_1"
    assert "MachineDetection" not in asked.form


async def test_detection_beside_the_call_has_its_own_callback(autojump_clock: MockClock) -> None:
    """And waits for the beep where a message is to be left."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        await it.dial(attrs.evolve(ORDER, detection=MachineDetection.ASYNC, waits_for_beep=True))
    form = rest.requests[0].form
    assert (form["MachineDetection"], form["AsyncAmd"]) == ("DetectMessageEnd", "true")
    assert form["AsyncAmdStatusCallback"] == "https://voice.example.test/twilio/amd?call=call_1"


async def test_detection_before_the_media_lets_the_carrier_ask_what_to_do(autojump_clock: MockClock) -> None:
    """A URL in place of TwiML: the verdict comes with the request."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        await it.dial(attrs.evolve(ORDER, detection=MachineDetection.SYNC))
    form = rest.requests[0].form
    assert (form["Url"], form["MachineDetection"]) == ("https://voice.example.test/twilio/voice?call=call_1", "Enable")
    assert not {"Twiml", "AsyncAmd", "AsyncAmdStatusCallback"} & set(form)


ALWAYS = {
    "to": "+15550100077",
    "from_": "+15550100002",
    "timeout": 30,
    "status_callback": f"{PUBLIC}/twilio/status?call=call_1",
    "status_callback_event": ["initiated", "ringing", "answered", "completed"],
}
ASYNC = {"async_amd": "true", "async_amd_status_callback": f"{PUBLIC}/twilio/amd?call=call_1"}
SYNC = {"url": f"{PUBLIC}/twilio/voice?call=call_1"}


@pytest.mark.parametrize(
    ("detection", "beep", "arguments"),
    [
        (MachineDetection.OFF, False, {}),
        (MachineDetection.ASYNC, False, {**ASYNC, "machine_detection": "Enable"}),
        (MachineDetection.ASYNC, True, {**ASYNC, "machine_detection": "DetectMessageEnd"}),
        (MachineDetection.SYNC, False, {**SYNC, "machine_detection": "Enable"}),
        (MachineDetection.SYNC, True, {**SYNC, "machine_detection": "DetectMessageEnd"}),
    ],
)
async def test_what_arrives_is_what_the_official_client_would_send(
    autojump_clock: MockClock, detection: MachineDetection, beep: bool, arguments: dict[str, str]
) -> None:
    """Every field with every value, and no other, off the wire."""
    rest = Rest([CREATED])
    async with dialler(rest) as it:
        await it.dial(attrs.evolve(ORDER, detection=detection, waits_for_beep=beep))
    ours = rest.requests[0]
    twiml = {} if detection is MachineDetection.SYNC else {"twiml": ours.form["Twiml"]}
    assert sorted(ours.fields) == official(**ALWAYS, **arguments, **twiml).form


TOO_MANY = Response(429, b'{"code": 20429, "message": "Too Many Requests"}')
NO_NUMBER = Response(400, b'{"code": 21211, "message": "Invalid \'To\' Phone Number"}')


@pytest.mark.parametrize(
    ("answers", "raises", "requests"),
    [
        ([TOO_MANY, TOO_MANY, CREATED], None, 3),
        ([TOO_MANY], CarrierRefused, 3),
        ([NO_NUMBER], CarrierRefused, 1),
        ([TOO_MANY, NO_NUMBER], CarrierRefused, 2),
        ([Response(401, b'{"code": 20003, "message": "Authenticate"}')], CarrierRefused, 1),
        ([Response(302)], CarrierUncertain, 1),
        ([Response(500, b"<html>")], CarrierUncertain, 1),
        ([Response(503)], CarrierUncertain, 1),
        ([TOO_MANY, Response(503)], CarrierUncertain, 2),
        ([Response(408)], CarrierUncertain, 1),
        ([Response(201, b"{}")], CarrierUncertain, 1),
        ([Response(201, b"<html>")], CarrierUncertain, 1),
        ([Slow(14.0, CREATED)], None, 1),
        ([Slow(16.0, CREATED)], CarrierUncertain, 1),
        ([Silence.ENDLESS], CarrierUncertain, 1),
        ([Silence.LOST], CarrierUncertain, 1),
        ([TOO_MANY, Silence.LOST], CarrierUncertain, 2),
    ],
)
async def test_a_request_is_made_again_only_where_nothing_has_happened(
    autojump_clock: MockClock, answers: list[Answer], raises: type[CarrierError] | None, requests: int
) -> None:
    """A request is repeated only if it certainly had no effect."""
    rest = Rest(answers)
    async with dialler(rest) as it:
        if raises is None:
            assert await it.dial(ORDER) == SID
        else:
            with pytest.raises(raises) as failure:
                await it.dial(ORDER)
            assert type(failure.value) is raises
    assert len(rest.requests) == requests


async def test_a_refusal_says_why_in_the_carriers_words(autojump_clock: MockClock) -> None:
    """Number and message."""
    async with dialler(Rest([NO_NUMBER])) as it:
        with pytest.raises(CarrierRefused, match="21211: Invalid 'To' Phone Number") as refused:
            await it.dial(ORDER)
    assert (refused.value.status, refused.value.code) == (400, 21211)


@pytest.mark.parametrize("status", [201, 400, 500])
async def test_no_secret_is_shown_even_where_the_carrier_repeats_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Neither in a failure with its whole cause, nor in a log, nor by printing what takes part."""
    caplog.set_level(logging.DEBUG)
    words = f'{{"code": 1, "sid": "{ORDER.token}", "message": "bad: wss://h/{ORDER.token} by {TOKEN}"}}'
    async with dialler(Rest([Response(status, words.encode())])) as it:
        with pytest.raises(CarrierError) as failure:
            await it.dial(ORDER)
    shown = "".join(traceback.format_exception(failure.value)) + caplog.text + repr((it, ACCOUNT, ORDER, failure.value))
    assert TOKEN not in shown
    assert ORDER.token not in shown


async def test_tries_are_apart_and_bounded(autojump_clock: MockClock) -> None:
    """Half a second, then a whole one."""
    rest = Rest([TOO_MANY])
    async with dialler(rest, tries=3, pause_s=0.5) as it:
        with pytest.raises(CarrierRefused):
            await it.dial(ORDER)
    moments = [asked.at_s for asked in rest.requests]
    assert [b - a for a, b in itertools.pairwise(moments)] == [pytest.approx(0.5), pytest.approx(1.0)]


async def test_a_carrier_that_refuses_connections_was_not_asked(autojump_clock: MockClock) -> None:
    """Three tries, and it is said that nothing rings."""
    rest = Rest([CREATED])
    async with dialler(rest, opens_at_s=1000) as it:
        with pytest.raises(CarrierUnavailable, match="refused the connection"):
            await it.dial(ORDER)
        assert trio.current_time() == pytest.approx(1.5)
    assert rest.requests == []


async def test_a_carrier_that_takes_connections_again_is_asked_once(autojump_clock: MockClock) -> None:
    """At the third try; the two before it never arrived."""
    rest = Rest([CREATED])
    async with dialler(rest, opens_at_s=1.0) as it:
        assert await it.dial(ORDER) == SID
    assert [asked.at_s for asked in rest.requests] == [pytest.approx(1.5)]


async def test_a_carrier_whose_address_swallows_packets_was_not_asked(autojump_clock: MockClock) -> None:
    """Three bounds of a connection fit into the bound of them all."""
    rest = Rest([CREATED])
    async with dialler(rest, LinkSettings(connect_s=100)) as it:
        with pytest.raises(CarrierUnavailable):
            await it.dial(ORDER)
        assert trio.current_time() == pytest.approx(3 * 5.0 + 1.5)
    assert rest.requests == []


@pytest.mark.parametrize(
    ("answers", "raises"),
    [
        ([Silence.ENDLESS], CarrierUncertain),
        ([TOO_MANY, Silence.ENDLESS], CarrierUncertain),
        ([Slow(1.9, TOO_MANY)], CarrierRefused),
    ],
    ids=["in the first request", "in a later one", "between two"],
)
async def test_all_tries_together_have_a_bound(
    autojump_clock: MockClock, answers: list[Answer], raises: type[CarrierError]
) -> None:
    """Cut off while a request is under way, it may have taken effect; between two, it is known that it has not."""
    async with dialler(Rest(answers), dial_s=2.0) as it:
        with pytest.raises(raises) as failure:
            await it.dial(ORDER)
        assert type(failure.value) is raises
        assert trio.current_time() == pytest.approx(2.0)


def test_a_cancellation_at_any_step_of_dialling_leaves_nothing() -> None:
    """From the first connection over a refusal and its pause to the answer: no socket, no task, no time."""

    async def dial(network: MemoryNetwork, _url: str) -> None:
        rest = Rest([TOO_MANY, CREATED])
        async with open_service_nursery() as nursery, open_http_client(network) as http:
            nursery.start_soon(rest.run, network)
            await trio.testing.wait_all_tasks_blocked()
            assert await TwilioDialler(TwilioRest(ACCOUNT, http), "+15550100002").dial(ORDER) == SID

    async def nobody(_peer: RawPeer) -> None:
        raise AssertionError("the dialler asks its own server")

    assert assert_every_cancellation_is_clean(nobody, dial, most_s=0.0) > 40


@pytest.mark.parametrize(
    ("answers", "raises", "requests"),
    [
        ([Response(200, b"{}")], None, 1),
        ([Response(404)], None, 1),
        ([Response(404, b'{"code": 20404}')], None, 1),
        ([Response(400, b'{"code": 21220}')], None, 1),
        ([Response(400, b'{"message": "Call is not in-progress."}')], None, 1),
        ([Response(503), Response(503), Response(200)], None, 3),
        ([Silence.LOST, Silence.LOST, Response(200)], None, 3),
        ([Silence.ENDLESS, Response(200)], None, 2),
        ([Silence.LOST, Response(404)], None, 2),
        ([TOO_MANY, Response(200)], None, 2),
        ([Response(503)], CarrierUncertain, 3),
        ([TOO_MANY], CarrierRefused, 3),
        ([Response(401, b'{"code": 20003}')], CarrierRefused, 1),
        ([Silence.LOST], CarrierUncertain, 3),
        ([Silence.ENDLESS], CarrierUncertain, 3),
    ],
)
async def test_ending_a_call_may_be_asked_for_again(
    autojump_clock: MockClock, answers: list[Answer], raises: type[CarrierError] | None, requests: int
) -> None:
    """Within its bound; a call that is over already is no error, and a refusal that will not pass is not repeated."""
    rest = Rest(answers)
    async with control(rest) as it:
        if raises is None:
            await it.hang_up(SID)
        else:
            with pytest.raises(raises):
                await it.hang_up(SID)
        assert trio.current_time() <= 5.0 + 1e-9
    assert len(rest.requests) == requests
    assert rest.requests[0].path == f"/2010-04-01/Accounts/AC1/Calls/{SID}.json"
    assert rest.requests[0].fields == [("Status", "completed")]


async def test_an_answer_that_never_comes_leaves_time_for_another_try(autojump_clock: MockClock) -> None:
    """Each try has the same share of the five seconds, less the pauses."""
    rest = Rest([Silence.ENDLESS])
    async with control(rest) as it:
        with pytest.raises(CarrierUncertain, match="may not have been ended"):
            await it.hang_up(SID)
        assert trio.current_time() == pytest.approx(5.0)
    assert [asked.at_s for asked in rest.requests] == pytest.approx([0, 4 / 3 + 0.5, 8 / 3 + 1.0])


def test_the_bounds_agree_with_each_other() -> None:
    """The pauses alone must not use up the time of all tries."""
    with pytest.raises(ValueError, match="total_s"):
        HangUpLimits(total_s=1.0)


async def test_a_call_is_ended_once_the_carrier_can_be_reached_again(autojump_clock: MockClock) -> None:
    """The tries that were refused did no harm."""
    rest = Rest([Response(200)])
    async with control(rest, opens_at_s=0.7) as it:
        await it.hang_up(SID)
    assert [asked.at_s for asked in rest.requests] == [pytest.approx(1.0)]
