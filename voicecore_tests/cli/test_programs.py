"""The program as its users run it: a process, its output, its exit code, its files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
import trio

from voicecore.assembly import real_world
from voicecore.secrets import Secret
from voicecore.simulation.carrier_twin import Account, AfterAgent, DialPlan, HangUp, Pickup, open_carrier
from voicecore.simulation.provider_twin import ProviderTwin, Recorded, Reply, Script
from voicecore_tests.chance import REAL_TIME

pytestmark = REAL_TIME

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "planted-carrier-token-5b1f"
KEY = "sk-planted-provider-key-77a0"
GOOD = f"""
[agent]
instructions = "Be brief."
first_message = "Hello."
[carriers.twilio]
account_sid = "{ACCOUNT}"
[providers.openai_realtime]
base_url = "BASE_URL"
"""
SECRETS = {"TWILIO_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": KEY}


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "TWILIO"))} | {**extra}


def run(*arguments: str, extra: Mapping[str, str] = SECRETS, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicecore", *arguments]
    return subprocess.run(
        command, env=environment(extra), capture_output=True, text=True, timeout=timeout_s, check=False
    )


def config(folder: Path, text: str = GOOD, base_url: str = "ws://127.0.0.1:9/v1") -> str:
    path = folder / "voicecore.toml"
    path.write_text(text.replace("BASE_URL", base_url))
    return str(path)


@contextmanager
def serving(*arguments: str, extra: Mapping[str, str] = SECRETS) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `voicecore serve` until the block ends; gives the process and its URL."""
    command = [sys.executable, "-m", "voicecore", "serve", "--port", "0", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(extra), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
            assert found, line
            yield process, found[1]
        finally:
            process.kill()


def test_without_a_command_the_usage_is_shown() -> None:
    """Exit 2, and what there is."""
    done = run()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (
            GOOD.replace("account_sid", "acount_sid"),
            "carriers.twilio.acount_sid: unknown key (did you mean account_sid?)",
        ),
        (GOOD.replace('instructions = "Be brief."', ""), "agent.instructions: missing"),
        (GOOD + 'vad_threshold = "high"', "providers.openai_realtime.vad_threshold"),
        ("[server\n", "voicecore.toml: not valid TOML"),
        ('[server]\nhost = "0.0.0.0"\n' + GOOD, "server.public_url"),
    ],
    ids=["unknown", "missing", "type", "toml", "public"],
)
def test_a_wrong_configuration_is_named_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    """`check` and `serve`: exit 2, one line each, what was wrong and what to do."""
    path = config(tmp_path, text)
    checked, served = run("check", "--config", path), run("serve", "--config", path)
    assert (checked.returncode, served.returncode) == (2, 2)
    assert key in checked.stdout
    assert key in served.stderr
    assert "Traceback" not in checked.stderr + served.stderr


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    """Not one a run."""
    done = run("check", "--config", config(tmp_path, "[agent]\n"), extra={})
    keys = {line.partition(":")[0] for line in done.stdout.splitlines()}
    assert keys >= {"agent.instructions", "carriers.twilio.account_sid", "providers.openai_realtime.api_key"}


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    """Exit 2."""
    done = run("serve", "--config", str(tmp_path / "nowhere.toml"))
    assert done.returncode == 2
    assert done.stderr.strip().endswith("nowhere.toml: cannot be read: No such file or directory")


def test_check_says_what_cannot_be_reached(tmp_path: Path) -> None:
    """A whole configuration whose provider does not answer: exit 1; offline it is complete: exit 0."""
    text = GOOD.replace("[providers", 'api_base_url = "http://127.0.0.1:9"\n[providers')
    path = config(tmp_path, text)
    done = run("check", "--config", path, "--json")
    assert done.returncode == 1
    problems = {finding["what"]: finding["problem"] for finding in json.loads(done.stdout)}
    assert "not reachable" in problems["providers.openai_realtime.base_url"]
    assert "not reachable" in problems["carriers.twilio.api_base_url"]
    offline = run("check", "--config", path, "--offline")
    assert (offline.returncode, offline.stdout) == (0, "the configuration is complete\n")


def test_a_server_answers_for_its_health_and_refuses_strangers(tmp_path: Path) -> None:
    """And ends at once when nobody calls."""
    with serving("--config", config(tmp_path)) as (process, url):
        assert httpx.get(f"{url}/health").text == "ok\n"
        assert httpx.get(f"{url}/ready").status_code == 200
        assert "voicecore_calls_live 0" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/nowhere").status_code == 404
        form = {"CallSid": "CA1", "AccountSid": ACCOUNT, "From": "+1", "To": "+2"}
        assert httpx.post(f"{url}/twilio/voice", data=form).status_code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Exit 1."""
    path = config(tmp_path)
    with serving("--config", path) as (_, url):
        done = run("serve", "--config", path, "--port", url.rpartition(":")[2])
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "in use" in done.stderr


async def test_a_served_call_goes_through_and_no_secret_is_seen(tmp_path: Path) -> None:
    """S32: the real process, real sockets, both twins; then every file and every line is searched."""
    world = real_world()
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    account = Account(auth_token=Secret(TOKEN))
    data = tmp_path / "data"
    with trio.fail_after(40):
        async with ProviderTwin(world, script).serve() as base_url, open_carrier(world, account) as carrier:
            path = config(tmp_path, f'[server]\ndata_dir = "{data}"\nrecord_audio = true\n' + GOOD, base_url)
            with serving("--config", path) as (process, url):
                line = await carrier.call(url, [HangUp(AfterAgent(0.3))])
                await trio.sleep(0.5)
                process.send_signal(signal.SIGTERM)
                out, err = await trio.to_thread.run_sync(process.communicate)
    assert line is not None
    assert process.returncode == 0
    (record,) = data.glob("*/record.json")
    assert [entry["text"] for entry in json.loads(record.read_text())["transcript"]] == ["Hello."]
    seen = out + err + "".join(file.read_bytes().decode("latin-1") for file in data.glob("*/*"))
    assert TOKEN not in seen
    assert KEY not in seen
    assert line.playout.violations == []


async def place_call(tmp_path: Path, plan: DialPlan, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `voicecore call` as a real process between both twins on real sockets."""
    world = real_world()
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    account = Account(auth_token=Secret(TOKEN))
    with trio.fail_after(60):
        async with (
            ProviderTwin(world, script).serve() as base_url,
            open_carrier(world, account) as carrier,
            carrier.serve_rest() as api,
        ):
            carrier.expect(plan)
            twilio = f'phone_number = "+15550100002"\napi_base_url = "{api}"\n[providers'
            path = config(tmp_path, GOOD.replace("[providers", twilio), base_url)
            command = ("call", "+15550100077", "--config", path, "--port", "0", *arguments)
            done = await trio.to_thread.run_sync(lambda: run(*command))
            assert carrier.violations == []
    return done


async def test_a_call_is_placed_shown_and_reported(tmp_path: Path) -> None:
    """Exit 0: what happened as it happened, then what it came to."""
    done = await place_call(tmp_path, DialPlan(ring_s=1.0, script=[HangUp(AfterAgent(0.3))]))
    assert (done.returncode, done.stderr) == (0, "")
    for shown in ("dialling +15550100077", "it rings", "parked", "adopted", "outcome        caller hung up", "heard"):
        assert shown in done.stdout
    assert TOKEN not in done.stdout


async def test_a_call_that_is_not_answered_is_a_failure(tmp_path: Path) -> None:
    """Exit 1, one line that says why; the report for programs all the same."""
    done = await place_call(tmp_path, DialPlan(ring_s=0.5, end=Pickup.BUSY), "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "busy")
    assert done.stderr.strip() == "voicecore: the call failed: busy (the carrier reported busy)"


def test_a_number_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    """Exit 2, and what a number looks like."""
    text = GOOD.replace("[providers", 'phone_number = "+15550100002"\n[providers')
    done = run("call", "0555", "--config", config(tmp_path, text), "--port", "0")
    assert (done.returncode, "E.164" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_without_a_number_of_our_own_calling_is_wrong_usage(tmp_path: Path) -> None:
    """The setting is named."""
    done = run("call", "+15550100077", "--config", config(tmp_path), "--port", "0")
    assert (done.returncode, "carriers.twilio.phone_number: missing" in done.stderr) == (2, True)


def test_the_demo_is_a_whole_call_that_one_can_listen_to(tmp_path: Path) -> None:
    """What the README promises: the call as it happens, then its files."""
    done = run("demo", "--out", str(tmp_path), extra={}, timeout_s=90)
    assert done.returncode == 0, done.stderr
    shown_in_the_call = ("it rings", "parked", "adopted", "its protection is over", "the caller spoke 0.")
    for shown in (*shown_in_the_call, "barge-in", "flushed by the clear", "cut there", "over: caller hung up"):
        assert shown in done.stdout
    (folder,) = tmp_path.iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["barge_ins"], record["problems"], record["media"]["under_runs"]) == (1, {}, 0)
    assert [line["interrupted"] for line in record["transcript"]].count(True) == 1
    assert (record["pickup"]["source"], record["first_message"]["fate"]) == ("adopted", "heard")
    with wave.open(str(folder / "audio.wav")) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)
        assert recording.getnframes() / 8000 == pytest.approx(record["duration_s"], abs=0.6)
    assert ET.parse(folder / "timeline.svg").getroot().tag.endswith("svg")  # noqa: S314  (our own picture)
    assert len((folder / "transcript.jsonl").read_text().splitlines()) == len(record["transcript"])
