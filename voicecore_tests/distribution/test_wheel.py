"""The wheel: its metadata name its contents, licences and requirements."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from email.message import Message
from pathlib import Path

import attrs
import pytest

import voicecore
from voicecore_tests.code_rules.packages import PACKAGE, REPOSITORY
from voicecore_tests.distribution.requirements import required

LICENSES = ["LICENSE", "voicecore/simulation/recordings/CREDITS.md"]
RECORDINGS = PACKAGE / "simulation" / "recordings"

pytestmark = pytest.mark.xdist_group("wheel")  # built once


@attrs.frozen
class Built:
    """Both archives: where they are, their files' names below their top folder, and the wheel's metadata."""

    folder: Path

    wheel: Mapping[str, bytes]
    source: frozenset[str]
    metadata: Message


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    build(REPOSITORY, folder)
    return read(folder)


def build(source: Path, folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), *options]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)


def read(folder: Path) -> Built:
    (wheel_path,), (source_path,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel_path) as archive:
        wheel = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(source_path) as archived:
        source = frozenset(name.partition("/")[2] for name in archived.getnames())
    (metadata,) = (data for name, data in wheel.items() if name.endswith(".dist-info/METADATA"))
    return Built(folder, wheel, source, email.message_from_bytes(metadata))


def test_both_licences_are_named_and_enclosed(built: Built) -> None:
    """The code's, and that of the recorded voices."""
    assert built.metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0"
    assert built.metadata.get_all("License-File") == LICENSES
    enclosed = [data for name, data in built.wheel.items() if ".dist-info/licenses/" in name]
    assert sorted(enclosed) == sorted((REPOSITORY / name).read_bytes() for name in LICENSES)
    assert set(LICENSES) <= built.source


def test_every_recording_has_its_credit() -> None:
    """By its name, beside the licence and where that can be read."""
    credits_text = (RECORDINGS / "CREDITS.md").read_text(encoding="utf-8")
    assert "https://creativecommons.org/licenses/by-sa/3.0/" in credits_text
    recordings = sorted(path.name for path in RECORDINGS.iterdir() if path.suffix != ".md")
    assert len(recordings) >= 12
    assert [name for name in recordings if f"| {name} |" not in credits_text] == []


def test_the_wheel_is_the_package_and_nothing_else(built: Built) -> None:
    """Every file of it, with the recordings and the mark of a typed package; no tests."""
    inside = {name for name in built.wheel if ".dist-info/" not in name}
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert inside == {path.relative_to(REPOSITORY).as_posix() for path in files}
    assert {"voicecore/py.typed", "voicecore/simulation/recordings/agent-hello.wav"} <= inside


def test_the_source_archive_can_be_tested(built: Built) -> None:
    """Tests, documentation and what `make` reads are in it."""
    assert {"Makefile", "pyproject.toml", "constraints.txt", "README.md", "docs/index.md"} <= built.source
    assert "voicecore_tests/kit.py" in built.source


def test_the_source_archive_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    """Byte for byte: whoever packages from it ships what we tested."""
    (archive,) = built.folder.glob("*.tar.gz")
    with tarfile.open(archive) as archived:
        archived.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    build(top, tmp_path / "again", "-t", "wheel")
    (again,) = (tmp_path / "again").iterdir()
    assert again.read_bytes() == (built.folder / again.name).read_bytes()


def test_the_package_index_would_take_both_archives(built: Built) -> None:
    """As `twine check --strict` judges them: metadata, and a description that can be shown."""
    pytest.importorskip("twine")
    archives = [str(path) for path in built.folder.iterdir()]
    command = [sys.executable, "-m", "twine", "check", "--strict", *archives]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_name_is_ours_and_the_version_that_of_the_package(built: Built) -> None:
    """The name `voicecore` on the package index is another project's."""
    assert built.metadata["Name"] == "voicecore-engine"
    assert built.metadata["Version"] == voicecore.__version__


def test_the_requirements_are_those_of_the_project(built: Built) -> None:
    """With their lower bounds; the tests' tools are an extra."""
    wanted = {line for line in built.metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert wanted == {f"{name}>={lowest}" for name, lowest in required().items()}
    assert built.metadata["Requires-Python"] == ">=3.11"
