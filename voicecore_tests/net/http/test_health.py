"""Who may read metrics, and whether a public URL leads to this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from voicecore.net.http.client import open_http_client
from voicecore.net.http.health import MetricsGuard, health_routes, metrics_routes
from voicecore.net.http.messages import App, Request, Response
from voicecore.net.http.routes import Router
from voicecore.net.http.self_check import SelfCheck
from voicecore.net.http.server import serve
from voicecore.secrets import Secret
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.world import simulated_world
from voicecore.world import World

TOKEN = Secret("let-me-see")


async def asked(guard: MetricsGuard, peer: str = "127.0.0.1:4000", headers: Mapping[str, str] | None = None) -> int:
    router = Router(metrics_routes(lambda: b"voicecore_calls_live 0\n", "text/plain; version=0.0.4", guard))
    sent = {"host": "127.0.0.1:8080"} if headers is None else headers
    answer = await router(Request(method="GET", path="/metrics", headers=sent, peer=peer))
    assert isinstance(answer, Response)
    assert (b"voicecore_calls" in answer.body) == (answer.status == 200)
    return answer.status


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1:4000", 200),
        ("127.8.8.8:4000", 200),
        ("::1:4000", 200),
        ("203.0.113.5:4000", 403),
        ("10.0.0.5:4000", 403),
        ("peer", 403),
    ],
)
async def test_without_settings_metrics_are_for_this_machine_alone(peer: str, status: int) -> None:
    """By the address that the connection comes from."""
    assert await asked(MetricsGuard(), peer) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"user-agent": "curl/8.5.0", "accept": "*/*"}, 200),
        ({"user-agent": "Prometheus/3.1", "x-prometheus-scrape-timeout-seconds": "10", "accept-encoding": "gzip"}, 200),
        ({"user-agent": "Mozilla/5.0", "sec-fetch-mode": "navigate", "upgrade-insecure-requests": "1"}, 200),
        ({"x-forwarded-for": "203.0.113.5"}, 403),
        ({"x-forwarded-for": "127.0.0.1"}, 403),
        ({"forwarded": "for=203.0.113.5"}, 403),
        ({"via": "1.1 proxy"}, 403),
        ({"cf-connecting-ip": "203.0.113.5"}, 403),
        ({"x-our-own-proxy": "yes"}, 403),
    ],
)
async def test_a_header_that_no_client_sends_is_a_proxys(headers: Mapping[str, str], status: int) -> None:
    """Whatever its name and its value: what came through a proxy on this machine is a stranger's."""
    assert await asked(MetricsGuard(), headers={"host": "localhost:8080", **headers}) == status
    assert await asked(MetricsGuard(), "203.0.113.5:4000", {"host": "localhost:8080", **headers}) == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("voice.localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("voice.example.com", 403),
        ("localhost.example.com", 403),
        ("127.0.0.1.example.com:8080", 403),
        ("10.0.0.5:8080", 403),
        ("[::1", 403),
        ("127.0.0.1, voice.example.com", 403),
        ("", 403),
    ],
)
async def test_who_asks_for_another_name_has_come_from_elsewhere(host: str, status: int) -> None:
    """Through a proxy that passes on the name it was asked for, or by a page that has its name lead here."""
    assert await asked(MetricsGuard(), headers={"host": host}) == status
    assert await asked(MetricsGuard(), headers={}) == 403


async def test_behind_a_proxy_a_loopback_peer_may_be_anybody() -> None:
    """A proxy that adds no header is not told from a local reader: closed, and the answer says what to set."""
    assert await asked(MetricsGuard(is_proxied=True)) == 403
    refusal = MetricsGuard(is_proxied=True).refusal(Request(method="GET", path="/metrics", peer="127.0.0.1:1"))
    assert refusal is not None
    assert b"server.metrics_port" in refusal.body
    assert b"server.metrics_token" in refusal.body


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer let-me-see", 200),
        ("bearer let-me-see", 200),
        ("Bearer let-me-se", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("let-me-see", 401),
        ("Basic let-me-see", 401),
        ("", 401),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
async def test_a_token_is_asked_of_everybody(header: str, status: int, is_open: bool) -> None:
    """From wherever they come, and on a port of its own too."""
    guard = MetricsGuard(token=TOKEN, is_open=is_open, is_proxied=True)
    headers = {"authorization": header} if header else {}
    assert await asked(guard, "203.0.113.5:1", headers) == status
    assert await asked(guard, "127.0.0.1:1", headers) == status


async def test_an_address_of_its_own_is_open_to_who_reaches_it() -> None:
    """The network decides then."""
    assert await asked(MetricsGuard(is_open=True), "10.0.0.5:1") == 200


async def test_health_and_readiness() -> None:
    """Alive as long as it answers; ready as long as it takes calls."""
    admits = True
    router = Router(health_routes(lambda: admits))

    async def status(path: str) -> int:
        answer = await router(Request(method="GET", path=path))
        assert isinstance(answer, Response)
        return answer.status

    assert [await status(path) for path in ("/health", "/ready")] == [200, 200]
    admits = False
    assert [await status(path) for path in ("/health", "/ready")] == [200, 503]


# --- does a URL lead here -------------------------------------------------------------------


@asynccontextmanager
async def listening(world: World, host: str, app: App) -> AsyncIterator[str]:
    listening = await world.network.listen(host, 80)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, app)
        yield f"http://{host}:80"
        nursery.cancel_scope.cancel()


async def catch_all(_request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    return Response(200, b"<html>hello</html>")


async def not_found(_request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    return Response(404, b"no such page")


async def never(_request: Request) -> Response:
    await trio.sleep(3600)
    return Response(200)


async def test_a_url_that_leads_here_and_one_that_leads_to_another_of_us(autojump_clock: MockClock) -> None:
    """Each process knows its own name only, and no name before it has asked."""
    world = simulated_world().world
    async with open_http_client(world.network) as http:
        mine, theirs = SelfCheck(world, http), SelfCheck(world, http)
        async with (
            listening(world, "mine", Router(mine.routes())) as my_url,
            listening(world, "theirs", Router(theirs.routes())) as their_url,
        ):
            assert await mine.problem(my_url) is None
            assert await mine.problem(their_url) == f"{their_url} leads to another voicecore process, not to this one"
            assert await theirs.problem(their_url) is None


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (not_found, "answers with HTTP status 404, not to this process"),
        (catch_all, "answers with HTTP status 200, not to this process"),
        (never, "nothing answers at http://else:80 within 3 s"),
    ],
    ids=["404", "catch-all", "silent"],
)
async def test_a_url_that_leads_to_something_else(app: App, says: str, autojump_clock: MockClock) -> None:
    """What answers there is said, within three seconds."""
    world = simulated_world().world
    async with open_http_client(world.network) as http, listening(world, "else", app) as url:
        problem = await SelfCheck(world, http).problem(url)
    assert says in (problem or "")
    assert trio.current_time() <= 3.0


@pytest.mark.parametrize("connect_s", [0.0, 100.0], ids=["refused", "swallowed"])
async def test_a_url_that_nobody_answers(connect_s: float, autojump_clock: MockClock) -> None:
    """With the reason."""
    world = simulated_world(1, LinkSettings(connect_s=connect_s)).world
    async with open_http_client(world.network) as http:
        problem = await SelfCheck(world, http).problem("http://nobody:80")
    assert "nothing answers at http://nobody:80" in (problem or "")
    assert "refused" in (problem or "") or "within 3 s" in (problem or "")
