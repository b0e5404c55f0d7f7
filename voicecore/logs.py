"""The package's loggers: secrets are removed from all that they log, and nothing that they log is too long.

A filter stands on each logger of the package, so that it works whatever handlers
a program brings.  Tracebacks are written here too, because what a foreign
library put into its exception is not ours to choose.  So is a bound: collectors
of logs cut, split or drop what is longer.

Level 2.  Called once, by the package itself.
"""

from __future__ import annotations

import logging

from voicecore.secrets import scrubbed

LOGGERS = ("voicecore", "voicecore.carriers", "voicecore.cli", "voicecore.engine", "voicecore.net")
"""Every name that the package logs under: a logger's filters see its own lines only, not those of names below it."""

LIMIT_BYTES = 7680  #: of a line, and of a traceback; 8 KiB together with what a handler puts before it

_FORMAT = logging.Formatter()
_NOTE_BYTES = 64  #: for the words that say how much is left out


class _Scrub(logging.Filter):
    """Takes secrets out of lines and tracebacks, and the middle out of long ones; never drops a line, never fails."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            return True  # the arguments do not fit: the handler says so, without them
        if (clean := _shortened(scrubbed(text))) != text:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            trace = _FORMAT.formatException(record.exc_info)
            if (clean := _shortened(scrubbed(trace))) != trace:
                record.exc_text = clean
        return True


def _shortened(text: str) -> str:
    """Return a text within the limit; of a longer one the beginning and the end, where a traceback names its error."""
    if 4 * len(text) <= LIMIT_BYTES:  # no character has more bytes
        return text
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= LIMIT_BYTES:
        return text
    half = (LIMIT_BYTES - _NOTE_BYTES) // 2
    begin, end = raw[:half].decode("utf-8", "ignore"), raw[-half:].decode("utf-8", "ignore")
    return f"{begin} … {len(raw) - 2 * half} bytes are left out … {end}"


_SCRUB = _Scrub()


def hide_secrets() -> None:
    """Let no logger of the package pass a secret on; again, it changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_SCRUB)
