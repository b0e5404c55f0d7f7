"""What operators and monitors ask of the port: is it alive, does it take calls, what does it count, is it this process.

Rule 1: health and readiness tell nothing that a stranger could use, and are open.
Rule 2: metrics tell how much business there is: they are closed to whoever may
be a stranger.  Behind a proxy on this machine every peer is a loopback one, so
that alone proves nothing: a request from this machine also asks for a loopback
name, and has no header but those that clients send themselves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import attrs
import trio

from voicecore.net.http.messages import Request, Response
from voicecore.net.http.routes import Handler, Parameters
from voicecore.secrets import Secret

Routes = Mapping[tuple[str, str], Handler]

_CLIENTS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "dnt",
        "host",
        "pragma",
        "priority",
        "referer",
        "upgrade-insecure-requests",
        "user-agent",
        "x-prometheus-scrape-timeout-seconds",
    }
)
"""Headers of collectors, of tools such as curl, and (with those that begin with ``sec-``) of browsers.

A proxy may name its own as it likes: any other header is taken for one of a proxy's.
"""
_CLOSED = b"closed to strangers; open it with server.metrics_port (an address of its own) or server.metrics_token\n"


@attrs.frozen(kw_only=True)
class MetricsGuard:
    """Who may read metrics."""

    token: Secret | None = None
    """Whoever shows it as a bearer token; None: nobody is asked for one."""
    is_open: bool = False
    """Where no token is asked for: everybody who reaches the port."""
    is_proxied: bool = False
    """Where it is not open: whether others come through a proxy, so that a loopback peer may be anybody."""

    def refusal(self, request: Request) -> Response | None:
        """Return why a request is not answered; None where it is."""
        if self.token is not None:
            scheme, _, shown = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and shown.strip() and Secret(shown.strip()) == self.token:
                return None
            return Response(401, headers=[("www-authenticate", "Bearer")])
        if self.is_open or (not self.is_proxied and _is_local(request)):
            return None
        return Response(403, _CLOSED)


def health_routes(is_admitting: Callable[[], bool]) -> Routes:
    """Return ``/health`` (it runs) and ``/ready`` (it takes calls)."""

    async def health(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"ok\n")

    async def ready(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"ready\n") if is_admitting() else Response(503, b"draining\n")

    return {("GET", "/health"): health, ("GET", "/ready"): ready}


def metrics_routes(exposition: Callable[[], bytes], content_type: str, guard: MetricsGuard) -> Routes:
    """Return ``/metrics``, behind its guard."""

    async def metrics(request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return guard.refusal(request) or Response(200, exposition(), content_type)

    return {("GET", "/metrics"): metrics}


def _is_local(request: Request) -> bool:
    """Whether a request comes from this machine, and by all that can be seen through no proxy."""
    from_here = _is_loopback(request.peer.rpartition(":")[0])
    own = all(name in _CLIENTS or name.startswith("sec-") for name in request.headers)
    return from_here and own and _is_loopback(_name_in(request.headers.get("host", "")))


def _name_in(host: str) -> str:
    """Return the name or address in a Host header, without the port; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
