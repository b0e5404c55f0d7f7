"""Serving for engines that are ASGI applications: a port of its own, reported once it listens.

    serve(app)      until the parent has gone

uvicorn with what its extra "standard" brings (uvloop, httptools), warnings only.
"""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from report_usage import report_usage

HOST = "127.0.0.1"
_BACKLOG = 512


def serve(app: Any) -> None:
    """Serve an application."""
    listener = socket.create_server((HOST, 0), backlog=_BACKLOG)
    report_usage(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
