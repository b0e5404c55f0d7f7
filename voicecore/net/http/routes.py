"""Which handler answers which request.

Rule 1: a path is matched as it was sent: nothing is decoded, joined or cleaned,
so no spelling of a path reaches a handler that was not meant.
Rule 2: unknown paths are 404, known ones with another method 405.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from voicecore.net.http.messages import Request, Response, Upgrade

Parameters = Mapping[str, str]
Handler = Callable[[Request, Parameters], Awaitable[Response | Upgrade]]
Routes = Mapping[tuple[str, str], Handler]
"""From (method, pattern) to handler; a pattern is a path in which ``{name}`` stands for one segment."""

_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+"  #: neither "." nor "..", which lead elsewhere


class Router:
    """An `App` made of routes."""

    def __init__(self, routes: Routes, refused: Callable[[Request, int], None] = lambda *_: None) -> None:
        """Take ``refused``: called for each request that has no route, with the status of its answer."""
        self._refused = refused
        self._patterns = [(method, _pattern(path), handler) for (method, path), handler in routes.items()]

    async def __call__(self, request: Request) -> Response | Upgrade:
        fitting = {
            method: (handler, match.groupdict())
            for method, pattern, handler in self._patterns
            if (match := pattern.fullmatch(request.path))
        }
        if not fitting:
            self._refused(request, 404)
            return Response(404)
        if request.method not in fitting:
            self._refused(request, 405)
            return Response(405, headers=[("allow", ", ".join(sorted(fitting)))])
        handler, parameters = fitting[request.method]
        return await handler(request, parameters)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    names = {index: f"(?P<{part}>{_SEGMENT})" for index, part in enumerate(parts) if index % 2}
    return re.compile("".join(names.get(index, re.escape(part)) for index, part in enumerate(parts)))
