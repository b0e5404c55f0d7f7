"""A process that is killed in mid-call, and the next one on the same data folder: the old call opens nothing there.

The disk is taken as it is at one moment of the call; a second engine, in a world of its own, starts with it.
What a real kill -9 leaves on a real disk: cli/test_killed.py.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import HandshakeRefused
from voicecore.facts import EndCause, MessageOutcome
from voicecore.net.websocket.connect import dial
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp
from voicecore.simulation.twilio.signing import sign
from voicecore_tests.engine.test_late_webhooks import post
from voicecore_tests.engine.test_metrics import fetched, parse
from voicecore_tests.kit import CALLEE, Rig, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
ON_THE_LINE = (HangUp(At(300.0)),)
SETTINGS: dict[str, Any] = {
    "agent__first_message": "Hello.",
    "server__max_calls": 1,
    "server__record_audio": True,
    "server__metrics_port": 9100,
}


@attrs.frozen
class Killed:
    """What remains of a process that was killed in mid-call."""

    call_sid: str
    stream_path: str
    """With the token that the call's stream came under."""
    status_path: str
    """Where the carrier tells of the call."""
    disk: dict[str, bytes]


async def killed_in_mid_call(*, placed: bool) -> Killed:
    """Run an engine until a call has been heard by both sides, and take the disk as it is."""
    async with rig(HELLO, **SETTINGS) as it, trio.open_nursery() as nursery:
        if placed:
            it.carrier.expect(DialPlan(ring_s=1.0, script=ON_THE_LINE))
            nursery.start_soon(it.dial)
        else:
            nursery.start_soon(it.carrier.call, it.engine.url, ON_THE_LINE)
        await trio.sleep(6.0)
        assert it.engine.statistics().live == 1
        disk = {str(path): bytes(data) for path, data in it.simulated.files.files.items()}
        (line,) = it.carrier.lines
        status_url = urlsplit((it.carrier.dials[0].request.status_callback if placed else None) or "/twilio/status")
        nursery.cancel_scope.cancel()
    assert {path.rpartition("/")[2] for path in disk} == {"audio.wav", "transcript.jsonl"}
    query = f"?{status_url.query}" if status_url.query else ""
    return Killed(line.call_sid, urlsplit(line.stream_url).path, status_url.path + query, disk)


async def stream_status(it: Rig, path: str) -> int:
    """Return what a signed upgrade is answered with."""
    url = it.engine.url.replace("http://", "ws://") + path
    headers = [("X-Twilio-Signature", sign(it.carrier.account.auth_token.reveal(), url))]
    try:
        async with dial(it.simulated.world.network, url, headers=headers):
            return 101
    except HandshakeRefused as refused:
        return refused.status


async def live_calls(it: Rig) -> dict[str, float]:
    """Return how many calls /metrics shows, by the name of the metric."""
    status, _, text = await fetched(it, "http://127.0.0.1:9100")
    assert status == 200
    names = ("voicecore_calls_live", "voicecore_calls_ringing")
    return {name: parse(text)[name].values[""] for name in names}


@pytest.mark.parametrize("placed", [False, True], ids=["came in", "placed"])
async def test_after_a_kill_in_mid_call_the_old_call_opens_nothing_and_a_new_one_works(
    autojump_clock: MockClock, placed: bool
) -> None:
    """Its token is refused, its last status is accepted, no request is made; the one place is free."""
    old = await killed_in_mid_call(placed=placed)
    async with rig(HELLO, seed=1, files=old.disk, **SETTINGS) as it:
        started_with = {path: bytes(data) for path, data in it.simulated.files.files.items()}
        assert await stream_status(it, old.stream_path) == 403
        await post(it, old.status_path.removeprefix("/twilio/"), old.call_sid, "completed")
        assert await stream_status(it, old.stream_path) == 403
        assert await live_calls(it) == {"voicecore_calls_live": 0, "voicecore_calls_ringing": 0}
        await trio.sleep(120.0)
        assert (it.provider.connections, list(it.carrier.rest_requests), it.facts) == ([], [], [])
        assert {path: bytes(data) for path, data in it.simulated.files.files.items()} == started_with
        nothing_is_left(it)
        if placed:
            assert (await it.dial(DialPlan(ring_s=1.0, script=[HangUp(AfterAgent(0.5))]))).callee == CALLEE
        else:
            await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.5))])
        await it.engine.drain()
        assert await live_calls(it) == {"voicecore_calls_live": 0, "voicecore_calls_ringing": 0}
        nothing_is_left(it)
    assert it.report.first_message is not None
    assert it.report.first_message.outcome is MessageOutcome.HEARD
    assert (it.report.outcome, len(it.provider.connections), len(it.records())) == (EndCause.REMOTE_HUNG_UP, 1, 1)
    assert it.carrier.violations == []
