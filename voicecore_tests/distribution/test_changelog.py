"""The changelog can be built from the fragments at any time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import voicecore
from voicecore_tests.code_rules.packages import REPOSITORY

pytest.importorskip("towncrier")


def draft(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", voicecore.__version__]
    return subprocess.run([*command, "--dir", str(folder)], check=False, capture_output=True, text=True, timeout=60)


def test_the_draft_has_every_fragment() -> None:
    """Under the heading of the version."""
    built = draft(REPOSITORY)
    assert built.returncode == 0, built.stderr
    assert f"## {voicecore.__version__} (" in built.stdout
    shown = " ".join(built.stdout.split())
    fragments = [path for path in (REPOSITORY / "newsfragments").glob("*.md") if path.name != "README.md"]
    first_lines = {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in fragments}
    assert [name for name, line in first_lines.items() if line.strip() not in shown] == []


@pytest.mark.parametrize("name", ["+word.fature.md", "word.md"])
def test_a_fragment_with_a_wrong_name_fails(tmp_path: Path, name: str) -> None:
    """It would otherwise be missing from the changelog."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "newsfragments").mkdir()
    (tmp_path / "newsfragments" / name).write_text("Something.", encoding="utf-8")
    built = draft(tmp_path)
    assert built.returncode != 0
    assert name in built.stdout + built.stderr
