"""A call as it happens: one clock, words with the time they were spoken, and what became of an early hello."""

from __future__ import annotations

import io

from voicecore import facts
from voicecore.cli.live import HEAD, LivePrinter

CALL = "call_1"


def shown(*told: facts.Fact) -> list[str]:
    """The lines of one call, without the head."""
    out = io.StringIO()
    printer = LivePrinter(out)
    for fact in told:
        printer(CALL, fact)
    head, *lines = out.getvalue().splitlines()
    assert head == HEAD
    return lines


def began(at_s: float = 0.0) -> facts.CallBegan:
    return facts.CallBegan(at_s, CALL, "+15550100001", "+15550100002", 2.0)


async def test_times_before_pick_up_are_marked_as_such() -> None:
    """In brackets while it rings, without after pickup, so that the two clocks cannot be confused."""
    dialling, ringing, picked_up = shown(facts.Dialling(0.0, CALL, "+1555"), facts.Ringing(0.5), began())
    assert dialling.split()[0] == "(0.00)"
    assert ringing.split()[:1] == ["(0.50)"]
    assert picked_up.split()[:1] == ["0.00"]


async def test_words_say_when_they_were_spoken() -> None:
    """The user's come half a second after the turn, the agent's when it has ended."""
    lines = shown(
        began(),
        facts.UserStarted(8.4, "item_1", 8.3),
        facts.UserStopped(10.0, "item_1", 10.0, 0.5),
        facts.UserTurn(10.0, "item_1"),
        facts.FirstAudioSent(10.3, "resp_1", "item_2", 0.3),
        facts.UserSaid(10.5, "item_1", "hello"),
        facts.AgentSaid(11.1, "item_2", "Hi.", interrupted=False),
    )
    assert any("ends the turn: silent since 9.50" in line for line in lines)
    assert any("10.50" in line and "[8.40–9.50] “hello”" in line for line in lines)
    assert any("11.10" in line and "[10.30–11.10] “Hi.”" in line for line in lines)


async def test_a_hello_over_the_first_message_is_shown_with_what_becomes_of_it() -> None:
    """When it is spoken; when the agent gets it; its words with the moment that they belong to."""
    lines = shown(
        began(),
        facts.SpokeOverMessage(0.2, kept=True),
        facts.ProtectionEnded(5.7),
        facts.UserStarted(5.72, "item_1", 0.21),
        facts.UserStopped(5.72, "item_1", 0.9, 0.5),
        facts.UserTurn(5.72, "item_1"),
        facts.UserSaid(6.2, "item_1", "hello?"),
        facts.UserStarted(8.0, "item_2", 7.9),
    )
    assert [line.split(maxsplit=2)[2] for line in lines[1:]] == [
        "speaks over the message: buffered, the message goes on",
        "protection ended: the agent now gets what was said at 0.20",
        "what was said at 0.20 is a turn",
        "[0.20] “hello?”",
        "begins to speak",
    ]


async def test_what_is_not_kept_is_said() -> None:
    """A user who is dropped on purpose is shown too."""
    lines = shown(began(), facts.SpokeOverMessage(0.2, kept=False), facts.ProtectionEnded(5.7))
    assert "ignored" in lines[1]
    assert "the agent listens again" in lines[2]


async def test_a_reader_that_leaves_ends_the_showing_alone() -> None:
    """Nothing is raised into the engine; `gone` is set."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    printer = LivePrinter(Gone())
    printer(CALL, began())
    assert printer.gone.is_set()
