"""Why and when a call ended.

Pure.
"""

from __future__ import annotations

import attrs

from voicecore.errors import printable
from voicecore.facts import EndCause

DETAIL_CHARS = 500  #: of the text that says why a call ended; a peer may have written it


def _detail(text: str) -> str:
    return printable(text, DETAIL_CHARS)


@attrs.frozen
class Ending:
    """Why and when a call ended."""

    cause: EndCause
    detail: str = attrs.field(converter=_detail)
    at: float
    by: EndCause | None = None
    """What ended it before an end that was already decided came due; None: the cause itself."""

    @property
    def last(self) -> EndCause:
        """What ended it at that moment: the carrier's next step depends on it."""
        return self.by or self.cause
