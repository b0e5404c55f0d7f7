"""Who may import whom: the package's imports against the table of packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicecore_tests.code_rules.imports import forbidden_imports
from voicecore_tests.code_rules.packages import BY_NAME, MAP, PACKAGE, PACKAGES, TEST_LIBRARIES, modules, written_map


def test_every_import_is_in_the_table() -> None:
    """No module imports a package or a library that its package's row does not name."""
    wrong = [line for path in modules() for line in forbidden_imports(path, (PACKAGE / path).read_text(), BY_NAME)]
    assert wrong == []


def test_the_package_was_read() -> None:
    """The test above looked at something."""
    assert Path("errors.py") in modules()
    assert len(modules()) > 20


def test_rooms_import_downwards() -> None:
    """A row names packages of its own level or below, and no two packages name each other."""
    for package in PACKAGES:
        for name in package.packages:
            assert BY_NAME[name].level <= package.level, f"{package.name} may import {name}, which is above it"
            assert package.name not in BY_NAME[name].packages, f"{package.name} and {name} may import each other"


def test_the_rooms_of_level_3_do_not_know_each_other() -> None:
    """Engine, carriers, providers, pipeline and observers meet in assembly only."""
    names = {package.name for package in PACKAGES if package.level == 3}
    assert {"engine", "carriers", "providers", "observe"} <= names
    assert all(not names & package.packages for package in PACKAGES if package.level == 3)


def test_machines_and_codecs_have_no_clock_no_task_and_no_logger() -> None:
    """Levels 0 and 1 are pure: no Trio, no socket, no logging."""
    for package in PACKAGES:
        if package.level <= 1:
            assert package.libraries <= {"attrs", "numpy", "orjson", "msgspec"}


def test_the_package_never_needs_the_libraries_of_the_tests() -> None:
    """The carriers' and providers' own packages stay independent judges."""
    assert all(not package.libraries & TEST_LIBRARIES for package in PACKAGES)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("turns/floor.py", "import trio"),
        ("turns/floor.py", "import logging"),
        ("turns/floor.py", "from voicecore.wire import twilio_media"),
        ("turns/floor.py", "from voicecore import ports"),
        ("turns/floor.py", "def f():\n    import trio.testing"),
        ("turns/floor.py", "if TYPE_CHECKING:\n    from trio import Nursery"),
        ("wire/twiml.py", "import numpy as np"),
        ("wire/twiml.py", "from . import signatures"),
        ("engine/live_call.py", "from voicecore.carriers.twilio import Twilio"),
        ("engine/live_call.py", "import voicecore.providers"),
        ("engine/live_call.py", "from voicecore.net.websocket.protocol import WebSocket"),
        ("engine/live_call.py", "import voicecore"),
        ("carriers/twilio.py", "import httpx"),
        ("carriers/twilio.py", "from urllib import request"),
        ("carriers/twilio.py", "import twilio.request_validator"),
        ("net/websocket/connect.py", "import hypothesis"),
        ("net/websocket/connect.py", "import asyncio"),
        ("errors.py", "from voicecore.events import PlayAudio"),
        ("helpers/text.py", ""),
        ("utils.py", ""),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str) -> None:
    """The test can fail, wherever the import is and however it is written."""
    assert len(forbidden_imports(Path(path), source, BY_NAME)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "turns/floor.py",
            "from voicecore.events import PlayAudio\nfrom voicecore.turns.playout.ledger import Playout",
        ),
        ("net/websocket/connect.py", "import ssl\nimport trio_websocket\nfrom voicecore import errors"),
        ("wire/twiml.py", "from urllib.parse import urlsplit\nimport orjson"),
        ("cli/main.py", "import signal\nfrom voicecore.assembly import serve"),
    ],
)
def test_an_allowed_import_is_left_alone(path: str, source: str) -> None:
    """And it does not cry without cause."""
    assert forbidden_imports(Path(path), source, BY_NAME) == []


def test_the_map_in_the_documentation_is_the_table() -> None:
    """docs/map.md is what `make docs` would write."""
    assert MAP.read_text() == written_map(MAP.read_text()), "run `make docs`"
