"""The package's loggers: secrets are removed from all that they log.

A filter stands on each logger of the package, so that it works whatever handlers
a program brings.  Tracebacks are written here too, because what a foreign
library put into its exception is not ours to choose.

Level 2.  Called once, by the package itself.
"""

from __future__ import annotations

import logging

from voicecore.secrets import scrubbed

LOGGERS = ("voicecore", "voicecore.carriers", "voicecore.cli", "voicecore.engine", "voicecore.net")
"""Every name that the package logs under: a logger's filters see its own lines only, not those of names below it."""

_FORMAT = logging.Formatter()


class _Scrub(logging.Filter):
    """Takes secrets out of lines and tracebacks; never drops a line, never fails."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            return True  # the arguments do not fit: the handler says so, without them
        if (clean := scrubbed(text)) != text:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            trace = _FORMAT.formatException(record.exc_info)
            if (clean := scrubbed(trace)) != trace:
                record.exc_text = clean
        return True


_SCRUB = _Scrub()


def hide_secrets() -> None:
    """Let no logger of the package pass a secret on; again, it changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_SCRUB)
