"""The reference of all options, written from their definitions: `make docs` puts it into docs/configuration.md."""

from __future__ import annotations

import ast
import enum
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from voicecore.config.derived import Source, source_of
from voicecore.config.loader import NEEDS, OWNERS_VARIABLES, RENAMED, SECTIONS, own_variable
from voicecore.kinds import Kind

CONFIGURATION = Path(__file__).parents[2] / "docs" / "configuration.md"
_SECRET = "secret"

_HEAD = """\
# Configuration

Written by `make docs` from the settings' definitions; do not edit it by hand.

Settings come from a TOML file (`voicecore.toml` in the current folder, or `--config FILE`), from environment variables,
and from arguments (`load_settings(overrides={"server.port": 0})`). Arguments beat the environment, and the environment
beats the file.

- A key `server.port` is the entry `port` of the table `[server]`, and the variable `VOICECORE_SERVER__PORT`.
- Options that end in `_ms` or `_s` are whole milliseconds or whole seconds. The Python value is always in seconds.
- `""` means "none" where an option is optional. Lists are separated by commas in the environment.
- Everything that is wrong is reported by its key, all at once; see `voicecore check`. A key that does not exist, a
  value out of its bounds and an option that has no effect beside another one are errors.
- The column "in Python" names the field that defines the option, for programs that build their settings in code. A
  wrong value there raises the same `ConfigError`, under that name.
"""


def written_reference() -> str:
    """Return the text of docs/configuration.md."""
    return "\n".join([_HEAD, *(line for dotted in SECTIONS for line in _section(dotted)), *_renamed()])


def _section(dotted: str) -> Iterator[str]:
    section = SECTIONS[dotted]
    yield f"## [{dotted}]"
    yield ""
    yield inspect.cleandoc(section.__doc__ or "")
    yield ""
    yield "| key | type | default | bounds | meaning | environment | in Python |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for field in attrs.fields(section):
        key = f"{dotted}.{field.name}"
        source, kind = source_of(field), field.validator
        assert isinstance(kind, Kind)
        meaning = meaning_of(section, field) + _needs(key)
        cells = (
            f"`{field.name}`",
            _noun(field, kind),
            _default(field, kind),
            kind.bounds or "—",
            meaning,
            ", ".join(f"`{name}`" for name in (own_variable(key), OWNERS_VARIABLES.get(key)) if name),
            _python_name(source),
        )
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    yield ""


def meaning_of(section: type[Any], field: attrs.Attribute[Any]) -> str:
    """Return what an option means: its own docstring in the section, or that of the field it comes from."""
    source = source_of(field)
    own = _docstrings(section).get(field.name)
    if own is None and source is not None:
        own = _docstrings(source.owner).get(source.name)
    return (own or "").replace("``", "`")


def _docstrings(owner: type[Any]) -> Mapping[str, str]:
    """Return the docstrings below the fields of a class."""
    tree = ast.parse(Path(sys.modules[owner.__module__].__file__ or "").read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
    pairs = zip(found.body, found.body[1:], strict=False)
    return {
        ast.unparse(field.target): inspect.cleandoc(text.value.value)
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _noun(field: attrs.Attribute[Any], kind: Kind[Any]) -> str:
    if kind.noun == "one of":
        return "text or none" if kind.is_optional else "text"
    unit = next((words for end, words in (("_ms", "milliseconds"), ("_s", "seconds")) if field.name.endswith(end)), "")
    return " or none".join([unit or kind.noun, ""]) if kind.is_optional else unit or kind.noun


def _default(field: attrs.Attribute[Any], kind: Kind[Any]) -> str:
    match field.default:
        case attrs.NOTHING:
            return "required"
        case None:
            return "none"
        case bool():
            return f"`{str(field.default).lower()}`"
        case int() | float():
            return f"`{field.default}`"
    value = field.default.value if isinstance(field.default, enum.Enum) else field.default
    return "set" if kind.noun == _SECRET else f'`"{value}"`'


def _needs(key: str) -> str:
    if key not in NEEDS:
        return ""
    other, value = NEEDS[key]
    return f' Only with `{other.rpartition(".")[2]} = "{value}"`.'


def _python_name(source: Source | None) -> str:
    return f"`{source.owner.__name__}.{source.name}`" if source is not None else "—"


def _renamed() -> Iterator[str]:
    yield "## Old names"
    yield ""
    yield "A file that still has one of them is refused with its present name."
    yield ""
    yield "| old | now |"
    yield "| --- | --- |"
    for old, new in RENAMED.items():
        yield f"| `{old}` | `{new}` |"
    yield ""
