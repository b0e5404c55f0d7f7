"""Each test of WebSockets runs over both transports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicecore.world import WebSocketTransport
from voicecore_tests.net import transports


@pytest.fixture(autouse=True, params=list(WebSocketTransport), ids=lambda transport: transport.value)
def transport(request: pytest.FixtureRequest) -> Iterator[WebSocketTransport]:
    """The transport; a test marked ``own_transport`` is of what trio-websocket does otherwise."""
    chosen: WebSocketTransport = request.param
    marker = request.node.get_closest_marker("own_transport")
    if chosen is not WebSocketTransport.OWN and marker is not None:
        pytest.skip(str(marker.args[0]))
    transports.CURRENT[0] = chosen
    yield chosen
    transports.CURRENT[0] = WebSocketTransport.OWN
