"""The code blocks of the documentation, and what it takes to try them.

Used by test_docs.py.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from voicecore_tests.code_rules.packages import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]

_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")
_HARMLESS = {"export"}  # the shell's own


@attrs.frozen
class Block:
    """A fenced block of one language, and its position."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPOSITORY).as_posix()}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return all blocks of a language."""
    parser = CodeBlockParser(language, evaluator=_leave_alone)
    return [
        Block(path, example.line, str(example.parsed))
        for path in DOCUMENTS
        for example in Document.parse(str(path), parser).examples()
    ]


async def run_python(block: Block) -> dict[str, Any]:
    """Run a block as a module, with top-level `await`; return the names that it defines."""
    source = "\n" * block.line + block.text  # so that a traceback names the document's own line
    code = compile(source, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": "documentation"}
    running = eval(code, names)  # noqa: S307
    if inspect.iscoroutine(running):
        await running
    return names


def public_names(text: str) -> set[str]:
    """Return each ``x`` of a ``voicecore.x`` in Python code."""
    return {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "voicecore"
    }


def commands(shell: str) -> Iterator[list[str]]:
    """Yield the words of each command of a shell block, comments left out."""
    for line in shell.splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] not in _HARMLESS:
            yield words


def make_targets(makefile: str) -> set[str]:
    """Return the targets that a Makefile has by name."""
    return set(_TARGET.findall(makefile))


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a document that lead nowhere."""
    links = _LINK.findall(path.read_text())
    return [link for link in links if "://" not in link and not (path.parent / link).exists()]


def _leave_alone(_example: Example) -> None:
    """Blocks are run by the tests, one a test, not by sybil."""
