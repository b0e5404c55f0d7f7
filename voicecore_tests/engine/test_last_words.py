"""What is said is in the record: the user's last words, and every final line of a call that never ended."""

from __future__ import annotations

import errno
import json
from collections import Counter
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import CallSettings, HostSettings
from voicecore.facts import AgentSaid, CallEnded, EndCause, UserSaid
from voicecore.simulation.memory_files import DiskFault, FileWrite
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Pace,
    Recorded,
    Reply,
    Script,
    ScriptedVad,
    Transcribing,
)
from voicecore.simulation.twilio import At, HangUp, Say
from voicecore.simulation.twilio.line import Line
from voicecore_tests.kit import Rig, nothing_is_left, rig, ulaw

BYE = "OK, I take it, bye."
SCRIPT = Script(replies=(Reply("Goodbye.", speech=Recorded("agent-hello")),), hears=(BYE,))
SPEECH = ((1.0, 2.0),)  #: the turn is committed at its end
HANGS_UP_AT = 2.2


def transcribing(delay_s: float = 1.0, **how: object) -> Behaviour:
    given = Transcribing(delay_s=delay_s, **how)  # type: ignore[arg-type]
    return Behaviour(vad=ScriptedVad(speech=SPEECH), transcribing=given, pace=Pace(created_s=0.1, first_delta_s=0.5))


async def hang_up_at(it: Rig, at_s: float = HANGS_UP_AT) -> float:
    """Run a call whose user hangs up; return when the media were let go."""
    line = await it.carrier.call(it.engine.url, [Say(At(0.5), ulaw("caller-hello-it")), HangUp(At(at_s))])
    assert line is not None
    let_go_at = trio.current_time()
    assert let_go_at - line.began_at < at_s + 0.1, "the media are let go at once"
    return let_go_at


async def test_the_users_last_words_are_waited_for(autojump_clock: MockClock) -> None:
    """Their transcription arrives 0.8 s after the hang-up: recorded and reported; no reply is generated meanwhile."""
    async with rig(SCRIPT, transcribing()) as it:
        let_go_at = await hang_up_at(it)
        await it.session.ended.wait()
        assert 0.7 < trio.current_time() - let_go_at < 1.0
        await it.engine.drain()
        nothing_is_left(it)
    assert [line.text for line in it.report.transcript] == [BYE]
    assert [line["text"] for line in it.records()[0]["transcript"]] == [BYE]
    assert [fact.text for fact in it.facts_of(UserSaid)] == [BYE]
    assert isinstance(it.facts[-1], CallEnded)
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert it.report.duration_s == pytest.approx(HANGS_UP_AT, abs=0.05)
    assert [request["type"] for request in it.session.requests].count("response.cancel") == 1


async def test_a_reply_that_begins_after_the_hang_up_is_cancelled(autojump_clock: MockClock) -> None:
    """The session is kept for the user's transcript; what it generates meanwhile is not played."""
    behaviour = attrs.evolve(transcribing(), pace=Pace(created_s=0.4, first_delta_s=0.5))
    async with rig(SCRIPT, behaviour) as it:
        await hang_up_at(it)
        await it.engine.drain()
    assert [line.text for line in it.report.transcript] == [BYE]
    assert len(it.session.session.responses) == 1
    assert [request["type"] for request in it.session.requests].count("response.cancel") == 1


@pytest.mark.parametrize("delay_s", [1.6, 3.0, 60.0])
async def test_words_that_come_too_late_are_not_waited_for_longer(autojump_clock: MockClock, delay_s: float) -> None:
    """1.5 s at most: everything of a call is over within two."""
    async with rig(SCRIPT, transcribing(delay_s + 0.2)) as it:
        let_go_at = await hang_up_at(it)
        await it.session.ended.wait()
        assert 1.4 < trio.current_time() - let_go_at < 1.7
        await it.engine.drain()
        nothing_is_left(it)
    assert [line.text for line in it.report.transcript] == [None]


async def test_words_that_will_never_come_are_not_waited_for(autojump_clock: MockClock) -> None:
    """The provider says so: it could not make them out."""
    async with rig(SCRIPT, transcribing(0.5, failed=frozenset({1}))) as it:
        let_go_at = await hang_up_at(it)
        await it.session.ended.wait()
        assert 0.2 < trio.current_time() - let_go_at < 0.5
        await it.engine.drain()


async def test_where_nothing_is_missing_the_session_closes_at_once(autojump_clock: MockClock) -> None:
    """Also where the setting says not to wait, and where the session is what ended."""
    async with rig(SCRIPT, transcribing(0.1)) as it:
        let_go_at = await hang_up_at(it)
        await it.session.ended.wait()
        assert trio.current_time() - let_go_at < 0.1
        await it.engine.drain()
    host = HostSettings(call=CallSettings(words_wait_s=0.0))
    async with rig(SCRIPT, transcribing(), host=host) as it:
        let_go_at = await hang_up_at(it)
        await it.session.ended.wait()
        assert trio.current_time() - let_go_at < 0.1
        await it.engine.drain()
    dies = Behaviour(
        vad=ScriptedVad(speech=SPEECH),
        transcribing=Transcribing(delay_s=5.0),
        endings=(Ending(how=End.CUT, at_s=HANGS_UP_AT),),
    )
    async with rig(SCRIPT, dies) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(20.0))])
            await trio.sleep(HANGS_UP_AT - 0.5)
            await it.carrier.lines[0].over.wait()  # behind it the carrier still says its apology
            assert trio.current_time() - it.carrier.lines[0].began_at < HANGS_UP_AT + 0.5
        await it.engine.drain()
    assert it.report.outcome is EndCause.SESSION_LOST


# --- lines while the call runs --------------------------------------------------------------

TALK = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-you-are-next"))),
    hears=("first?", "second?"),
)
STEPS = (Say(At(1.5), ulaw("caller-hello-it")), Say(At(8.0), ulaw("caller-hello-it")), HangUp(At(15.0)))


def lines_on_disk(it: Rig) -> list[str]:
    found = [bytes(data) for path, data in it.simulated.files.files.items() if path.name == "transcript.jsonl"]
    return [json.loads(line)["text"] for line in (found[0] if found else b"").splitlines()]


async def test_each_line_is_on_the_disk_when_it_is_final(autojump_clock: MockClock) -> None:
    """While the call runs there is no record and a growing transcript; then both are whole and in order."""
    async with rig(TALK, agent__first_message="Hello.") as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.carrier.call, it.engine.url, STEPS)
        for _ in range(140):
            await trio.sleep(0.1)
            said = [fact.text for fact in it.facts if isinstance(fact, AgentSaid | UserSaid) and fact.text]
            assert said[: len(lines_on_disk(it))] == lines_on_disk(it)
            assert len(said) - len(lines_on_disk(it)) <= 1, "a crash would cost more than a turn"
            assert it.records() == []
            assert it.simulated.files.syncs > 0 or not lines_on_disk(it)
        running = lines_on_disk(it)
        assert running == said
        assert len(running) >= 4
    whole = [line.text for line in it.report.transcript]
    assert not Counter(running) - Counter(filter(None, whole))
    assert lines_on_disk(it) == whole


def stretches(line: Line) -> list[tuple[float, bytes]]:
    """What the user heard without a gap, and when it began."""
    found: list[tuple[float, bytes]] = []
    end = -1.0
    for each in line.playout.heard:
        if abs(each.began_at - end) < 0.001:
            found[-1] = (found[-1][0], found[-1][1] + each.audio)
        else:
            found.append((round(each.began_at - line.began_at, 3), each.audio))
        end = each.began_at + len(each.audio) / 8000
    return found


@pytest.mark.parametrize(
    "trouble",
    [DiskFault(takes_s=5.0), DiskFault(takes_s=300.0), DiskFault(fails_with=errno.ENOSPC)],
    ids=["slow", "hanging", "full"],
)
async def test_a_bad_disk_never_touches_the_audio(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, trouble: DiskFault
) -> None:
    """The user hears the same bytes at the same moments; what the disk did not take meanwhile is in the record."""
    heard: list[list[tuple[float, bytes]]] = []  # stretches without a gap, and when they began
    for now in (DiskFault(), trouble):
        async with rig(TALK, agent__first_message="Hello.", server__record_audio=True) as it:
            it.simulated.files.fault = now
            line = await it.carrier.call(it.engine.url, STEPS)
            assert line is not None
            heard.append(stretches(line))
            it.simulated.files.fault = DiskFault()
            await trio.sleep(700.0)
            await it.engine.drain()
        assert [entry["text"] for entry in it.records()[0]["transcript"]] == [
            each.text for each in it.report.transcript
        ]
        assert lines_on_disk(it) == [each.text for each in it.report.transcript]
    assert heard[0] == heard[1]
    lines = [record.getMessage() for record in caplog.records if "its transcript cannot be written" in record.msg]
    assert len(lines) == (1 if trouble.fails_with else 0)
    assert all("transcript.jsonl" in line for line in lines)


async def test_a_file_that_opens_too_late_does_not_replace_the_whole_one(autojump_clock: MockClock) -> None:
    """The disk needs longer to open it than the call takes, and writes the record meanwhile."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        opens, files = it.simulated.files.open_file, it.simulated.files

        def late(path: Path, *, begins_with: bytes = b"", is_new: bool = False) -> object:
            files.history.append(FileWrite(path, 0, b"asked to open"))
            return opens(path, begins_with=begins_with, is_new=is_new)

        files.open_file = late  # type: ignore[method-assign, assignment]
        work = files.work

        async def slow_to_open() -> None:
            if files.history and files.history[-1].data == b"asked to open":
                files.history.append(FileWrite(Path("x"), 0, b""))
                with trio.CancelScope(shield=True):
                    await trio.sleep(60.0)
            await work()

        files.work = slow_to_open  # type: ignore[method-assign]
        await it.carrier.call(it.engine.url, STEPS)
        await trio.sleep(100.0)
        await it.engine.drain()
    assert lines_on_disk(it) == [line.text for line in it.report.transcript]
    assert len(lines_on_disk(it)) >= 4
