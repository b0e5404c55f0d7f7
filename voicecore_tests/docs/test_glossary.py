"""The glossary names types that exist, each term once, in order; the documents that code cites have the sections."""

from __future__ import annotations

import importlib
import re

import pytest

from voicecore_tests.code_rules.packages import REPOSITORY

GLOSSARY = (REPOSITORY / "docs" / "glossary.md").read_text()
ENTRIES = re.findall(r"^- (\*\*.*?)(?=^- |^#|\Z)", GLOSSARY, re.MULTILINE | re.DOTALL)
_CITED = re.compile(r"(docs/protocols/[\w-]+\.md), sections? ([\d, toand]+)")
_HEADING = re.compile(r"^## (\d+)\.", re.MULTILINE)


def sources() -> str:
    """Every line of the package, unwrapped."""
    return " ".join(" ".join(path.read_text().split()) for path in (REPOSITORY / "voicecore").rglob("*.py"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.split("**")[1])
def test_a_term_names_a_type_that_exists(entry: str) -> None:
    """By its module and name."""
    (dotted,) = re.findall(r"\[`([\w.]+)`\]", entry)
    module, _, name = dotted.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_terms_are_in_order_within_their_part() -> None:
    """So that terms are easy to find, and listed once."""
    parts = [re.findall(r"^- \*\*([^*]+)\*\*", part, re.MULTILINE) for part in GLOSSARY.split("\n## ")[1:]]
    assert parts == [sorted(part, key=str.casefold) for part in parts]
    terms = [term for part in parts for term in part]
    assert len(terms) == len(set(terms)) >= 30


def test_every_cited_section_exists() -> None:
    """A reader can follow a citation to its heading."""
    cited = _CITED.findall(sources())
    assert len(cited) > 20
    for path, numbers in cited:
        headings = set(_HEADING.findall((REPOSITORY / path).read_text()))
        assert set(re.findall(r"\d+", numbers)) <= headings, path
