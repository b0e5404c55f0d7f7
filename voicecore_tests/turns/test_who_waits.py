"""Whose turn it is, as the machines have it: whether anything goes on, and whether the user waits for the agent."""

from __future__ import annotations

import attrs

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import MinWords
from voicecore.turns.idle import IdlePolicy
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.waiting_sound import WaitingSound
from voicecore_tests.turns.first_message.pickup import DOES_ALL
from voicecore_tests.turns.talking import Talk

LISTENS = attrs.evolve(DOES_ALL, replies=False, interrupts=False)
SECOND = b"\x22" * 8000


def agent_says(talk: Talk, audio: bytes) -> None:
    talk.hears(ev.ResponseStarted("r1"), ev.AgentAudio("r1", "a1", audio))
    talk.hears(ev.AgentAudioEnded("r1", "a1"))
    talk.hears(ev.ResponseEnded(response_id="r1", status=ev.ResponseStatus.COMPLETED))


def test_a_noise_whose_turn_comes_behind_the_agents_words_leaves_nobody_waiting() -> None:
    """It did not stop the agent, so it gets no answer: the line is quiet, and a silent user is prompted."""
    policy = BargeInPolicy(strategies=(MinWords(2),), confirm_s=0.3)
    settings = ConversationSettings(barge_in=policy, idle=IdlePolicy(after_s=5.0), waiting=WaitingSound(SECOND, 2.0))
    talk = Talk(settings, LISTENS)
    agent_says(talk, SECOND)
    talk.passes(0.2)
    talk.hears(ev.UserSpeechStarted("u1", 0), ev.UserSpeechStopped("u1", 200))
    talk.passes(2.0)
    assert talk.told(facts.BargeInDismissed) != []
    talk.hears(ev.UserTurnCommitted("u1"))
    assert (talk.machine.taking.is_quiet, talk.machine.taking.is_agent_awaited) == (True, False)
    talk.passes(4.0)
    assert not any(isinstance(order, ev.PlayAudio) and order.item_id.startswith("waiting") for order in talk.wire)
    talk.passes(1.5)
    assert talk.told(facts.IdlePrompted) != []


def test_a_user_who_coughs_while_waiting_still_waits() -> None:
    """A sound of which no turn comes begins the wait anew, and does not end it."""
    talk = Talk(ConversationSettings(waiting=WaitingSound(SECOND, 2.0)), LISTENS)
    talk.hears(ev.UserSpeechStarted("u1", 0), ev.UserSpeechStopped("u1", 200), ev.UserTurnCommitted("u1"))
    talk.passes(1.0)
    talk.hears(ev.UserSpeechStarted("u2", 1000))
    assert not talk.machine.taking.is_agent_awaited
    talk.hears(ev.UserSpeechStopped("u2", 1200))
    talk.passes(2.5)
    assert any(isinstance(order, ev.PlayAudio) and order.item_id.startswith("waiting") for order in talk.wire)


def test_a_call_that_is_over_decides_nothing() -> None:
    """Whatever still comes: user audio, a session that opened late, an answering machine that was recognized."""
    talk = Talk(ConversationSettings(), LISTENS)
    talk.ends()
    machine = talk.machine
    assert (machine.user_audio(bytes(160), 1.0), machine.session_ready(LISTENS, 1.0)) == ([], [])
    assert (machine.expire(99.0), machine.deadline()) == ([], None)
