"""Each test of WebSockets runs over both transports; one marked ``own_transport`` only over our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicecore.world import WebSocketTransport
from voicecore_tests.net import transports


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the transports of a test."""
    is_ours = metafunc.definition.get_closest_marker("own_transport") is not None
    chosen = [WebSocketTransport.OWN] if is_ours else list(WebSocketTransport)
    metafunc.parametrize("transport", chosen, indirect=True, ids=[each.value for each in chosen])


@pytest.fixture(autouse=True)
def transport(request: pytest.FixtureRequest) -> Iterator[WebSocketTransport]:
    """The transport that networks and ports of this test get."""
    transports.CURRENT[0] = request.param
    yield request.param
    transports.CURRENT[0] = WebSocketTransport.OWN
