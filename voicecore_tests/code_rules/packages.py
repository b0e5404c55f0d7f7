"""The packages below ``voicecore/``: what each holds, and what it may import.

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
    """Foreign libraries, and guarded modules of the standard library, that it may import."""


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
"""Modules that wait, open sockets or start something: a package takes them only where its row says so."""

TEST_LIBRARIES = frozenset({"hypothesis", "openai", "pytest", "pytest_trio", "sybil", "twilio"})
"""Never imported by the package."""

_FACTS = frozenset({"errors", "kinds", "events", "facts", "statuses", "secrets", "audio"})  # level 0
_PORTS = _FACTS | {"world", "ports", "nurseries"}
_EDGE = _PORTS | {"wire", "net"}  # what stands between the engine and a peer
_PARTS = _EDGE | {"disk", "turns", "engine", "carriers", "providers", "pipeline", "observe", "config"}
_BUILT = _PARTS | {"configured", "assembly", "sessions", "gc_tuning"}
_ALL = _BUILT | {"simulation", "embed", "dashboard", "startup"}

_VALUES = frozenset({"attrs"})
_JSON = frozenset({"orjson", "msgspec"})
_TASKS = _VALUES | {"trio", "logging"}
_SOCKETS = frozenset({"trio_websocket", "httpx", "httpcore", "h11", "wsproto", "ssl", "socket", "http"})

PACKAGES = (
    Package("secrets", 0, "the type of values that cannot be shown", frozenset()),
    Package("errors", 0, "the error tree: whose fault, and what the catcher can do", frozenset({"secrets"})),
    Package("kinds", 0, "what a setting may be, and how a wrong value is refused", frozenset({"errors"}), _VALUES),
    Package("statuses", 0, "how far a carrier says a call is", frozenset({"errors"}), _VALUES),
    Package("audio", 0, "formats, G.711, conversion, framing, levels", frozenset({"errors"}), _VALUES | {"numpy"}),
    Package("events", 0, "what crosses the borders of a call: events in, orders out", frozenset({"audio"}), _VALUES),
    Package("facts", 0, "what observers are told, and the report", frozenset({"audio", "events", "statuses"}), _VALUES),
    Package("wire", 1, "sans-IO codecs: text of a peer in, typed events out, and back", _FACTS, _VALUES | _JSON),
    Package("turns", 1, "the machines that decide who speaks and what was heard", _FACTS, _VALUES),
    Package("world", 2, "the seam to clock, randomness, files and network", _FACTS, _TASKS),
    Package("nurseries", 2, "nurseries that stay invisible to the block they serve", frozenset(), frozenset({"trio"})),
    Package("logs", 2, "what every logger of the package does", frozenset({"secrets"}), frozenset({"logging"})),
    Package("startup", 2, "Ctrl-C before the program has begun", frozenset(), frozenset({"signal", "threading"})),
    Package("ports", 2, "the engine's partners as capabilities", _FACTS | {"world"}, _TASKS),
    Package("disk", 2, "files on a real disk", _FACTS | {"world", "nurseries"}, _TASKS),
    Package("net", 2, "sockets, TLS, HTTP and WebSocket", _PORTS, _TASKS | _SOCKETS),
    Package("engine", 3, "calls that run: the call's nursery and the host", _PORTS | {"turns"}, _TASKS),
    Package("carriers", 3, "one file a carrier", _EDGE, _TASKS),
    Package("providers", 3, "one file a provider", _EDGE, _TASKS),
    Package("pipeline", 3, "speech-to-text, language model and text-to-speech as one session", _EDGE, _TASKS),
    Package("observe", 3, "what is kept and shown of a call", _PORTS, _TASKS | {"orjson"}),
    Package(
        "config",
        4,
        "settings from file and environment",
        _PORTS | {"wire", "turns", "engine", "carriers", "providers"},
        _VALUES,
    ),
    Package("configured", 4, "from a configuration to the engine's own settings", _PARTS, _VALUES),
    Package("assembly", 4, "the one place that puts the parts together", _PARTS | {"configured"}, _TASKS),
    Package("sessions", 4, "a session by itself, without a call", _PORTS | {"assembly"}, _TASKS),
    Package("gc_tuning", 4, "Python's garbage collector, for a process of our own", frozenset()),
    Package("simulation", 5, "twins, and a world in virtual time", _BUILT, _TASKS | {"orjson", "numpy"}),
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
    Package("__init__", 7, "the public names", _BUILT | {"logs", "startup"}, _VALUES),
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
    """Return the text of docs/map.md: what stands above the mark, then the tables."""
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
    yield "## What stands in each file"
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

    MAP.write_text(written_map(MAP.read_text()))
    options.CONFIGURATION.write_text(options.written_reference())
