"""Strategies: is what the user says over the agent meant to stop it?

Rule 1: a strategy is a pure function of the evidence.  It keeps nothing between
two questions, so that one object may serve every call at once, and any decision
can be made again from its evidence.
Rule 2: it is asked again with each new piece of evidence, and ten times a second
while the user speaks; "undecided" costs nothing, "not yet" keeps those behind it
from deciding.

A program's own strategy is any object with a name and such a `judge`.
"""

from __future__ import annotations

import enum
from typing import Protocol, runtime_checkable

import attrs

from voicecore import kinds
from voicecore.facts import SpeechEvidence

_SLACK_S = 1e-6  #: of sums of seconds


class BargeInJudgement(enum.Enum):
    """What a strategy says."""

    STOP = "stop"  #: the agent is to be stopped
    GO_ON = "go on"  #: the agent is to talk on
    UNDECIDED = "undecided"
    NOT_YET = "not yet"  #: undecided, and those behind this strategy are not to decide either


@runtime_checkable
class BargeInStrategy(Protocol):
    """One way to tell a barge-in from a noise."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        """Say what the evidence means. Must not block; an exception counts as undecided, and is reported."""
        ...


@attrs.frozen
class MinSpeech:
    """Stops the agent once the user has spoken for so many seconds; needs no words."""

    seconds: float = attrs.field(default=0.6, validator=kinds.seconds(0.02, 60))
    """Speech that stops the agent."""

    @property
    def name(self) -> str:
        """What records call it."""
        return f"speech of {self.seconds:g} s"

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        """See `BargeInStrategy`."""
        return BargeInJudgement.STOP if evidence.speech_s + _SLACK_S >= self.seconds else BargeInJudgement.UNDECIDED


@attrs.frozen
class MinWords:
    """Stops the agent at so many words; complete words that are fewer do not.

    Words are what spaces separate; where a script has none, two characters count as one word.
    """

    count: int = attrs.field(default=2, validator=kinds.whole(1, 20))
    """Words that stop the agent."""

    @property
    def name(self) -> str:
        """What records call it."""
        return f"{self.count} words"

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        """See `BargeInStrategy`."""
        if evidence.words is None:  # a transcription that failed says nothing about what was said
            return BargeInJudgement.UNDECIDED
        if _words(evidence.words) >= self.count:
            return BargeInJudgement.STOP
        return BargeInJudgement.GO_ON if evidence.words_complete else BargeInJudgement.UNDECIDED


@attrs.frozen
class Backchannels:
    """Lets the agent talk on over words that only show that the user listens; asked before the others, it decides.

    However many of them follow each other, in one sound or in several.
    """

    phrases: tuple[str, ...] = attrs.field(
        default=("mm-hm", "uh-huh", "mhm", "hm", "yes", "yeah", "okay", "ok", "right"),
        validator=kinds.many(kinds.TEXT, at_least=1),
    )

    @property
    def name(self) -> str:
        """What records call it."""
        return "backchannels"

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        """See `BargeInStrategy`."""
        said = _folded(evidence.words or "")
        is_backchannel = bool(said) and self._are_backchannels(said, half=not evidence.words_complete)
        if not is_backchannel:
            return BargeInJudgement.UNDECIDED
        return (
            BargeInJudgement.GO_ON if evidence.words_complete else BargeInJudgement.NOT_YET
        )  # the rest may be one more

    def _are_backchannels(self, said: list[str], *, half: bool) -> bool:
        """Whether the words are phrases of the list, one behind the other; ``half``: the last may be a beginning."""
        phrases = [words for phrase in self.phrases if (words := _folded(phrase))]
        reached = {0}  # how many words are accounted for, in every way there is
        for at in range(len(said)):
            if at in reached:
                reached |= {at + len(words) for words in phrases if said[at : at + len(words)] == words}
                if half and any(_begins(said[at:], words) for words in phrases):
                    return True
        return len(said) in reached


@attrs.frozen
class AgentEcho:
    """On a line with echo: lets the agent talk on over its own words, come back as if the user had said them.

    Shorter replies are never taken for an echo: "yes" after "is that a yes?" is an answer.
    """

    at_least: int = attrs.field(default=4, validator=kinds.whole(4))
    """Words in a row that the agent has just said."""

    @property
    def name(self) -> str:
        """What records call it."""
        return "the agent's own words"

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        """See `BargeInStrategy`."""
        said, agents = _folded(evidence.words or ""), _folded(evidence.agent_words)
        if not evidence.words_complete:  # they may become an echo; the last word may be half of one
            return BargeInJudgement.NOT_YET if _runs(said, agents, half=True) else BargeInJudgement.UNDECIDED
        echo = len(said) >= self.at_least and _runs(said, agents)
        return BargeInJudgement.GO_ON if echo else BargeInJudgement.UNDECIDED


def _runs(said: list[str], agents: list[str], *, half: bool = False) -> bool:
    """Whether the words, one at least, stand in a row in the agent's; ``half``: of the last one a beginning will do."""
    rows = (agents[at : at + len(said)] for at in range(len(agents) - len(said) + 1))
    return bool(said) and any(
        row[:-1] == said[:-1] and (row[-1].startswith(said[-1]) if half else row[-1] == said[-1]) for row in rows
    )


def _begins(said: list[str], words: list[str]) -> bool:
    """Whether the words so far, of which the last may be half of one, are how a phrase begins."""
    whole, last = said[:-1], said[-1]
    return len(said) <= len(words) and words[: len(whole)] == whole and words[len(whole)].startswith(last)


def _folded(text: str) -> list[str]:
    folded = (word.strip(".,!?…;:\"'()–—-").casefold() for word in text.split())
    return [word for word in folded if word]


def _words(text: str) -> int:
    spaced = sum(any(map(str.isalnum, word)) for word in text.split())
    unspaced = sum("\u3040" <= character <= "\u9fff" or "\u0e00" <= character <= "\u0eff" for character in text)
    return max(spaced, (unspaced + 1) // 2)
