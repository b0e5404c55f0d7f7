"""What a refusal says: advice and the server's own words, without the key that they may repeat."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock

from voicecore.audio.formats import PCMU_8K
from voicecore.errors import HandshakeRefused, ProviderRefused
from voicecore.ports import Brief
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.providers.openai_realtime.refusals import refusal_words, said
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import Behaviour, Handshake, RealtimeTwin
from voicecore.simulation.world import simulated_world

KEY = "sk-proj-planted-key"
RETIRED = "The model `gpt-realtime` was shut down on 2027-01-20; use `gpt-realtime-2.1`."


async def refused(handshake: Handshake) -> ProviderRefused:
    """Open a session with a twin that refuses it."""
    world = simulated_world().world
    async with RealtimeTwin(world, behaviour=Behaviour(handshake=handshake)).serve() as base_url:
        provider = OpenAIRealtime(api_key=KEY, base_url=base_url)
        with pytest.raises(ProviderRefused) as caught:
            async with provider.open_session(world, Brief(instructions="Be brief.", audio_format=PCMU_8K)):
                raise AssertionError("opened")
    return caught.value


@pytest.mark.parametrize("handshake", [{"refuse_status": 404}, {"first_error": "model_not_found"}])
async def test_a_retired_model_is_named_with_its_date(handshake: dict[str, object], autojump_clock: MockClock) -> None:
    """As the server words it, at the upgrade or as its first event."""
    refusal = await refused(Handshake(refusal_words=RETIRED, **handshake))  # type: ignore[arg-type]
    assert RETIRED in str(refusal)
    assert not refusal.retryable


@pytest.mark.parametrize("handshake", [{"refuse_status": 401}, {"first_error": "invalid_api_key"}])
async def test_a_key_that_the_server_repeats_is_struck_out(
    handshake: dict[str, object], autojump_clock: MockClock
) -> None:
    """Whole, or with stars in it."""
    words = f"Incorrect API key provided: {KEY}, also known as sk-pro****key. You can find your API key at …"
    refusal = await refused(Handshake(refusal_words=words, **handshake))  # type: ignore[arg-type]
    assert "Incorrect API key provided" in str(refusal)
    assert KEY not in str(refusal)
    assert "****key" not in str(refusal)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no</html>",
        b"[]",
        b'"x"',
        b'{"error": 5}',
        b'{"error": {"message": 7}}',
        b'{"error": {"message": "cut',
        b"[" * 4000,
    ],
)
def test_a_body_that_says_nothing_leaves_the_advice(body: bytes) -> None:
    """HTML is not repeated."""
    words = refusal_words(HandshakeRefused(peer="p", status=401, body=body), Secret(KEY))
    assert words == ": check the API key"
    assert refusal_words(HandshakeRefused(peer="p", status=500, body=body), Secret(KEY)) == ""


def test_words_are_cut_and_made_printable() -> None:
    """One line of a log."""
    body = json.dumps({"error": {"message": "no\nno " + "x" * 1000}}).encode()
    words = refusal_words(HandshakeRefused(peer="p", status=400, body=body), Secret(KEY))
    assert words.startswith(": no\\nno x")
    assert len(words) < 320
    assert said(None, Secret(KEY)) == ""
