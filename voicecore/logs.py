"""Log filter of all voicecore loggers: removes secrets and limits the length of lines.

The filter is attached to each logger of the package, so that it works with any
handlers. It also formats tracebacks, because other libraries may put secrets into
their exceptions. The length is limited because log collectors cut, split or drop
longer lines.

Level 2. The package calls it once, at import.
"""

from __future__ import annotations

import logging

from voicecore.secrets import scrubbed

LOGGERS = ("voicecore", "voicecore.carriers", "voicecore.cli", "voicecore.engine", "voicecore.net")
"""All logger names of the package; a filter applies to its own logger only, not to its children."""

LIMIT_BYTES = 7680  #: limit of a line, and of a traceback; with a handler's prefix, 8 KiB

_FORMAT = logging.Formatter()
_NOTE_BYTES = 64  #: for the note about what is left out


class _Scrub(logging.Filter):
    """Removes secrets from lines and tracebacks, and the middle of long ones; never drops a line, never fails."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            return True  # wrong arguments: the handler reports that without showing them
        if (clean := _shortened(scrubbed(text))) != text:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            trace = _FORMAT.formatException(record.exc_info)
            if (clean := _shortened(scrubbed(trace))) != trace:
                record.exc_text = clean
        return True


def _shortened(text: str) -> str:
    """Return a text within the limit: the start and the end of a longer one, where a traceback names its error."""
    if 4 * len(text) <= LIMIT_BYTES:  # a character has at most 4 bytes
        return text
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= LIMIT_BYTES:
        return text
    half = (LIMIT_BYTES - _NOTE_BYTES) // 2
    begin, end = raw[:half].decode("utf-8", "ignore"), raw[-half:].decode("utf-8", "ignore")
    return f"{begin} … {len(raw) - 2 * half} bytes left out … {end}"


_SCRUB = _Scrub()


def hide_secrets() -> None:
    """Attach the filter to all loggers of the package; calling it again has no effect."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_SCRUB)
