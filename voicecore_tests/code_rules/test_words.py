"""Old words stay out of public names, record fields, configuration keys, docs, log lines and messages.

docs/glossary.md has the terms that replaced them, docs/design/0011-names.md the
reasons. The allowed uses (terms of Twilio, Trio and acoustics) are listed at the top.
"""

from __future__ import annotations

import ast
import enum
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import voicecore
from voicecore import facts
from voicecore_tests.code_rules.packages import PACKAGE, REPOSITORY

# --- what is searched for -------------------------------------------------------

PARTS_OF_NAMES = frozenset(
    {
        "caller",
        "callers",
        "hold",
        "held",
        "gather",
        "ticket",
        "keeper",
        "lease",
        "lend",
        "fate",
        "echo",
        "deaf",
        "unlock",
        "murmur",
        "murmurs",
        "doubt",
        "doubted",
        "declined",
        "lone",
        "told",
        "tell",
        "teller",
        "reception",
        "announce",
        "admits",
        "beside",
        "before",
        "gate",
        "house",
        "room",
        "rooms",
    }
)
"""No public name, field or key has one of these, as a whole word between underscores or capitals."""

WHOLE_NAMES = frozenset({"Outcome", "Decision", "Judgement", "Strategy", "OnMachine", "OwnWords", "MachineReport"})

NAMES_ALLOWED = {
    "caller": "the calling number",
    "AcousticEcho": "acoustic echo",
    "AgentEcho": "the strategy against acoustic echo",
    "acoustic_echo": "acoustic echo",
    "echo_guard_ms": "guard time against acoustic echo",
    "echo_guard_s": "guard time against acoustic echo",
}

WORDS = re.compile(
    r"""\b(?:
        callers? | gather(?:s|ed|ing)? | parkinglot | keepers? | leases? | lends? | lent | lending | fates?
        | speechgate | callergate | echo(?:es|ed|ing)? | deaf | unlock(?:s|ed)? | murmurs? | ownwords
        | told | tells? | tellers? | bargeindoubted | declined | lonesession | settle_collector
        | hold_call | hold_stream | held\ (?:back|audio|speech|words) | holds?\ back | on\ hold
        | onmachine | machinereport | carrier_twin | provider_twin
        | (?:the|this)\ (?:house|room) | rooms
        | stands?\ in | so\ much | what\ it\ came\ to | (?:is|are|was|were)\ none
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)

TEXT_ALLOWED = (
    re.compile(r"\*\*echo\*\*: always acoustic echo"),  # the glossary's entry
    re.compile(
        r"`caller`|\bcall\.caller\b|\bcaller and callee\b|\*\*caller\*\*|\bcaller ID\b|\bcaller's number\b"
    ),  # the number
    re.compile(r"\b[Aa]coustic echo\b|\b[Ee]cho canceller\b|`[\w.]*echo_guard_ms`|`(?:Acoustic|Agent)Echo`"),
    re.compile(r"<Gather>|\bCaller\w*="),  # Twilio's own names
    re.compile(r"\btrio\.lowlevel\.ParkingLot\b"),
    re.compile(r"\b(?:tell|tells|told) (?:\w+ )?apart\b"),
    re.compile(r"\bits marks? echoed\b|\bcall, echoed\b|\bechoes lost\b"),  # names of measurements in recorded results
)
"""Uses that are not ours to change, or mean exactly what the glossary says."""

DOCS_NOT_SEARCHED = (
    "docs/design/",  # notes are not rewritten
    "docs/protocols/",  # the peers' own words
    "newsfragments/+words.removal.md",  # say what was renamed
    "newsfragments/+fact-names.removal.md",
)
PEERS = ("simulation/", "bench/")
"""Packages whose messages imitate a peer, or name a measurement."""


def parts_of(name: str) -> Iterator[str]:
    """Split a name at underscores and capitals."""
    for piece in name.split("_"):
        yield from (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", piece))


def is_old_name(name: str) -> bool:
    """Whether a name has one of the old words in it."""
    return name not in NAMES_ALLOWED and (name in WHOLE_NAMES or not PARTS_OF_NAMES.isdisjoint(parts_of(name)))


def old_words(text: str) -> list[str]:
    """Return the old words of a text, allowed uses left out."""
    for allowed in TEXT_ALLOWED:
        text = allowed.sub("", text)
    return [found.group() for found in WORDS.finditer(re.sub(r"\s+", " ", text))]


# --- names ----------------------------------------------------------------------


def members_of(kind: type) -> Iterator[str]:
    """Yield the fields of an attrs class, or the members of an enumeration with their values."""
    if attrs.has(kind):
        yield from (field.name for field in attrs.fields(kind))
    elif issubclass(kind, enum.Enum):
        for member in kind:
            yield from (member.name.lower(), str(member.value).replace(" ", "_"))


def public_names() -> Iterator[tuple[str, str]]:
    """Yield each public name, field and member with where it is."""
    for module in (voicecore, facts):
        for name in module.__all__:
            yield f"{module.__name__}.{name}", name
            value = getattr(module, name)
            if isinstance(value, type):
                yield from ((f"{name}.{member}", member) for member in members_of(value))


def keys_of(section: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each configuration key with its dotted path."""
    hints = typing.get_type_hints(section)
    for field in attrs.fields(section):
        yield f"{prefix}{field.name}", field.name
        for kind in (hints[field.name], *typing.get_args(hints[field.name])):
            if isinstance(kind, type) and attrs.has(kind) and kind.__module__.startswith("voicecore.config"):
                yield from keys_of(kind, f"{prefix}{field.name}.")


def test_no_public_name_has_an_old_word() -> None:
    """What `voicecore` and `voicecore.facts` export, with fields and members."""
    names = list(public_names())
    assert len(names) > 300
    assert [where for where, name in names if is_old_name(name)] == []


def test_no_configuration_key_has_an_old_word() -> None:
    """Every section of the file, down to its keys."""
    keys = list(keys_of(voicecore.Settings))
    assert len(keys) > 50
    assert [path for path, name in keys if is_old_name(name)] == []


# --- texts ----------------------------------------------------------------------


def docs() -> list[Path]:
    """Return README, the pages of docs/ and the news fragments."""
    pages = [
        REPOSITORY / "README.md",
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "newsfragments").glob("*.md"),
    ]
    return [page for page in pages if not page.relative_to(REPOSITORY).as_posix().startswith(DOCS_NOT_SEARCHED)]


def messages_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module's log lines, exceptions and printed lines, with their line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            said: list[ast.expr] = [node.exc] if node.exc is not None else []
        elif isinstance(node, ast.Call) and _is_output(node.func):
            said = [*node.args, *(keyword.value for keyword in node.keywords)]
        else:
            continue
        for part in said:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.lineno, inner.value


def _is_output(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "print" or function.id.endswith(
            ("Error", "Problem", "Notice", "Refused", "Lost", "Failed")
        )
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log"


def sources() -> list[Path]:
    """Return the package's modules whose messages are our own."""
    return [path for path in PACKAGE.rglob("*.py") if not path.relative_to(PACKAGE).as_posix().startswith(PEERS)]


@pytest.mark.parametrize("page", docs(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_no_page_has_an_old_word(page: Path) -> None:
    """Whole pages, code and tables included."""
    assert old_words(page.read_text()) == []


def test_no_log_line_or_message_has_an_old_word() -> None:
    """Log lines, exceptions, printed lines and notices."""
    messages = [(path, line, text) for path in sources() for line, text in messages_in(ast.parse(path.read_text()))]
    assert len(messages) > 200
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {old_words(text)}" for path, line, text in messages if old_words(text)
    ]
    assert found == []


# --- the search itself --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["CallerSaid", "gather_ms", "LoneSession", "user_fate", "Strategy", "is_deaf", "BargeInDoubted"]
)
def test_an_old_name_is_found(name: str) -> None:
    """By whole words, between underscores and capitals."""
    assert is_old_name(name)


@pytest.mark.parametrize("name", ["caller", "threshold", "household", "AcousticEcho", "delegate", "untold"])
def test_a_name_that_is_allowed_or_only_similar_is_not_found(name: str) -> None:
    """The calling number is called `caller`; a part of a word is not a word."""
    assert not is_old_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "the caller hung up",
        "marks are\nechoed",
        "its fate",
        "The house of calls",
        "there is\nnone",
        "the agent is told so",
    ],
)
def test_an_old_word_in_a_text_is_found(text: str) -> None:
    """Also across a line break."""
    assert old_words(text.replace("there is\nnone", "which is\nnone")) != []


@pytest.mark.parametrize(
    "text",
    ["acoustic echo", "`caller` and `callee`", "<Gather>", "trio.lowlevel.ParkingLot", "told apart", "threshold"],
)
def test_a_use_that_is_allowed_is_not_found(text: str) -> None:
    """Terms of Twilio, Trio and acoustics, and the glossary's own."""
    assert old_words(text) == []
