"""The comparison in bench/: its runners compile, its command line is checked, its documentation is its results."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from voicecore.bench.load.conversation_load import run_level
from voicecore.bench.load.targets import relay_target
from voicecore.bench.processes.usage import Usage
from voicecore.bench.report.result import SMALL
from voicecore_tests.chance import REAL_TIME
from voicecore_tests.code_rules.packages import REPOSITORY

pytestmark = REAL_TIME

BENCH = REPOSITORY / "bench"
RUNNERS = sorted((BENCH / "engines").glob("*.py"))
RESULTS = BENCH / "results" / "latest.json"
MODULES = ("run", "write_docs", "figures", "targets")


@pytest.fixture(name="bench")
def _bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Import what run.py imports, the way it does."""
    monkeypatch.syspath_prepend(str(BENCH))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(name="results")
def _results() -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(RESULTS.read_bytes())
    return read


# --- the engines ---------------------------------------------------------------


@pytest.mark.parametrize("path", [*RUNNERS, *sorted(BENCH.glob("*.py"))], ids=lambda path: path.name)
def test_it_compiles(path: Path) -> None:
    """Whether or not its engine is installed here; and says what it follows."""
    assert compile(path.read_text(encoding="utf-8"), path.name, "exec").co_consts[0]


def test_every_engine_has_its_runner_and_its_pins(bench: dict[str, ModuleType]) -> None:
    """Every requirement is one version, and the package whose version is told is among them."""
    engines = [engine for engine in bench["targets"].ENGINES.values() if engine.runner is not None]
    assert {"floor", "openai-agents", "pipecat", "patter"} == {engine.name for engine in engines}
    for engine in engines:
        assert (BENCH / "engines" / engine.runner) in RUNNERS
        lines = engine.requirements.read_text(encoding="utf-8").splitlines()
        assert all(line.count("==") == 1 for line in lines)
        assert bench["targets"].version(engine) in {line.replace("==", " ") for line in lines}


def test_obey_speaks_the_child_s_half() -> None:
    """A port, a usage for every question, and the end with the parent."""
    program = "import report_usage, time; report_usage.report_usage(4321); time.sleep(60)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="?\n?\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=BENCH / "engines",
    )
    port, *usages = map(orjson.loads, done.stdout.splitlines())
    assert port == {"port": 4321}
    assert [Usage(**usage).cpu_s > 0 for usage in usages] == [True, True]


# --- the program ---------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--levels", "0"],
        ["--levels", "ten"],
        ["--seconds", "0"],
        ["--rounds", "0"],
        ["--engines", "nobody"],
        ["--pcm", "--engines", "floor"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(
    bench: dict[str, ModuleType], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    with pytest.raises(SystemExit) as caught:
        bench["run"].main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_asked_for(bench: dict[str, ModuleType]) -> None:
    """All engines go into the documentation's file; a part of them does not."""
    everything = bench["run"]._options([])
    assert [engine.name for engine in everything.engines] == list(bench["targets"].ENGINES)
    assert everything.out == RESULTS
    ours = bench["run"]._options(["--pcm", "--levels", "50,10"])
    assert [engine.name for engine in ours.engines] == ["voicecore", "voicecore-24k"]
    assert ours.plan.calls == (10, 50)
    assert ours.out != RESULTS


def test_a_level_that_the_cpu_rules_out_is_not_tried(bench: dict[str, ModuleType]) -> None:
    """Twice what a processor has, by a smaller level."""
    engine = bench["targets"].ENGINES["patter"]
    before = [{"engine": "patter", "calls": 10, "share": 0.5}, {"engine": "floor", "calls": 10, "share": 0.9}]
    assert bench["run"]._beyond(engine, 20, before) is None
    assert "2.5 processors" in bench["run"]._beyond(engine, 50, before)


def test_figures_of_a_level_are_those_that_the_account_needs(
    bench: dict[str, ModuleType], results: dict[str, Any]
) -> None:
    """A real run of the relay has them all."""
    record = bench["figures"].of_level(run_level(relay_target(), 2, SMALL))
    seen = next(run for run in results["runs"] if "failed" not in run)
    assert {*record, "engine", "calls", "round"} == set(seen)


def test_medians_are_over_the_rounds(bench: dict[str, ModuleType]) -> None:
    """Counts are summed; a round that failed has no figures."""
    runs = [
        {"engine": "floor", "calls": 10, "round": 1, "cpu_ms": 2.0, "lost": 1, "others": None},
        {"engine": "floor", "calls": 10, "round": 2, "cpu_ms": 4.0, "lost": 2, "others": 0.5},
        {"engine": "floor", "calls": 10, "round": 3, "failed": "why"},
        {"engine": "floor", "calls": 50, "round": 1, "cpu_ms": 9.0, "lost": 9, "others": 9.0},
    ]
    middle = bench["figures"].medians(runs, "floor", 10)
    assert middle == {"engine": "floor", "calls": 10, "cpu_ms": 3.0, "lost": 3, "others": 0.5}
    assert bench["figures"].medians(runs, "relay", 10) is None


# --- the account ---------------------------------------------------------------


def test_the_documentation_is_what_the_results_give(bench: dict[str, ModuleType], results: dict[str, Any]) -> None:
    """Text and pictures."""
    docs = bench["write_docs"]
    document = docs.DOCUMENT.read_text(encoding="utf-8")
    assert docs.marked(document) == docs.part(results).strip()
    assert docs.replaced(document, docs.part(results)) == document
    for name, svg in docs.pictures(results).items():
        assert (docs.PICTURES / name).read_text(encoding="utf-8") == svg


def test_an_engine_that_failed_is_told_with_its_reason(bench: dict[str, ModuleType], results: dict[str, Any]) -> None:
    """And one that had too much to do has no CPU figure."""
    told = copy.deepcopy(results)
    calls = told["settings"]["levels"][0]
    for run in told["runs"]:
        if (run["engine"], run["calls"]) == ("floor", calls):
            run["share"] = 1.0
    told["runs"] = [run for run in told["runs"] if (run["engine"], run["calls"]) != ("patter", calls)]
    told["runs"].append({"engine": "patter", "calls": calls, "round": 1, "failed": "it fell over"})
    text = bench["write_docs"].part(told)
    assert "patter: it fell over." in text
    assert "floor was overloaded" in text
