"""Loads the settings of a command from its file, the environment and its options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from voicecore.cli.exits import WrongUsage
from voicecore.config import Settings
from voicecore.config.loader import FILE_NAME
from voicecore.config.reading import ConfigText, read_config
from voicecore.errors import ConfigError


def load_settings(
    options: argparse.Namespace, environ: Mapping[str, str], more: Mapping[str, object] | None = None
) -> tuple[Settings, str]:
    """Return the settings of a command that runs an engine, and where they were read from.

    Raises:
        WrongUsage: All errors in them, one line each.
    """
    overrides = {
        "server.host": options.host,
        "server.port": options.port,
        "server.public_url": options.public_url,
        **(more or {}),
    }
    given = read(options)
    problems = Settings.problems(given.text, environ, overrides)
    if problems:
        raise WrongUsage(*map(str, problems), *_no_file(given))
    return Settings.load(given.text, environ, overrides), source(given)


def read(options: argparse.Namespace) -> ConfigText:
    """Return the text of the configuration file. Raises WrongUsage."""
    try:
        return read_config(options.config)
    except ConfigError as error:
        raise WrongUsage(str(error)) from error


def source(given: ConfigText) -> str:
    """Return where a configuration was read from, for messages."""
    if given.path is None:
        return f"the environment only (no {FILE_NAME} in this folder, and no --config)"
    return f"{given.path.absolute()} and the environment"


def _no_file(given: ConfigText) -> list[str]:
    return [f"the configuration was read from {source(given)}"] if given.path is None else []
