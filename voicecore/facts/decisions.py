"""Barge-in decisions, with the evidence that each was based on.

Rule: the evidence is complete, so that a decision can be made again with other
settings; see `voicecore.turns.barge_in.policy.decide_again`.

Level 0. turns/barge_in/machine.py makes them; they are part of the report.
"""

from __future__ import annotations

import enum

import attrs


@attrs.frozen(kw_only=True)
class SpeechEvidence:
    """What is known about the user's speech over the agent at one moment."""

    waited_s: float
    """Time since the onset was received."""
    speech_s: float
    """How long the user has spoken so far, pauses excluded."""
    speaking: bool
    """Whether the user is still speaking."""
    words: str | None = None
    """The words so far; they may change until complete. None: unknown."""
    words_complete: bool = False
    """Whether everything said so far has been transcribed."""
    agent_audible_s: float = 0.0
    """How long the agent had been audible at the onset."""
    agent_words: str = ""
    """The words that the agent is saying."""


class BargeInOutcome(enum.Enum):
    """The result of a decision on user speech over the agent."""

    CONFIRMED = "confirmed"  #: the agent is stopped
    DISMISSED = "dismissed"  #: the agent keeps talking, and the speech is not answered
    OVERTAKEN = "overtaken"  #: the agent finished first; the speech is an ordinary turn


@attrs.frozen(kw_only=True)
class BargeInDecision:
    """One decision; ``at_s`` is the time of its onset, since the call began."""

    at_s: float
    items: tuple[str, ...]
    """The user items that it is about, usually one."""
    outcome: BargeInOutcome
    decided_by: str
    """The strategy that decided; or "onset", "gate", "time", "the agent's end"."""
    took_s: float
    evidence: tuple[SpeechEvidence, ...]
    """In order; the last one decided."""
