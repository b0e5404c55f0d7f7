"""The strategies that come with the engine: which words, and how much speech, stop the agent."""

from __future__ import annotations

from functools import reduce
from operator import add

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import ConfigError
from voicecore.facts import SpeechEvidence
from voicecore.turns.barge_in.strategies import (
    AgentEcho,
    Backchannels,
    BargeInJudgement,
    BargeInStrategy,
    MinSpeech,
    MinWords,
)

STOP, GO_ON, UNDECIDED, NOT_YET = BargeInJudgement
TICK_S = 0.001
AGENTS = "Your table is booked for eight, is that right? Yes or no."


def spoken(seconds: float, *, speaking: bool = True) -> SpeechEvidence:
    return SpeechEvidence(waited_s=seconds, speech_s=seconds, speaking=speaking)


def said(words: str, *, complete: bool = True, agents: str = AGENTS) -> SpeechEvidence:
    return SpeechEvidence(
        waited_s=1.0, speech_s=0.5, speaking=False, words=words, words_complete=complete, agent_words=agents
    )


# --- how long ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, UNDECIDED), (0.6 - TICK_S, UNDECIDED), (0.6, STOP), (0.6 + TICK_S, STOP)], ids=str
)
@pytest.mark.parametrize("speaking", [True, False], ids=["speaking", "silent"])
def test_speech_stops_the_agent_once_it_has_lasted(seconds: float, expected: BargeInJudgement, speaking: bool) -> None:
    """From nothing to a tick beyond; also where it is over meanwhile."""
    assert MinSpeech(0.6).judge(spoken(seconds, speaking=speaking)) is expected


def test_speech_that_is_short_by_a_rounding_has_lasted() -> None:
    """A sum of ticks must not cost another tick."""
    speech_s = reduce(add, [0.1] * 8)  # sum() makes up for the rounding, from Python 3.12 on
    assert speech_s < 0.8
    assert MinSpeech(0.8).judge(spoken(speech_s)) is STOP


def test_speech_needs_no_words_and_never_lets_the_agent_talk_on() -> None:
    """Short speech may still become long, and others may know more."""
    assert MinSpeech(0.6).judge(attrs.evolve(said("no"), speech_s=0.5)) is UNDECIDED
    assert MinSpeech(0.5).judge(attrs.evolve(said("yes"), speech_s=0.5)) is STOP


# --- how many words ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complete", "expected"),
    [
        ("", False, UNDECIDED),
        ("  ", False, UNDECIDED),
        ("wait", False, UNDECIDED),
        ("wait please", False, STOP),
        ("wait\tplease\n", False, STOP),
        ("wait please now", False, STOP),
        ("", True, GO_ON),
        ("wait", True, GO_ON),
        ("wait please", True, STOP),
    ],
)
def test_so_many_words_stop_the_agent_and_fewer_do_not(words: str, complete: bool, expected: BargeInJudgement) -> None:
    """Words that may still change decide only where they are enough; complete ones decide either way."""
    assert MinWords(2).judge(said(words, complete=complete)) is expected


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("待", 1),
        ("待って", 2),
        ("待ってください", 4),
        ("请等一下", 2),
        ("รอก่อน", 3),
        ("ລໍຖ້າ", 3),
        ("잠깐 기다려", 2),
        ("wait 等一下", 2),
        ("ok", 1),
    ],
)
def test_where_a_script_has_no_spaces_two_characters_are_a_word(words: str, count: int) -> None:
    """Japanese, Chinese, Thai and Lao; Korean has spaces, and mixed text counts as what is more."""
    assert MinWords(count).judge(said(words, complete=False)) is STOP
    assert MinWords(count + 1).judge(said(words, complete=False)) is UNDECIDED
    assert MinWords(count + 1).judge(said(words)) is GO_ON


@given(st.text(max_size=30), st.text(max_size=10), st.integers(1, 6))
def test_more_words_never_take_a_stop_back(words: str, more: str, count: int) -> None:
    """A transcript that only grows cannot undo what it has decided."""
    if MinWords(count).judge(said(words, complete=False)) is STOP:
        assert MinWords(count).judge(said(words + more, complete=False)) is STOP


# --- backchannels -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["yes", "Yes.", "MM-HM", " mm-hm… ", "Okay!", "ok,", "Right?"])
def test_d24_a_murmur_lets_the_agent_talk_on(words: str) -> None:
    """However it is written."""
    assert Backchannels().judge(said(words)) is GO_ON


@pytest.mark.parametrize("words", ["", "...", "yes please stop", "no", "yesterday", "okay yes but"])
def test_words_that_mean_more_are_left_to_the_others(words: str) -> None:
    """Only a phrase of the list and nothing else is a backchannel; no words are none."""
    assert Backchannels().judge(said(words)) is UNDECIDED


@pytest.mark.parametrize("words", ["mm-hm yes", "Yes, yes. Okay!", "ok ok ok ok", "of course yes of course"])
def test_d24_murmurs_in_a_row_are_murmurs(words: str) -> None:
    """In one sound or in several, which the evidence joins."""
    murmurs = Backchannels((*Backchannels().phrases, "of course", "of"))
    assert murmurs.judge(said(words)) is GO_ON
    assert murmurs.judge(said(f"{words} but wait")) is UNDECIDED


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("yes", NOT_YET),
        ("mm-hm ye", NOT_YET),
        ("mm-hm of", NOT_YET),
        ("mm-hm yesterday", UNDECIDED),
        ("wait", UNDECIDED),
    ],
)
def test_words_that_may_become_murmurs_keep_others_from_deciding(words: str, expected: BargeInJudgement) -> None:
    """The second "yes" is on its way while the first "mm-hm" is known: one word must not stop the agent meanwhile."""
    assert Backchannels((*Backchannels().phrases, "of course")).judge(said(words, complete=False)) is expected


def test_a_murmur_that_may_still_go_on_is_none() -> None:
    """ "Yes" may become "yes but wait"."""
    assert Backchannels().judge(said("yes", complete=False)) is NOT_YET


def test_the_list_of_murmurs_is_the_program_s() -> None:
    """In its language; upper case and lower case are alike."""
    assert Backchannels(("Genau", "STRASSE")).judge(said("genau.")) is GO_ON
    assert Backchannels(("Genau", "STRASSE")).judge(said("Straße")) is GO_ON
    assert Backchannels(("Genau",)).judge(said("yes")) is UNDECIDED


# --- the agent's own words ---------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "table is booked for",
        "Your table is booked for eight, is that right",
        "is THAT right, yes",
        "that right yes or no",
    ],
)
def test_d12_the_agent_s_own_words_do_not_stop_it(words: str) -> None:
    """Words in a row that it has just said, whatever their case and stops."""
    assert AgentEcho().judge(said(words)) is GO_ON


@pytest.mark.parametrize("words", ["", "yes", "Yes.", "that right", "yes or no", "Booked for eight?"])
def test_d12_a_reply_of_three_words_is_never_an_echo(words: str) -> None:
    """ "Yes" after "yes or no" is an answer."""
    assert AgentEcho().judge(said(words)) is UNDECIDED


@pytest.mark.parametrize(
    "words", ["table was booked for eight", "booked table for eight", "is booked for eight no wait", "no no no no"]
)
def test_d12_other_words_are_no_echo(words: str) -> None:
    """Not in this order, not all of them, or with something added."""
    assert AgentEcho().judge(said(words)) is UNDECIDED


def test_d12_words_that_are_not_complete_may_go_on_otherwise() -> None:
    """ "Your table is booked" may become a correction; meanwhile nobody else decides, by the number of its words."""
    assert AgentEcho().judge(said("Your table is booked", complete=False)) is BargeInJudgement.NOT_YET
    assert AgentEcho().judge(said("Your tab", complete=False)) is BargeInJudgement.NOT_YET
    assert AgentEcho().judge(said("No, your table", complete=False)) is UNDECIDED


def test_d12_nothing_is_an_echo_of_an_agent_whose_words_are_not_known() -> None:
    """Nor of one that has said less."""
    for agents in ("", "is booked", "table is booked"):
        assert AgentEcho().judge(said("table is booked for", agents=agents)) is UNDECIDED


@given(st.lists(st.sampled_from(["yes", "no", "table", "eight"]), max_size=12), st.data())
def test_d12_exactly_what_stands_in_the_agent_s_words_is_an_echo(agents: list[str], data: st.DataObject) -> None:
    """Any run of four words or more; any shorter one is a reply."""
    begin = data.draw(st.integers(0, len(agents)))
    run = agents[begin : data.draw(st.integers(begin, len(agents)))]
    expected = GO_ON if len(run) >= 4 else UNDECIDED
    assert AgentEcho().judge(said(" ".join(run), agents=" ".join(agents))) is expected


# --- all of them -------------------------------------------------------------------------

STRATEGIES: list[BargeInStrategy] = [MinSpeech(), MinWords(), Backchannels(), AgentEcho()]
EVIDENCE = st.builds(
    SpeechEvidence,
    waited_s=st.floats(0.0, 60.0),
    speech_s=st.floats(0.0, 60.0),
    speaking=st.booleans(),
    words=st.one_of(st.sampled_from(["yes", "table is booked for eight", "待って"]), st.text(max_size=20)),
    words_complete=st.booleans(),
    agent_audible_s=st.floats(0.0, 60.0),
    agent_words=st.one_of(st.just(AGENTS), st.text(max_size=20)),
)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@given(asked=st.lists(EVIDENCE, min_size=1, max_size=8))
def test_the_same_evidence_gets_the_same_answer(strategy: BargeInStrategy, asked: list[SpeechEvidence]) -> None:
    """Whatever was asked in between, forwards or backwards: nothing is kept between two questions."""
    answers = [strategy.judge(evidence) for evidence in asked]
    assert [strategy.judge(evidence) for evidence in reversed(asked)] == answers[::-1]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_strategy_without_evidence_does_not_decide(strategy: BargeInStrategy) -> None:
    """The onset itself means nothing to any of them."""
    assert strategy.judge(SpeechEvidence(waited_s=0.0, speech_s=0.0, speaking=True)) is UNDECIDED


def test_records_call_a_strategy_by_what_it_asks_for() -> None:
    """Two of a kind are told apart by their settings."""
    named: list[BargeInStrategy] = [MinSpeech(0.6), MinSpeech(1.0), MinWords(3), Backchannels(), AgentEcho()]
    assert [strategy.name for strategy in named] == [
        "speech of 0.6 s",
        "speech of 1 s",
        "3 words",
        "backchannels",
        "the agent's own words",
    ]


def test_a_strategy_that_would_always_decide_is_refused() -> None:
    """No seconds, no words, no phrases."""
    for make in (lambda: MinSpeech(0.0), lambda: MinWords(0), lambda: Backchannels(()), lambda: AgentEcho(0)):
        with pytest.raises(ConfigError, match="must "):
            make()
