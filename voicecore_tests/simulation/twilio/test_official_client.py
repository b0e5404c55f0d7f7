"""The official client as judge: it places, fetches and ends calls, and understands what goes wrong.

It runs in a thread, as it knows no Trio; its requests are written by its own
code and cross the twin's port. Virtual time stands still meanwhile, and is
moved by the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest
import trio
from trio.testing import MockClock
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.http import HttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from voicecore.simulation.twilio import AmdCallback, At, DialPlan, HangUp, Refusal
from voicecore_tests.simulation.twilio.kit import AUTH, CALLEE, NUMBER, Office, http, office

T = TypeVar("T")


class Bridge(HttpClient):  # type: ignore[misc]
    """The client's transport: from its thread to the twin's port."""

    def __init__(self, it: Office) -> None:
        super().__init__(None, False, None)
        self._it = it

    def request(
        self, method: str, url: str, params: Any = None, data: Any = None, auth: Any = None, **_: object
    ) -> Response:
        assert urlsplit(url).netloc == "api.twilio.com"
        assert not params
        here = self._it.api + urlsplit(url).path
        form = urlencode(data or {}, doseq=True)
        status, body = trio.from_thread.run(http, self._it.simulated.world, method, here, form, auth)
        return Response(status, body)


async def ask(it: Office, request: Callable[[Any], T], auth: tuple[str, str] = AUTH) -> T:
    """Let the official client ask something."""
    client = Client(*auth, http_client=Bridge(it))
    return await trio.to_thread.run_sync(request, client)


async def passes(clock: MockClock, seconds: float) -> None:
    """Let virtual time pass, a tenth of a second after another."""
    for _ in range(round(seconds * 10)):
        clock.jump(0.1)
        await trio.testing.wait_all_tasks_blocked()


def create(it: Office, **more: object) -> Callable[[Any], Any]:
    usual = {"to": CALLEE, "from_": NUMBER, "twiml": it.app.twiml(), "timeout": 30}
    events = ["initiated", "ringing", "answered", "completed"]
    callback = {"status_callback": f"{it.app.url}/status?call=c_1", "status_callback_event": events}
    return lambda client: client.calls.create(**{**usual, **callback, **more})


async def test_it_places_a_call_follows_it_and_ends_it(mock_clock: MockClock) -> None:
    """Every value it reads has the type and the meaning that it expects."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=2.0))
        call = await ask(it, create(it))
        assert (call.status, call.direction, call.to, call._from) == ("queued", "outbound-api", CALLEE, NUMBER)
        assert (call.account_sid, call.api_version, call.duration) == (AUTH[0], "2010-04-01", None)
        assert call.date_created.year == 2026
        seen = []
        for seconds in (1.0, 2.0):
            await passes(mock_clock, seconds)
            seen.append((await ask(it, lambda client: client.calls(call.sid).fetch())).status)
        assert seen == ["ringing", "in-progress"]
        await ask(it, lambda client: client.calls(call.sid).update(status="completed"))
        await passes(mock_clock, 1.0)
        ended = await ask(it, lambda client: client.calls(call.sid).fetch())
        assert (ended.status, ended.duration) == ("completed", "1")
    assert it.app.statuses == ["initiated", "ringing", "in-progress", "completed"]
    assert (it.carrier.dials[0].ended_by, it.carrier.violations) == ("rest", [])


async def test_all_that_it_says_of_machine_detection_is_understood(mock_clock: MockClock) -> None:
    """Its spelling of switches and numbers is Twilio's."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=1.0, machine=AmdCallback(word="machine_end_beep", after_s=1.0)))
        wanted: dict[str, object] = {
            "machine_detection": "DetectMessageEnd",
            "machine_detection_timeout": 20,
            "machine_detection_speech_threshold": 2400,
            "async_amd": "true",
            "async_amd_status_callback": f"{it.app.url}/amd?call=c_1",
            "async_amd_status_callback_method": "POST",
        }
        call = await ask(it, create(it, **wanted))
        await passes(mock_clock, 3.0)
        assert (await ask(it, lambda client: client.calls(call.sid).fetch())).answered_by == "machine_end_beep"
    assert [fields["AnsweredBy"] for fields in it.app.came("/amd")] == ["machine_end_beep"]


async def test_it_understands_every_error(mock_clock: MockClock) -> None:
    """Status, code and words of a refusal reach whoever catches it."""
    refusal = Refusal(status=429, code=20429, times=1)
    async with office() as it:
        it.carrier.expect(DialPlan(refuse=refusal, ring_s=0.5, script=[HangUp(At(0.5))]))

        async def fails(request: Callable[[Any], Any], auth: tuple[str, str] = AUTH) -> tuple[int, int]:
            with pytest.raises(TwilioRestException) as raised:
                await ask(it, request, auth)
            assert raised.value.msg
            return raised.value.status, raised.value.code

        assert await fails(create(it), (AUTH[0], "wrong")) == (401, 20003)
        assert await fails(create(it, to="5551234")) == (400, 21211)
        assert await fails(create(it, machine_detection="Enable", async_amd="true")) == (400, 21262)
        assert await fails(create(it, url="https://voice.example.test/")) == (400, 21200)
        assert await fails(create(it)) == (429, 20429)
        assert await fails(lambda client: client.calls("CA" + "0" * 32).fetch()) == (404, 20404)
        call = await ask(it, create(it))
        await passes(mock_clock, 2.0)
        assert await fails(lambda client: client.calls(call.sid).update(status="completed")) == (400, 21220)
    assert [violation[:5] for violation in it.carrier.violations] == ["20003", "21211", "21262", "21200"]
