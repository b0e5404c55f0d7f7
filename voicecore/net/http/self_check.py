"""Whether a public URL leads to this very process, asked the way a carrier would ask.

    this process ── GET {public_url}/twilio/instance/{name} ──► whoever answers there

Only the process that has the name answers 200.  The path lies where the
carrier's webhooks lie, so that a proxy that forwards those forwards this; and a
proxy that leaves its path prefix on them leaves it on this, which is noticed.

Rule: the name opens nothing and tells nothing; every other one gets a 404.
"""

from __future__ import annotations

from http import HTTPStatus

import trio

from voicecore.errors import ConnectionLost, printable
from voicecore.net.http.client import HttpClient
from voicecore.net.http.health import Routes
from voicecore.net.http.messages import Request, Response
from voicecore.net.http.routes import Parameters
from voicecore.world import World

CHECK_S = 3.0  #: for name, TCP, TLS and the answer
_PATH = "/twilio/instance/"
_THIS = b"this voicecore\n"
_OTHER = b"another voicecore\n"


class SelfCheck:
    """One process's question to itself."""

    def __init__(self, world: World, http: HttpClient) -> None:
        self._world = world
        self._http = http
        self._name: str | None = None  # drawn with the first question
        self._prefix: str | None = None  # that our own question came with

    def routes(self) -> Routes:
        """Return the route that answers."""

        async def answer(_request: Request, parameters: Parameters) -> Response:
            await trio.lowlevel.checkpoint()
            return Response(200, _THIS) if parameters["name"] == self._name else Response(404, _OTHER)

        return {("GET", f"{_PATH}{{name}}"): answer}

    def unrouted(self, request: Request) -> None:
        """Notice our own question where it came with a path that is not served."""
        if self._name is not None and request.path.endswith(own := f"{_PATH}{self._name}"):
            self._prefix = request.path.removesuffix(own)

    async def problem(self, url: str) -> str | None:
        """Return what is wrong with a public URL; None where it leads here. Bounded by CHECK_S."""
        self._name = self._name or self._world.new_id("instance")
        self._prefix = None
        with trio.move_on_after(CHECK_S):
            try:
                answer = await self._http.get(f"{url}{_PATH}{self._name}")
            except ConnectionLost as lost:
                return f"nothing answers at {url} ({lost})"
            if answer.status == HTTPStatus.OK and answer.body == _THIS:
                return None
            if answer.body == _OTHER:
                return f"{url} leads to another voicecore process, not to this one"
            return self._elsewhere(url, answer.status)
        return f"nothing answers at {url} within {CHECK_S:g} s"

    def _elsewhere(self, url: str, status: int) -> str:
        """Return where a URL leads that was not answered as one of us answers."""
        if self._prefix:
            return (
                f"{url} leads to this process, but requests come with the path prefix {printable(self._prefix)}: "
                "have the proxy remove it (server.public_url keeps it)"
            )
        return f"{url} leads to something that answers with HTTP status {status}, not to this process"
