"""The documentation is true: its code runs, its commands and links exist, its configuration loads."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

import voicecore
from voicecore.config import Settings
from voicecore.turns.barge_in import StrategyFailed, judge
from voicecore_tests.docs.blocks import (
    DOCUMENTS,
    Block,
    blocks,
    broken_links,
    commands,
    make_targets,
    public_names,
    run_python,
)
from voicecore_tests.house.rooms import REPOSITORY

FROM_THE_SHELL = {"TWILIO_AUTH_TOKEN": "token", "OPENAI_API_KEY": "key"}  # exported beside the file in README.md
BESIDE_A_PART = {"VOICECORE_AGENT__INSTRUCTIONS": "Be brief.", "TWILIO_ACCOUNT_SID": "AC1", **FROM_THE_SHELL}
SHELL_COMMANDS = [words for block in blocks("sh") for words in commands(block.text)]
SUBCOMMANDS = sorted({words[1] for words in SHELL_COMMANDS if words[0] == "voicecore"})


@pytest.mark.parametrize("block", blocks("python"), ids=str)
async def test_python_blocks_run(block: Block) -> None:
    """Every block runs, and the public names that it uses exist."""
    await run_python(block)
    assert public_names(block.text) <= set(dir(voicecore))


async def test_the_strategy_that_is_printed_decides() -> None:
    """On every piece of evidence, that without words too."""
    (block,) = [block for block in blocks("python") if "BargeInPolicy(strategies=" in block.text]
    policy = (await run_python(block))["policy"]
    evidence = [
        voicecore.SpeechEvidence(waited_s=0.0, speech_s=0.0, speaking=True),
        voicecore.SpeechEvidence(waited_s=1.0, speech_s=0.5, speaking=False, words="please Stop", words_complete=True),
    ]
    failures: deque[StrategyFailed] = deque()
    decided = [judge(policy, each, failures) for each in evidence]
    assert (list(failures), decided) == ([], [None, (voicecore.Outcome.CONFIRMED, "says stop")])


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_configuration_blocks_load(block: Block) -> None:
    """Every example of a configuration is one, or a part of one."""
    beside = FROM_THE_SHELL if "[carriers.twilio]" in block.text else BESIDE_A_PART
    assert Settings.problems(block.text, beside) == []


def test_shell_blocks_use_commands_that_are_ours() -> None:
    """A reader needs make and voicecore, and nothing else."""
    assert {words[0] for words in SHELL_COMMANDS} <= {"make", "voicecore"}
    targets = {words[1] for words in SHELL_COMMANDS if words[0] == "make"}
    assert {"demo", "test"} <= targets <= make_targets((REPOSITORY / "Makefile").read_text())


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_subcommands_exist(subcommand: str) -> None:
    """The program knows every subcommand that the documentation names."""
    asked = [sys.executable, "-m", "voicecore", subcommand, "--help"]
    answered = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert answered.returncode == 0, answered.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Relative links name files that are there."""
    assert broken_links(path) == []


# --- the tests above can fail ------------------------------------------------------


async def test_a_block_that_fails_is_noticed() -> None:
    """Also behind an await at the top level, and by its line in the document."""
    block = Block(REPOSITORY / "README.md", 7, "import trio\nawait trio.sleep(0)\nassert False")
    with pytest.raises(AssertionError) as caught:
        await run_python(block)
    assert caught.traceback[-1].lineno + 1 == 7 + 3


def test_what_is_looked_for_is_found() -> None:
    """Names, commands, targets and links are read out of their texts."""
    assert public_names("import voicecore\nvoicecore.open_engine(voicecore.Settings)") == {"open_engine", "Settings"}
    assert list(commands("# one\nexport A=1\nmake demo  # two\n")) == [["make", "demo"]]
    assert make_targets("a: b\n\techo\nPIP := x\n.PHONY: a\n") == {"a"}


def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    """Fragments and other sites are left alone."""
    document = tmp_path / "page.md"
    document.write_text("[a](gone.md#part) [b](page.md#part) [c](https://example.com/x)")
    assert broken_links(document) == ["gone.md"]
