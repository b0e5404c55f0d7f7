"""The documentation is true: its code runs, its commands and links exist, its configuration loads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

import voicecore
from voicecore.assembly import real_world
from voicecore.cli.main import main
from voicecore.config import Settings
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import RealtimeTwin, Recorded, Reply, Script
from voicecore.simulation.twilio import Account, AfterAgent, DialPlan, HangUp, open_twilio
from voicecore.turns.barge_in.policy import StrategyFailed, judge
from voicecore_tests.code_rules.packages import REPOSITORY
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

FROM_THE_SHELL = {"TWILIO_AUTH_TOKEN": "token", "OPENAI_API_KEY": "key"}  # exported beside the file in README.md
BESIDE_A_PART = {"VOICECORE_AGENT__INSTRUCTIONS": "Be brief.", "TWILIO_ACCOUNT_SID": "AC1", **FROM_THE_SHELL}
SHELL_COMMANDS = [words for block in blocks("sh") for words in commands(block.text)]
SUBCOMMANDS = sorted({tuple(words[1:]) for words in SHELL_COMMANDS if words[0] == "voicecore"})


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
    assert (list(failures), decided) == ([], [None, (voicecore.BargeInOutcome.CONFIRMED, "says stop")])


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_configuration_blocks_load(block: Block) -> None:
    """Every example of a configuration is one, or a part of one."""
    beside = FROM_THE_SHELL if "[carriers.twilio]" in block.text else BESIDE_A_PART
    assert Settings.problems(block.text, beside) == []


def test_shell_blocks_use_commands_that_are_ours() -> None:
    """A reader needs make and voicecore, Python and pip to install it, and nothing else."""
    assert {words[0] for words in SHELL_COMMANDS} <= {"make", "voicecore", "python3", ".", "pip"}
    targets = {words[1] for words in SHELL_COMMANDS if words[0] == "make"}
    assert {"demo", "test"} <= targets <= make_targets((REPOSITORY / "Makefile").read_text())


@pytest.mark.parametrize("words", SUBCOMMANDS, ids=" ".join)
def test_subcommands_and_their_options_exist(words: Sequence[str]) -> None:
    """The program knows every command line that the documentation shows."""
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Relative links name files that are there."""
    assert broken_links(path) == []


# --- the examples of README.md do what they say -----------------------------------------


def example(name: str) -> Block:
    """The block of README.md that defines a function."""
    (found,) = (block for block in blocks("python") if block.path.name == "README.md" and f"def {name}(" in block.text)
    return found


@pytest.fixture
def account_sid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The account of README.md's configuration file, which lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    (toml,) = (block for block in blocks("toml") if block.path.name == "README.md")
    (tmp_path / "voicecore.toml").write_text(toml.text)
    return Settings.load(toml.text, FROM_THE_SHELL).carriers.twilio.account_sid


async def test_the_example_that_places_a_call(account_sid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the configuration file of README.md; the callee hears the message and hangs up."""
    world, account = (
        real_world(),
        Account(account_sid=account_sid, auth_token=Secret(FROM_THE_SHELL["TWILIO_AUTH_TOKEN"])),
    )
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    with trio.fail_after(30):
        async with (
            RealtimeTwin(world, script).serve() as base_url,
            open_twilio(world, account) as carrier,
            carrier.serve_rest() as api,
        ):
            here = {
                "VOICECORE_SERVER__PORT": "0",
                "VOICECORE_SERVER__PUBLIC_URL": "",
                "VOICECORE_CARRIERS__TWILIO__API_BASE_URL": api,
                "VOICECORE_PROVIDERS__OPENAI_REALTIME__BASE_URL": base_url,
            }
            for name, value in {**FROM_THE_SHELL, **here}.items():
                monkeypatch.setenv(name, value)
            carrier.expect(DialPlan(ring_s=0.2, script=[HangUp(AfterAgent(0.2))]))
            remind = (await run_python(example("remind")))["remind"]
            assert await remind("+15557654321") is voicecore.EndCause.REMOTE_HUNG_UP
            assert carrier.violations == []


async def test_the_example_that_asks_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself, with the answer's audio."""
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    with trio.fail_after(30):
        async with RealtimeTwin(real_world(), script).serve() as base_url:
            monkeypatch.setenv("OPENAI_API_KEY", "key")
            monkeypatch.setenv("OPENAI_BASE_URL", base_url)
            ask = (await run_python(example("ask")))["ask"]
            answer = await ask(bytes(2 * 24_000))
    assert voicecore.PCM16_24K.seconds_in(len(answer)) > 0.5


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
