"""Reading the configuration that a command was given.

Used by the commands that need one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from voicecore.cli.exits import WrongUsage
from voicecore.config import Settings


def load_settings(
    options: argparse.Namespace, environ: Mapping[str, str], more: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings of a command that runs an engine: file, environment and its own arguments.

    Raises:
        WrongUsage: Everything that is wrong with them, a line each.
    """
    overrides = {
        "server.host": options.host,
        "server.port": options.port,
        "server.public_url": options.public_url,
        **(more or {}),
    }
    text = read_config(options.config)
    problems = Settings.problems(text, environ, overrides)
    if problems:
        raise WrongUsage(*map(str, problems))
    return Settings.load(text, environ, overrides)


def read_config(path: Path | None) -> str | None:
    """Return the text of a configuration file; None where none was named.

    Raises:
        WrongUsage: It cannot be read, or is not text.
    """
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path}: is not UTF-8 text") from error
