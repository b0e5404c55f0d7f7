"""One sentence on a message that was in danger: what threatened it, and what became of it.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from voicecore.facts import MessageOutcome

_FATES = {
    MessageOutcome.INTERRUPTED: "the user cut it, as was allowed",
    MessageOutcome.UNDELIVERED: "it was not delivered",
    MessageOutcome.DROPPED: "it was dropped before it was heard",
}


@attrs.frozen(kw_only=True)
class Dangers:
    """What threatened a message."""

    user_spoke_s: float | None = None
    """When the user first spoke before it was heard, from pick-up."""
    lockout_refused: bool = False
    """The provider's lockout was asked for and is not known to be in force."""
    losses: Sequence[str] = ()
    """Why tries were lost."""
    restore_unacknowledged: bool = False
    """The provider did not confirm that it detects turns again."""


def verdict(name: str, outcome: MessageOutcome, heard_s: float | None, protected_by: str, dangers: Dangers) -> str:
    """Return the sentence; empty where nothing was in danger."""
    threats = []
    if dangers.user_spoke_s is not None:
        threats.append(f"the user spoke {dangers.user_spoke_s:.2f} s after pick-up")
    if dangers.lockout_refused:
        threats.append("the provider's lockout was not in force")
    threats += [f"a try was lost ({loss})" for loss in dangers.losses]
    if dangers.restore_unacknowledged:
        threats.append("the provider did not confirm the real turn detection")
    if not threats and outcome in {MessageOutcome.HEARD, MessageOutcome.DROPPED}:
        return ""
    heard = outcome is MessageOutcome.HEARD and heard_s is not None
    end = f"it was heard whole {heard_s:.2f} s after pick-up" if heard else _FATES.get(outcome, "it was heard whole")
    because = f"{_listed(threats)}; " if threats else ""
    return f"The {name}, protected by {protected_by}: {because}{end}."


def _listed(threats: Sequence[str]) -> str:
    return threats[0] if len(threats) == 1 else f"{', '.join(threats[:-1])} and {threats[-1]}"
