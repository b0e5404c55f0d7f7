"""kill -9 in the middle of calls: what was said is on the disk, whole files are whole, and the next start tidies up."""

from __future__ import annotations

import json
import os
import resource
import signal
import wave
from collections.abc import Sequence
from pathlib import Path

import trio

from voicecore.assembly import real_world
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import RealtimeTwin, Recorded, Reply, Script
from voicecore.simulation.twilio import Account, At, HangUp, Say, Step, open_twilio
from voicecore_tests.chance import REAL_TIME
from voicecore_tests.cli.test_programs import GOOD, TOKEN, config, serving
from voicecore_tests.kit import ulaw

pytestmark = REAL_TIME

SCRIPT = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-you-are-next"))),
    hears=("hello?",),
)


def lines(data: Path) -> list[str]:
    """What a reader gets: everything up to the last whole line."""
    return [
        json.loads(line)["text"]
        for path in data.glob("*/transcript.jsonl")
        for line in path.read_bytes().rpartition(b"\n")[0].splitlines()
    ]


async def test_kill_9_in_a_call_costs_no_line_that_was_final(tmp_path: Path) -> None:
    """Greeting, question and answer are there, and the recording up to its last half second; there is no record.

    A process that starts on the same folder removes what was half-written, and nothing else.
    """
    world, data = real_world(), tmp_path / "data"
    account = Account(auth_token=Secret(TOKEN))
    given = f'[server]\ndata_dir = "{data}"\nrecord_audio = true\n' + GOOD
    with trio.fail_after(60):
        async with (
            RealtimeTwin(world, SCRIPT).serve() as base_url,
            open_twilio(world, account) as carrier,
            trio.open_nursery() as nursery,
        ):
            path = config(tmp_path, given, base_url)
            with serving("--config", path) as (process, url):
                steps: Sequence[Step] = [Say(At(1.5), ulaw("caller-hello-it")), HangUp(At(50.0))]
                nursery.start_soon(carrier.call, url, steps)
                while lines(data)[:3] != ["Hello.", "hello?", "Next."]:  # noqa: ASYNC110 - another process
                    await trio.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                await trio.to_thread.run_sync(process.wait)
            nursery.cancel_scope.cancel()
        (folder,) = data.iterdir()
        assert lines(data)[:3] == ["Hello.", "hello?", "Next."]
        assert sorted(file.name for file in folder.iterdir()) == ["audio.wav", "transcript.jsonl"]
        with wave.open(str(folder / "audio.wav")) as recording:
            assert recording.getnframes() / 8000 > 1.0
        left = folder / ".record.json.k1ll3d"
        left.write_bytes(b"half of a rec")
        os.utime(left, (1.0, 1.0))
        with serving("--config", path):
            while left.exists():  # noqa: ASYNC110 - another process
                await trio.sleep(0.05)
        assert sorted(file.name for file in folder.iterdir()) == ["audio.wav", "transcript.jsonl"]


async def test_the_last_record_is_whole_on_a_disk_that_takes_no_large_file(tmp_path: Path) -> None:
    """RLIMIT_FSIZE as a full disk for the real process: said with path and reason, then put into the log whole."""
    world, data = real_world(), tmp_path / "data"
    account = Account(auth_token=Secret(TOKEN))
    given = f'[server]\ndata_dir = "{data}"\n' + GOOD
    with trio.fail_after(60):
        async with RealtimeTwin(world, SCRIPT).serve() as base_url, open_twilio(world, account) as carrier:
            with serving("--config", config(tmp_path, given, base_url)) as (process, url):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300, 300))
                await carrier.call(url, [Say(At(1.0), ulaw("caller-hello-it")), HangUp(At(3.0))])
                await trio.sleep(0.5)
                process.send_signal(signal.SIGTERM)
                _, err = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0
    assert "File too large; it is kept and will be retried" in err
    (whole,) = [line for line in err.splitlines() if "could not be written before the engine closed" in line]
    record = json.loads(whole[whole.index("{") :])
    assert record["outcome"] == "remote_hung_up"
    assert "hello?" in [line["text"] for line in record["transcript"]]
    assert list(data.glob("*/record.json")) == []
