"""The shipped recordings are whole, audible and credited."""

from __future__ import annotations

from importlib import resources

import pytest

from voicecore.audio.formats import PCM16_8K
from voicecore.audio.level import level_dbfs
from voicecore.audio.wav import read_wav
from voicecore.simulation import recordings

FOLDER = resources.files("voicecore.simulation") / "recordings"
FILES = {each.name.removesuffix(".wav"): each for each in FOLDER.iterdir() if each.name.endswith(".wav")}


def test_the_table_names_every_file_and_no_other() -> None:
    """A name in the table is a file, and each file is in the table."""
    assert set(FILES) == set(recordings.MEANINGS)


@pytest.mark.parametrize("name", recordings.MEANINGS)
def test_each_recording_is_telephone_speech(name: str) -> None:
    """PCM16 at 8 kHz, and loud enough to be heard as speech."""
    audio_format, samples = read_wav(FILES[name].read_bytes())
    assert audio_format == PCM16_8K
    assert recordings.load(name) == samples
    assert level_dbfs(samples, PCM16_8K) > -35


def test_lengths_are_those_of_the_credits() -> None:
    """seconds() agrees with the table that travels with the files; every file is credited."""
    credited = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    for name in recordings.MEANINGS:
        assert f"| {name}.wav | " in credited
        assert f" | {recordings.seconds(name):.2f} |" in credited
    assert "CC BY-SA 3.0" in credited


def test_unknown_name_is_an_error_that_lists_the_known() -> None:
    """A wrong name never becomes silence."""
    with pytest.raises(KeyError, match="agent-hello"):
        recordings.load("agent-helo")


def test_the_package_stays_small() -> None:
    """All recordings together are below one megabyte."""
    assert sum(len(each.read_bytes()) for each in FILES.values()) < 1_000_000
