"""A decision about user speech over the agent, with what it was made from.

Rule: the evidence is kept whole, so that the decision can be made again with
other settings; see `voicecore.turns.barge_in.policy.decide_again`.

Level 0.  Made in turns/barge_in/machine.py; part of the report.
"""

from __future__ import annotations

import enum

import attrs


@attrs.frozen(kw_only=True)
class SpeechEvidence:
    """What is known of the user's speech over the agent at one moment."""

    waited_s: float
    """Since the onset was read."""
    speech_s: float
    """How long the user has spoken, without the pauses, up to now or to the end of it."""
    speaking: bool
    """Whether the user still speaks."""
    words: str | None = None
    """What is known of the words; may change until they are complete. None: nothing, or they stay unknown."""
    words_complete: bool = False
    """Everything that was said so far is known."""
    agent_audible_s: float = 0.0
    """For how long the agent's words had been audible at the onset."""
    agent_words: str = ""
    """What the agent is saying."""


class BargeInOutcome(enum.Enum):
    """What became of user speech over the agent."""

    CONFIRMED = "confirmed"  #: the agent is stopped
    DISMISSED = "dismissed"  #: the agent talks on, and nobody answers what was said
    OVERTAKEN = "overtaken"  #: the agent's words ended first: it is a turn like any other


@attrs.frozen(kw_only=True)
class BargeInDecision:
    """One decision; ``at_s`` counts since the call began, for the onset that it is about."""

    at_s: float
    items: tuple[str, ...]
    """What the user said, or will have said: usually one item."""
    outcome: BargeInOutcome
    decided_by: str
    """The strategy that decided; or "onset", "gate", "time", "the agent's end"."""
    took_s: float
    evidence: tuple[SpeechEvidence, ...]
    """In the order in which it came; the last one decided."""
