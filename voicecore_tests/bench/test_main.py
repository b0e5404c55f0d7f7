"""The command line of the benchmarks: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from voicecore.bench.main import LONG, MEASUREMENTS, main
from voicecore.bench.report.result import FULL, SMALL, BenchmarkFailed, Plan, Progress, Result
from voicecore.bench.report.tables import as_json
from voicecore_tests.code_rules.packages import REPOSITORY


def test_results_go_to_stdout_and_progress_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The machine first; every table with its units."""
    assert main(["json", "--size", "small"]) == 0
    out, err = capsys.readouterr()
    assert "processors" in out.splitlines()[0]
    assert "JSON and base64" in out
    assert "µs" in out
    assert "orjson" in err


def test_results_as_json(tmp_path: Path) -> None:
    """Machine, plan and tables; every row has every column."""
    path = tmp_path / "bench.json"
    assert main(["json", "--size", "small", "--seed", "3", "--json", str(path)]) == 0
    written = json.loads(path.read_text(encoding="utf-8"))
    assert set(written) == {"machine", "plan", "results"}
    assert {"python", "processors", "system", "trio"} <= set(written["machine"])
    assert written["plan"] == {
        "size": "small",
        "calls": [2],
        "seconds": 0.3,
        "seed": 3,
        "handshake_s": 0.3,
        "first_delta_s": 0.25,
    }
    (result,) = written["results"]
    assert set(result) == {"name", "about", "columns", "rows"}
    names = [column["name"] for column in result["columns"]]
    assert result["rows"]
    assert all(list(row) == names for row in result["rows"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--calls", "0"],
        ["--calls", "1,,2"],
        ["--calls", "1000000"],
        ["--calls", "ten"],
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "soon"],
        ["--seed", "x"],
        ["--size", "huge"],
        ["--json", "no/such/folder/file.json"],
        ["--json", "x" * 300],
        ["--pictures", "no/such/folder"],
        ["--pictures", "x" * 300],
        ["--compare", "no/such/file.json"],
        ["--compare", "pyproject.toml"],
        ["--handshake-ms", "-1"],
        ["--first-delta-ms", "1e9"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is measured."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert out == ""
    assert len(err.splitlines()) == 1


def asked_for(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> tuple[list[str], Plan]:
    """Return which measurements the arguments run, and their plan."""
    ran: list[str] = []
    plans: list[Plan] = []
    for name in MEASUREMENTS:

        def take(plan: Plan, _progress: Progress, name: str = name) -> Sequence[Result]:
            ran.append(name)
            plans.append(plan)
            return []

        monkeypatch.setitem(MEASUREMENTS, name, take)
    assert main(arguments) == 0
    return ran, plans[0]


def test_without_arguments_all_run_but_the_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes at the desk."""
    assert asked_for(monkeypatch, []) == ([name for name in MEASUREMENTS if name not in LONG], Plan())


def test_the_long_plan_runs_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is said besides is kept."""
    ran, plan = asked_for(monkeypatch, ["--full", "--seed", "7"])
    assert ran == list(MEASUREMENTS)
    assert plan == attrs.evolve(FULL, seed=7)


def test_the_providers_slowness_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """In milliseconds; none is one too."""
    _, plan = asked_for(monkeypatch, ["pickup", "--handshake-ms", "450", "--first-delta-ms", "0"])
    assert (plan.handshake_s, plan.first_delta_s) == (0.45, 0.0)


def test_a_run_is_compared_with_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind the tables, with what differs between the two runs."""
    path = tmp_path / "old.json"
    assert main(["json", "--size", "small", "--json", str(path)]) == 0
    capsys.readouterr()
    assert main(["json", "--size", "small", "--seed", "9", "--compare", str(path)]) == 0
    _, _, compared = capsys.readouterr().out.partition("compared with old.json")
    assert "plan, seed: 1 → 9" in compared
    assert "orjson, binascii" in compared


def test_the_documentation_has_every_measurement_and_no_wrong_argument(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What docs/benchmarks.md tells a reader to type is taken, in a folder that has what it names."""
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    (tmp_path / "bench-output.json").write_bytes(as_json(SMALL, []))
    monkeypatch.chdir(tmp_path)
    typed = re.findall(r'make bench ARGS="?([^"`\n]+)', text)
    assert len(typed) >= 5
    for arguments in typed:
        asked_for(monkeypatch, shlex.split(arguments))
    assert all(f"`{name}`" in text for name in MEASUREMENTS)


def test_a_measurement_that_fails_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what did not happen; there is no table."""

    def fails(_plan: Plan, _progress: Progress) -> Sequence[Result]:
        raise ExceptionGroup("a nursery", [BenchmarkFailed("2 calls through the engine: a frame was lost")])

    monkeypatch.setitem(MEASUREMENTS, "json", fails)
    assert main(["json"]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == "2 calls through the engine: a frame was lost"
    assert len(out.splitlines()) == 2  # the machine, and an empty line
