"""The program as its users run it: a process, its output, its exit code, its files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
import trio

from voicecore.assembly import real_world
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import RealtimeTwin, Recorded, Reply, Script
from voicecore.simulation.twilio import Account, AfterAgent, DialPlan, HangUp, Pickup, Refusal, open_twilio
from voicecore.simulation.twilio.signing import sign
from voicecore.startup import INTERRUPTED
from voicecore_tests.chance import REAL_TIME
from voicecore_tests.code_rules.packages import REPOSITORY

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
HANGS_S = 40  #: no program that was told to end takes so long, on the busiest machine; a drain lasts a minute
INTERRUPTS = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
"""
SECRETS = {"TWILIO_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": KEY}


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "TWILIO"))}
    return inherited | {"PYTHONPATH": str(REPOSITORY), **extra}


def run(
    *arguments: str, extra: Mapping[str, str] = SECRETS, timeout_s: float = 60, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicecore", *arguments]
    return subprocess.run(
        command, env=environment(extra), capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd
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


def test_the_help_names_every_command_and_both_directions() -> None:
    """What the program is for, in its first line."""
    done = run("--help")
    assert done.returncode == 0
    assert "Answers and places" in done.stdout
    assert all(f"\n    {command} " in done.stdout for command in ("demo", "serve", "call", "check"))


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (("voicecore", "--help"), {0, 1}),  # argparse swallows the error where output is not buffered
        (("voicecore", "demo", "--out", "OUT"), {1}),
    ],
    ids=["help", "demo"],
)
def test_a_reader_that_leaves_ends_a_command_quietly(arguments: Sequence[str], codes: set[int], tmp_path: Path) -> None:
    """`voicecore demo | head`: no traceback, neither from the call that is shown nor from Python's own end."""
    command = [sys.executable, "-m", *(str(tmp_path) if word == "OUT" else word for word in arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment({}), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=HANGS_S) in codes


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("voicecore", "demo", "--out", "OUT"), INTERRUPTED),
        (("voicecore.simulation.openai_realtime",), 1),
        (("voicecore.bench", "calls", "--size", "small", "--seconds", "20"), 1),
    ],
    ids=["demo", "twin", "bench"],
)
def test_ctrl_c_prints_no_traceback(arguments: Sequence[str], code: int, tmp_path: Path) -> None:
    """Once the program has begun to print, SIGINT ends it with nothing on stderr but its progress."""
    command = [sys.executable, "-m", *(str(tmp_path) if word == "OUT" else word for word in arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment({}), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_S)
    assert (process.returncode, "Traceback" in err, "KeyboardInterrupt" in err) == (code, False, False), err


@pytest.mark.parametrize(
    "module", ["attrs", "trio", "voicecore.engine.host", "voicecore.cli.main", "voicecore.cli.serve"]
)
@pytest.mark.parametrize("way", ["module", "script"])
def test_ctrl_c_while_the_program_is_loaded_prints_nothing(module: str, way: str, tmp_path: Path) -> None:
    """SIGINT in the moment when this module is about to be imported, whichever way the program was started."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS)
    script = tmp_path / "voicecore"  # as pip writes it
    script.write_text("import sys\nfrom voicecore.cli.main import main\nsys.exit(main())\n")
    command = [sys.executable, *(["-m", "voicecore"] if way == "module" else [str(script)]), "check", "--offline"]
    places = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    extra = {"PYTHONPATH": places, "INTERRUPTED_AT": module}
    done = subprocess.run(
        command, env=environment(extra), capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


def test_a_program_that_only_uses_the_package_keeps_its_own_ctrl_c(tmp_path: Path) -> None:
    """The import of a library changes no signal."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS)
    places = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    text = "try:\n    import voicecore\nexcept KeyboardInterrupt:\n    print('its own')"
    extra = {"PYTHONPATH": places, "INTERRUPTED_AT": "trio"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment(extra), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "its own\n", "")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (
            GOOD.replace("account_sid", "acount_sid"),
            "carriers.twilio.acount_sid: unknown key (did you mean account_sid?)",
        ),
        (GOOD.replace(f'account_sid = "{ACCOUNT}"', ""), "carriers.twilio.account_sid: missing"),
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
    assert keys >= {"carriers.twilio.account_sid", "carriers.twilio.auth_token", "providers.openai_realtime.api_key"}


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
    assert offline.returncode == 0
    assert offline.stdout.splitlines() == [
        f"configuration: read from {path} and the environment",
        "the configuration is complete",
    ]


def test_check_and_serve_find_the_file_of_the_folder_they_run_in(tmp_path: Path) -> None:
    """The file that the messages speak of, and it is said which one was read; --config beats it."""
    config(tmp_path)
    found = run("check", "--offline", cwd=tmp_path)
    assert (found.returncode, f"read from {tmp_path / 'voicecore.toml'}" in found.stdout) == (0, True)
    other = tmp_path / "other.toml"
    other.write_text("[agent]\n")
    assert run("check", "--offline", "--config", str(other), cwd=tmp_path).returncode == 2
    (tmp_path / "voicecore.toml").unlink()
    missing = run("serve", cwd=tmp_path)
    assert missing.returncode == 2
    assert "carriers.twilio.account_sid: missing" in missing.stderr
    assert "no voicecore.toml in this folder" in missing.stderr


def test_check_tries_to_write_where_records_are_kept(tmp_path: Path) -> None:
    """A data folder that cannot be written is no complete configuration: exit 1, with path and reason."""
    (tmp_path / "file").write_text("")
    data = tmp_path / "file" / "data"
    done = run("check", "--offline", "--config", config(tmp_path, f'[server]\ndata_dir = "{data}"\n' + GOOD))
    assert done.returncode == 1
    assert f"server.data_dir: {data}: cannot be written: Not a directory" in done.stdout
    assert "complete" not in done.stdout


def test_a_server_answers_for_its_health_and_refuses_strangers(tmp_path: Path) -> None:
    """And ends at once if there are no calls."""
    with serving("--config", config(tmp_path)) as (process, url):
        assert httpx.get(f"{url}/health").text == "ok\n"
        assert httpx.get(f"{url}/ready").status_code == 200
        assert "voicecore_calls_live 0" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/nowhere").status_code == 404
        form = {"CallSid": "CA1", "AccountSid": ACCOUNT, "From": "+1", "To": "+2"}
        assert httpx.post(f"{url}/twilio/voice", data=form).status_code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=HANGS_S) == 0


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Exit 1."""
    path = config(tmp_path)
    with serving("--config", path) as (_, url):
        done = run("serve", "--config", path, "--port", url.rpartition(":")[2])
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        line = done.stderr.splitlines()[-1]
        assert line.startswith(f"voicecore: cannot listen on 127.0.0.1 port {url.rpartition(':')[2]}: address already")
        assert "another voicecore" in line


def test_a_closed_terminal_leaves_a_record_of_the_call_that_rings(tmp_path: Path) -> None:
    """SIGHUP stops it as SIGTERM does; a call without media delays that for seconds, not for a minute."""
    data = tmp_path / "data"
    text = f'[server]\ndata_dir = "{data}"\n' + GOOD
    with serving("--config", config(tmp_path, text)) as (process, url):
        form = {"CallSid": "CA1", "AccountSid": ACCOUNT, "From": "+15550100001", "To": "+15550100002"}
        headers = {"X-Twilio-Signature": sign(TOKEN, f"{url}/twilio/voice", form)}
        assert httpx.post(f"{url}/twilio/voice", data=form, headers=headers).status_code == 200
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=HANGS_S) == 0
    (record,) = data.glob("*/record.json")
    assert json.loads(record.read_text())["outcome"] == "shut_down"


def test_a_hang_up_that_is_to_be_ignored_is(tmp_path: Path) -> None:
    """nohup: the process was started so as to survive its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the child
    try:
        with serving("--config", config(tmp_path)) as (process, url):
            process.send_signal(signal.SIGHUP)
            assert httpx.get(f"{url}/ready").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=HANGS_S) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_served_call_goes_through_and_no_secret_is_seen(tmp_path: Path) -> None:
    """S32: the real process, real sockets, both twins; then every file and every line is searched."""
    world = real_world()
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    account = Account(auth_token=Secret(TOKEN))
    data = tmp_path / "data"
    with trio.fail_after(40):
        async with RealtimeTwin(world, script).serve() as base_url, open_twilio(world, account) as carrier:
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


async def test_check_live_tries_the_keys(tmp_path: Path) -> None:
    """One read of the account, one session opened and closed, each reported in a line; a wrong key is exit 1."""
    world = real_world()
    account = Account(auth_token=Secret(TOKEN))
    with trio.fail_after(40):
        async with (
            RealtimeTwin(world, api_key=Secret(KEY)).serve() as base_url,
            open_twilio(world, account) as carrier,
            carrier.serve_rest() as api,
        ):
            text = GOOD.replace("[providers", f'api_base_url = "{api}"\n[providers')
            path = config(tmp_path, text, base_url)
            good = await trio.to_thread.run_sync(lambda: run("check", "--live", "--config", path))
            wrong = {"TWILIO_AUTH_TOKEN": "another", "OPENAI_API_KEY": "sk-another"}
            bad = await trio.to_thread.run_sync(lambda: run("check", "--live", "--config", path, extra=wrong))
    assert good.returncode == 0, good.stdout
    assert "carriers.twilio: the account was read: active, Full" in good.stdout
    assert "providers.openai_realtime: a session with gpt-realtime-2.1 was opened" in good.stdout
    assert bad.returncode == 1
    assert "check carriers.twilio.account_sid and carriers.twilio.auth_token" in bad.stdout
    assert "HTTP status 401: check the API key" in bad.stdout
    assert "another" not in bad.stdout


async def place_call(tmp_path: Path, plan: DialPlan, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `voicecore call` as a real process between both twins on real sockets."""
    world = real_world()
    script = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
    account = Account(auth_token=Secret(TOKEN))
    with trio.fail_after(60):
        async with (
            RealtimeTwin(world, script).serve() as base_url,
            open_twilio(world, account) as carrier,
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
    for shown in ("dialling +15550100077", "ringing", "parked", "adopted", "outcome        remote hung up", "heard"):
        assert shown in done.stdout
    assert TOKEN not in done.stdout


async def test_a_call_that_is_not_answered_is_a_failure(tmp_path: Path) -> None:
    """Exit 1, one line that says why; the report for programs all the same."""
    done = await place_call(tmp_path, DialPlan(ring_s=0.5, end=Pickup.BUSY), "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "busy")
    assert done.stderr.strip() == "voicecore: the call failed: busy (the carrier reported busy)"


async def test_a_call_whose_public_url_leads_to_another_process_is_not_placed(tmp_path: Path) -> None:
    """With a `serve` running: no phone rings; the error says what answers there, and how to call anyway."""
    with serving("--config", config(tmp_path)) as (_, url):
        plan = DialPlan(refuse=Refusal(status=400, code=21219))
        done = await place_call(tmp_path, plan, "--public-url", url)
        forced = await place_call(tmp_path, plan, "--public-url", url, "--no-url-check")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == f"voicecore: the call was not placed: {url} leads to another voicecore process, not to this one"
    assert "--no-url-check" in second
    assert "dialling" not in done.stdout
    assert "dialling" in forced.stdout


def test_a_carrier_cannot_reach_a_loopback_address(tmp_path: Path) -> None:
    """Without a public URL, no request is sent to the real carrier."""
    text = GOOD.replace("[providers", 'phone_number = "+15550100002"\n[providers')
    done = run("call", "+15550100077", "--config", config(tmp_path, text), "--port", "0")
    assert done.returncode == 1
    assert "the carrier cannot reach" in done.stderr
    assert "server.public_url" in done.stderr


def test_a_number_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    """Exit 2, and what a number looks like."""
    text = GOOD.replace("[providers", 'phone_number = "+15550100002"\n[providers')
    done = run("call", "0555", "--config", config(tmp_path, text), "--port", "0")
    assert (done.returncode, "E.164" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_without_a_number_of_our_own_calling_is_wrong_usage(tmp_path: Path) -> None:
    """The setting is named."""
    done = run("call", "+15550100077", "--config", config(tmp_path), "--port", "0")
    assert (done.returncode, "carriers.twilio.phone_number: missing" in done.stderr) == (2, True)


def test_a_demo_that_cannot_be_written_is_not_held(tmp_path: Path) -> None:
    """Exit 1 at once, not after the call: which folder, why, and what to do."""
    (tmp_path / "file").write_text("")
    done = run("demo", "--out", str(tmp_path / "file"), extra={})
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == f"voicecore: {tmp_path / 'file'}: cannot be written: it is a file, not a folder"
    assert "--out" in second


def test_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """`voicecore demo > file` on a full disk, or anything else that takes no output: exit 1, no traceback."""
    command = [sys.executable, "-m", "voicecore", "demo", "--out", str(tmp_path)]
    with Path(os.devnull).open() as takes_nothing:
        done = subprocess.run(
            command,
            env=environment({}),
            stdout=takes_nothing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANGS_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "voicecore: Bad file descriptor\n")


def test_the_demo_is_a_whole_call_that_one_can_listen_to(tmp_path: Path) -> None:
    """What the README promises: the call as it happens, then its files."""
    done = run("demo", "--out", str(tmp_path), extra={}, timeout_s=90)
    assert done.returncode == 0, done.stderr
    shown_in_the_call = ("ringing", "parked", "adopted", "protection ended", "the user spoke 0.")
    shown_of_the_hello = ("speaks over the message: buffered", "] “(a greeting, in Italian)”", " is a turn")
    for shown in (
        *shown_in_the_call,
        *shown_of_the_hello,
        "barge-in",
        "flushed by the clear",
        "cut there",
        "over: remote hung up",
    ):
        assert shown in done.stdout
    (folder,) = tmp_path.iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["barge_ins"], record["problems"]) == (1, {})
    assert [line["interrupted"] for line in record["transcript"]].count(True) == 1
    assert (record["pickup"]["source"], record["first_message"]["outcome"]) == ("adopted", "heard")
    with wave.open(str(folder / "audio.wav")) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)
        assert recording.getnframes() / 8000 == pytest.approx(record["duration_s"], abs=0.6)
    assert ET.parse(folder / "timeline.svg").getroot().tag.endswith("svg")  # noqa: S314  (our own picture)
    assert len((folder / "transcript.jsonl").read_text().splitlines()) == len(record["transcript"])
