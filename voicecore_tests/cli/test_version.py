"""`voicecore --version` is the version of the package."""

from __future__ import annotations

import pytest

import voicecore
from voicecore.cli.main import main


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else is needed: no command, no configuration."""
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"voicecore {voicecore.__version__}\n"
