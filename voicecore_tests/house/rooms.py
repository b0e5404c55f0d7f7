"""The rooms of the house: what each holds, and what it may import.

This table is the rule. `test_layers.py` compares the package's imports with it;
the tables of docs/map.md are written from it by `make docs`, which runs this
module.

A room is a folder or a module directly under ``voicecore/``.
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
class Room:
    """One row of the table."""

    name: str
    level: int
    holds: str
    rooms: frozenset[str]
    """Other rooms that it may import."""
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
"""Modules that wait, open sockets or start something: a room takes them only where its row says so."""

TEST_LIBRARIES = frozenset({"hypothesis", "openai", "pytest", "pytest_trio", "sybil", "twilio"})
"""Never imported by the package."""

_FACTS = frozenset({"errors", "events", "facts", "statuses", "secrets", "audio"})  # level 0
_PORTS = _FACTS | {"world", "ports", "nurseries"}
_EDGE = _PORTS | {"wire", "net"}  # what stands between the engine and a peer
_PARTS = _EDGE | {"turns", "engine", "carriers", "providers", "pipeline", "observe", "config"}
_BUILT = _PARTS | {"assembly", "sessions", "collector"}
_ALL = _BUILT | {"simulation", "embed", "dashboard", "startup"}

_VALUES = frozenset({"attrs"})
_JSON = frozenset({"orjson", "msgspec"})
_TASKS = _VALUES | {"trio", "logging"}
_SOCKETS = frozenset({"trio_websocket", "httpx", "httpcore", "h11", "wsproto", "ssl", "socket", "http"})

ROOMS = (
    Room("secrets", 0, "the type of values that cannot be shown", frozenset()),
    Room("errors", 0, "the error tree: whose fault, and what the catcher can do", frozenset({"secrets"})),
    Room("statuses", 0, "how far a carrier says a call is", frozenset({"errors"}), _VALUES),
    Room("audio", 0, "formats, G.711, conversion, framing, levels", frozenset({"errors"}), _VALUES | {"numpy"}),
    Room("events", 0, "what crosses the borders of a call: events in, orders out", frozenset({"audio"}), _VALUES),
    Room("facts", 0, "what observers are told, and the report", frozenset({"audio", "events", "statuses"}), _VALUES),
    Room("wire", 1, "sans-IO codecs: text of a peer in, typed events out, and back", _FACTS, _VALUES | _JSON),
    Room("turns", 1, "the machines that decide who speaks and what was heard", _FACTS, _VALUES),
    Room("world", 2, "the seam to clock, randomness, files and network", _FACTS, _TASKS),
    Room("nurseries", 2, "nurseries that stay invisible to the block they serve", frozenset(), frozenset({"trio"})),
    Room("logs", 2, "what every logger of the package does", frozenset({"secrets"}), frozenset({"logging"})),
    Room("startup", 2, "Ctrl-C before the program has begun", frozenset(), frozenset({"signal", "threading"})),
    Room("ports", 2, "the engine's partners as capabilities", _FACTS | {"world"}, _TASKS),
    Room("net", 2, "sockets, HTTP and the disk", _PORTS, _TASKS | _SOCKETS),
    Room("engine", 3, "calls that run: the call's nursery and the host", _PORTS | {"turns"}, _TASKS),
    Room("carriers", 3, "one file a carrier", _EDGE, _TASKS),
    Room("providers", 3, "one file a provider", _EDGE, _TASKS),
    Room("pipeline", 3, "speech-to-text, language model and text-to-speech as one session", _EDGE, _TASKS),
    Room("observe", 3, "what is kept and shown of a call", _PORTS, _TASKS | {"orjson"}),
    Room("config", 4, "settings from file and environment", frozenset({"errors", "secrets"}), _VALUES),
    Room("assembly", 4, "the one place that puts the parts together", _PARTS, _TASKS),
    Room("sessions", 4, "a session by itself, without a call", _PORTS | {"assembly"}, _TASKS),
    Room("collector", 4, "Python's garbage collector, for a process of our own", frozenset()),
    Room("simulation", 5, "twins, and a world in virtual time", _BUILT, _TASKS | {"orjson", "numpy"}),
    Room("embed", 5, "voicecore inside asyncio and ASGI programs", _BUILT, _TASKS | {"asyncio", "threading"}),
    Room("dashboard", 5, "the page that shows calls", _BUILT, _TASKS | {"orjson"}),
    Room("cli", 6, "the command line", _ALL, _TASKS | {"orjson", "signal"}),
    Room(
        "bench",
        6,
        "the benchmarks",
        _ALL,
        _TASKS | _JSON | {"selectors", "socket", "ssl", "subprocess", "trio_websocket"},
    ),
    Room("__init__", 7, "the public names", _BUILT | {"logs", "startup"}, _VALUES),
    Room("__main__", 7, "`python -m voicecore`", frozenset({"cli"})),
)

BY_NAME = {room.name: room for room in ROOMS}


def room_name(path: Path) -> str:
    """Return the room of a file, given its path below ``voicecore/``."""
    return path.parts[0].removesuffix(".py")


def modules() -> Sequence[Path]:
    """Return the paths below ``voicecore/`` of all its modules, in order."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def written_map(handwritten: str) -> str:
    """Return the text of docs/map.md: what stands above the mark, then the tables."""
    head, _, _ = handwritten.partition(MARK)
    present = {room_name(path) for path in modules()}
    rooms = [room for room in ROOMS if room.name in present]
    return "\n".join([head + MARK, "", *_import_table(rooms), "", *_contents(rooms)])


def _import_table(rooms: Sequence[Room]) -> Iterable[str]:
    yield "## Who may import whom"
    yield ""
    yield "| level | room | what is in it | may import | libraries |"
    yield "| --- | --- | --- | --- | --- |"
    for room in rooms:
        imports = ", ".join(_allowed_rooms(room, rooms)) or "—"
        libraries = ", ".join(sorted(room.libraries)) or "—"
        yield f"| {room.level} | `{room.name}` | {room.holds} | {imports} | {libraries} |"


def _allowed_rooms(room: Room, present: Sequence[Room]) -> Iterable[str]:
    """Yield the whole levels that a room may import as one, then the single rooms."""
    whole = -1
    while whole < room.level - 1 and all(other.name in room.rooms for other in present if other.level == whole + 1):
        whole += 1
    if whole >= 0:
        yield "level 0" if whole == 0 else f"levels 0 to {whole}"
    yield from (other.name for other in present if other.level > whole and other.name in room.rooms)


def _contents(rooms: Sequence[Room]) -> Iterable[str]:
    yield "## What stands in each file"
    for room in rooms:
        yield ""
        yield f"### {room.name}"
        yield ""
        for path in modules():
            if room_name(path) == room.name:
                yield f"- `voicecore/{path.as_posix()}` — {_first_sentence(PACKAGE / path)}"
    yield ""


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or "?"
    return " ".join(docstring.partition("\n\n")[0].split())


if __name__ == "__main__":
    MAP.write_text(written_map(MAP.read_text()))
