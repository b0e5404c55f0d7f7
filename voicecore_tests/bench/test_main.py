"""The command line of the benchmarks: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from voicecore.bench.main import MEASUREMENTS, main
from voicecore.bench.result import BenchmarkFailed, Plan, Progress, Result


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
    assert written["plan"] == {"size": "small", "calls": [1, 10, 50], "seconds": 8.0, "seed": 3}
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
