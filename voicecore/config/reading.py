"""Finding and reading a configuration: the file that was named, or `voicecore.toml` in the working directory.

Level 4.  The one module of this package that opens a file or looks at ``os.environ``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from voicecore.config.loader import FILE_NAME, Settings
from voicecore.errors import ConfigError


@attrs.frozen
class ConfigText:
    """The text of a configuration file, and where it was found."""

    path: Path | None
    """None: no file; the environment alone."""
    text: str | None = attrs.field(repr=False)  # may hold secrets


def load_settings(
    path: Path | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings that a file and the environment make together, as the command line reads them.

    Args:
        path: The file; None: ``voicecore.toml`` in the working directory where there is
            one, otherwise the environment alone.
        environ: Variables such as OPENAI_API_KEY; None: those of this process.
        overrides: Dotted key to value, such as ``{"server.port": 0}``; they win.

    Raises:
        ConfigError: The file cannot be read, or the first thing that is wrong with the settings.
    """
    given = read_config(None if path is None else Path(path))
    return Settings.load(given.text, os.environ if environ is None else environ, overrides)


def read_config(path: Path | None) -> ConfigText:
    """Return a configuration file's text; ``path`` as for `load_settings`. Raises ConfigError."""
    if path is None:
        path = Path(FILE_NAME)
        if not path.exists():
            return ConfigText(None, None)
    try:
        return ConfigText(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "is not UTF-8 text") from error
