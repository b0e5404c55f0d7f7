"""The packages below ``voicecore/``: what is in each, and what it may import.

This table is the rule. `test_layers.py` compares the package's imports with it;
the tables of docs/map.md are written from it by `make docs`, which runs this
module.

A package here is a folder or a module directly under ``voicecore/``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "voicecore"
MAP = REPOSITORY / "docs" / "map.md"
MARK = "<!-- From here on written by `make docs`. -->"


@attrs.frozen
class Package:
    """One row of the table."""

    name: str
    level: int
    holds: str
    packages: frozenset[str]
    """Other packages that it may import."""
    libraries: frozenset[str] = frozenset()
    """Third-party libraries, and guarded modules of the standard library, that it may import."""


GUARDED_STANDARD_LIBRARY = frozenset(
    {
        "_thread",
        "asyncio",
        "concurrent",
        "http",
        "logging",
        "multiprocessing",
        "queue",
        "select",
        "selectors",
        "signal",
        "socket",
        "socketserver",
        "ssl",
        "subprocess",
        "threading",
        "urllib.request",
    }
)
"""Modules that wait, open sockets or start something: a package may import them only if its row says so."""

TEST_LIBRARIES = frozenset({"hypothesis", "openai", "pytest", "pytest_trio", "sybil", "twilio"})
"""Never imported by the package."""

_FACTS = frozenset({"errors", "kinds", "events", "facts", "statuses", "secrets", "audio"})  # level 0
_PORTS = _FACTS | {"world", "ports", "nurseries"}
_EDGE = _PORTS | {"wire", "net"}  # adapters between the engine and a peer
_PARTS = _EDGE | {"disk", "turns", "engine", "carriers", "providers", "pipeline", "observe", "config"}
_BUILT = _PARTS | {"configured", "assembly", "sessions", "gc_tuning"}
_ALL = _BUILT | {"simulation", "embed", "dashboard", "startup", "version"}

_VALUES = frozenset({"attrs"})
_JSON = frozenset({"orjson", "msgspec"})
_TASKS = _VALUES | {"trio", "logging"}
_SOCKETS = frozenset({"trio_websocket", "httpx", "httpcore", "h11", "ssl", "socket", "http"})

PACKAGES = (
    Package("secrets", 0, "a type for secrets, and their removal from texts", frozenset()),
    Package("errors", 0, "the exceptions, by the side that failed", frozenset({"secrets"})),
    Package("kinds", 0, "what a setting may be, and how a wrong value is refused", frozenset({"errors"}), _VALUES),
    Package("statuses", 0, "call statuses and failures as carriers report them", frozenset({"errors"}), _VALUES),
    Package("audio", 0, "formats, G.711, conversion, framing, levels", frozenset({"errors"}), _VALUES | {"numpy"}),
    Package("events", 0, "events that a call receives, orders that it sends", frozenset({"audio"}), _VALUES),
    Package(
        "facts", 0, "facts for observers, and the report of a call", frozenset({"audio", "events", "statuses"}), _VALUES
    ),
    Package("version", 0, "the version of the package", frozenset(), frozenset()),
    Package("wire", 1, "sans-IO codecs of the peers' protocols", _FACTS, _VALUES | _JSON),
    Package("turns", 1, "state machines that decide who speaks and what was heard", _FACTS, _VALUES),
    Package("world", 2, "interface to clock, randomness, files and network", _FACTS, _TASKS),
    Package("nurseries", 2, "a nursery for context managers", frozenset(), frozenset({"trio"})),
    Package("logs", 2, "the log filter of all loggers", frozenset({"secrets"}), frozenset({"logging"})),
    Package("startup", 2, "Ctrl-C while the program is loading", frozenset(), frozenset({"signal", "threading"})),
    Package("ports", 2, "protocols of provider, carrier and store", _FACTS | {"world", "net"}, _TASKS),
    Package("disk", 2, "files on a real disk", _FACTS | {"world", "nurseries"}, _TASKS),
    Package("net", 2, "sockets, TLS, HTTP and WebSocket", _PORTS - {"ports"}, _TASKS | _SOCKETS),
    Package("engine", 3, "running calls: host, call registry, parking", _PORTS | {"turns"}, _TASKS),
    Package("carriers", 3, "Twilio; one folder for each carrier", _EDGE, _TASKS),
    Package("providers", 3, "OpenAI Realtime; one folder for each provider", _EDGE, _TASKS),
    Package("pipeline", 3, "speech-to-text, language model and text-to-speech as one session", _EDGE, _TASKS),
    Package("observe", 3, "records on disk, and the timeline picture", _PORTS, _TASKS | {"orjson"}),
    Package(
        "config",
        4,
        "settings from file and environment",
        _PORTS | {"wire", "turns", "engine", "carriers", "providers"},
        _VALUES,
    ),
    Package("configured", 4, "the engine's own settings from a configuration", _PARTS, _VALUES),
    Package("assembly", 4, "`open_engine`: builds an engine from its parts", _PARTS | {"configured"}, _TASKS),
    Package("sessions", 4, "sessions without a call", _PORTS | {"assembly"}, _TASKS),
    Package("gc_tuning", 4, "tuning of Python's garbage collector", frozenset()),
    Package(
        "simulation", 5, "simulated peers (twins), and a world in virtual time", _BUILT, _TASKS | {"orjson", "numpy"}
    ),
    Package("embed", 5, "voicecore inside asyncio and ASGI programs", _BUILT, _TASKS | {"asyncio", "threading"}),
    Package("dashboard", 5, "the page that shows calls", _BUILT, _TASKS | {"orjson"}),
    Package("cli", 6, "the command line", _ALL, _TASKS | {"orjson", "signal"}),
    Package(
        "bench",
        6,
        "the benchmarks",
        _ALL,
        _TASKS | _JSON | {"selectors", "socket", "ssl", "subprocess", "trio_websocket"},
    ),
    Package("__init__", 7, "the public names", _BUILT | {"logs", "startup", "version"}, _VALUES),
    Package("__main__", 7, "`python -m voicecore`", frozenset({"cli"})),
)

BY_NAME = {package.name: package for package in PACKAGES}


def package_name(path: Path) -> str:
    """Return the package of a file, given its path below ``voicecore/``."""
    return path.parts[0].removesuffix(".py")


def modules() -> Sequence[Path]:
    """Return the paths below ``voicecore/`` of all its modules, in order."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def written_map(handwritten: str) -> str:
    """Return the text of docs/map.md: the text above the mark, then the tables."""
    head, _, _ = handwritten.partition(MARK)
    present = {package_name(path) for path in modules()}
    packages = [package for package in PACKAGES if package.name in present]
    return "\n".join([head + MARK, "", *_import_table(packages), "", *_contents(packages)])


def _import_table(packages: Sequence[Package]) -> Iterable[str]:
    yield "## Who may import whom"
    yield ""
    yield "| level | package | what is in it | may import | libraries |"
    yield "| --- | --- | --- | --- | --- |"
    for package in packages:
        imports = ", ".join(_allowed_packages(package, packages)) or "—"
        libraries = ", ".join(sorted(package.libraries)) or "—"
        yield f"| {package.level} | `{package.name}` | {package.holds} | {imports} | {libraries} |"


def _allowed_packages(package: Package, present: Sequence[Package]) -> Iterable[str]:
    """Yield the whole levels that a package may import as one, then the single packages."""
    whole = -1
    while whole < package.level - 1 and all(
        other.name in package.packages for other in present if other.level == whole + 1
    ):
        whole += 1
    if whole >= 0:
        yield "level 0" if whole == 0 else f"levels 0 to {whole}"
    yield from (other.name for other in present if other.level > whole and other.name in package.packages)


def _contents(packages: Sequence[Package]) -> Iterable[str]:
    yield "## What is in each file"
    for package in packages:
        yield ""
        yield f"### {package.name}"
        yield ""
        for path in modules():
            if package_name(path) == package.name:
                yield f"- `voicecore/{path.as_posix()}` — {_first_sentence(PACKAGE / path)}"
    yield ""


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or "?"
    return " ".join(docstring.partition("\n\n")[0].split())


if __name__ == "__main__":
    from voicecore_tests.code_rules import options  # the whole package; the table above is read without it
    from voicecore_tests.code_rules.states import STATES, written_states

    MAP.write_text(written_map(MAP.read_text()))
    STATES.write_text(written_states())
    options.CONFIGURATION.write_text(options.written_reference())
