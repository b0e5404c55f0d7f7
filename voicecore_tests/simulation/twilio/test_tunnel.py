"""The tunnel between the carrier and an application: what arrives is what was signed, whatever form it has."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import RemoteProtocolError
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.twilio import RequestForm, TunnelSettings, open_tunnel
from voicecore_tests.simulation.twilio.kit import office

PUBLIC = "https://voice.example.test"
FIELDS = {"CallSid": "CA1", "CallerName": "A B+C", "CallStatus": "completed"}


@pytest.mark.parametrize("split_bytes", [None, 7])
@pytest.mark.parametrize("form", RequestForm)
async def test_the_fields_arrive_as_they_were_signed(
    autojump_clock: MockClock, form: RequestForm, split_bytes: int | None
) -> None:
    """In every form, however the network cuts them; the official validator judges the public URL."""
    async with office(LinkSettings(split_bytes=split_bytes)) as it:
        upstream, it.app.url = it.app.url, PUBLIC
        async with open_tunnel(it.simulated.world, upstream, TunnelSettings(public_url=PUBLIC, form=form)) as tunnel:
            answer = await it.carrier.post(f"{PUBLIC}/status", FIELDS, None)
    assert (answer.status, it.app.came("/status")) == (204, [FIELDS])
    assert [passed.status for passed in tunnel.forwarded] == [204]


@pytest.mark.parametrize(("strips", "path", "status"), [(True, "/status", 204), (False, "/v1/status", 404)])
async def test_the_prefix_is_stripped_or_kept(autojump_clock: MockClock, strips: bool, path: str, status: int) -> None:
    """As a proxy is configured."""
    async with office() as it:
        settings = TunnelSettings(public_url=f"{PUBLIC}/v1", strips_prefix=strips)
        async with open_tunnel(it.simulated.world, it.app.url, settings) as tunnel:
            it.app.url = f"{PUBLIC}/v1"  # though the path that it sees lacks the prefix
            await it.carrier.post(f"{PUBLIC}/v1/status", FIELDS, None)
    (passed,) = tunnel.forwarded
    assert passed.request.startswith(f"POST {path} HTTP/1.1\r\n".encode())
    assert passed.status == status


async def test_without_an_application_a_request_is_answered_all_the_same(autojump_clock: MockClock) -> None:
    """502, as gateways do; and a client that says nothing holds up nobody."""
    async with office() as it:
        settings = TunnelSettings(public_url=PUBLIC)
        async with open_tunnel(it.simulated.world, "http://127.0.0.1:1", settings) as tunnel:
            async with await it.simulated.world.network.open_stream("voice.example.test", 443, tls=True):
                await trio.sleep(1)
            with pytest.raises(RemoteProtocolError, match="502"):
                await it.carrier.call(PUBLIC, ())
    assert tunnel.forwarded == []
