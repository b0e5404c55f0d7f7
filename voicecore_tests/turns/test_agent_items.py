"""Items of the agent on their way: one stage each, whatever comes in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.agent_items import NEXT_ITEM_STAGE, AgentItems, ItemMove, ItemStage, SpeechStage
from voicecore.turns.first_message.message import FirstMessagePolicy, Message
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.settings import ConversationSettings
from voicecore_tests.turns.first_message.pickup import DOES_ALL, RECORDED, Pickup
from voicecore_tests.turns.talking import Talk as Call

SECOND = b"\x22" * 8000
OVER = {ItemStage.PLAYED, ItemStage.CUT, ItemStage.DELETED}


def test_every_pair_of_stage_and_move_is_listed() -> None:
    """Nothing can happen to an item that the table does not answer."""
    assert set(NEXT_ITEM_STAGE) == set(ItemStage)
    assert all(set(moves) == set(ItemMove) for moves in NEXT_ITEM_STAGE.values())


def test_an_item_is_over_once() -> None:
    """Nothing but more audio brings an item back that was played, cut or deleted."""
    for stage in OVER:
        assert {NEXT_ITEM_STAGE[stage][move] for move in ItemMove} - {stage} == {ItemStage.QUEUED}
        assert NEXT_ITEM_STAGE[stage][ItemMove.AUDIO] is ItemStage.QUEUED


@pytest.mark.parametrize(
    ("moves", "stage"),
    [
        ([], ItemStage.NAMED),
        ([ItemMove.AUDIO, ItemMove.SENT, ItemMove.PLAYED], ItemStage.PLAYED),
        ([ItemMove.AUDIO, ItemMove.CUT, ItemMove.SENT], ItemStage.CUT),
        ([ItemMove.AUDIO, ItemMove.DELETED], ItemStage.QUEUED),
        ([ItemMove.DELETED, ItemMove.SENT], ItemStage.DELETED),
    ],
)
def test_the_plain_ways_of_an_item(moves: list[ItemMove], stage: ItemStage) -> None:
    """Played; cut while it is written; silenced with audio in hand, and without."""
    items = AgentItems()
    item = items.named("r1", "a1")
    for move in moves:
        items.move(item, move)
    assert item.stage is stage


@given(st.lists(st.tuples(st.sampled_from(["a1", "a2", "a3"]), st.sampled_from(ItemMove)), max_size=40))
def test_what_can_be_heard_is_what_was_sent_and_is_not_over(moves: list[tuple[str, ItemMove]]) -> None:
    """The list of audible items is always that of the items in this stage; a cut leaves none."""
    items = AgentItems()
    for item_id, move in moves:
        items.move(items.named("r1", item_id), move)
        known = [found for name in ("a1", "a2", "a3") if (found := items.find(name)) is not None]
        sent = {item.item_id for item in known if item.stage is ItemStage.SENT}
        assert {item.item_id for item in items.audible()} == sent
        assert items.response("r1").is_in_hand == any(item.is_in_hand for item in known)
    items.cut()
    assert list(items.audible()) == []


def test_an_item_belongs_to_the_response_that_named_it_first() -> None:
    """A second response that uses the same id does not take it over."""
    items = AgentItems()
    first = items.named("r1", "a1")
    assert items.named("r2", "a1") is first
    assert (first.response.response_id, list(items.response("r2").items)) == ("r1", [])


def test_a_response_is_done_once_and_says_why_it_fell_short() -> None:
    """The first reason stays; before any audio there is nothing to fall short of."""
    response = AgentItems().response("r1")
    response.fell_short("too early")
    assert [response.audio(), response.audio()] == [True, False]
    response.fell_short("failed: overloaded")
    response.fell_short("lost")
    assert (response.done(), response.stage, response.done()) == ("failed: overloaded", SpeechStage.DONE, "")


def test_audio_that_was_being_written_when_it_was_cut_is_not_audible() -> None:
    """A slow socket: the first frame is still being written while the user begins to speak, and the session yields.

    Nothing plays, so the user's next words find nothing that they could interrupt.
    """
    call = Call(ConversationSettings(), DOES_ALL)
    call.hears(ev.UserSpeechStopped("u0", 0), ev.UserTurnCommitted("u0"), ev.ResponseStarted("r1"))
    call.hears(ev.AgentAudio("r1", "a1", SECOND))
    being_written = call.machine.due(call.now)[0]
    call.hears(ev.UserSpeechStarted("u1", 0))
    call.take(call.machine.sent(being_written, call.now))
    assert call.told(facts.FirstAudioSent) == []
    call.passes(0.5)
    call.hears(ev.UserSpeechStopped("u1", 0), ev.UserSpeechStarted("u2", 0))
    assert call.told(facts.BargeInConfirmed) == []


def test_a_voicemail_message_of_ours_is_an_item_of_its_own() -> None:
    """Both the greeting and the message for the machine are recordings: each has its line and its facts."""
    call = Pickup(FirstMessagePolicy(), message=RECORDED)
    call.ready()
    call.passes(0.5)
    call.take(call.machine.leave_message(Message("Please call back.", SECOND), call.now))
    call.passes(2.0)
    lines = [(line.text, line.interrupted) for line in call.machine.speech.transcript.lines()]
    assert lines == [("Welcome", True), ("Please call back.", False)]
    assert (call.told(facts.FirstAudioReceived), call.told(facts.FirstAudioSent)) == (2, 2)
    assert [opening.purpose for opening in call.machine.openings] == [Purpose.FIRST, Purpose.MACHINE]
