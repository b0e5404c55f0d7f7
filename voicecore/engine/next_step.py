"""What the carrier does next when a live call ends, by what ended it (`Ending.last`).

When the media stream of a live call is closed, the carrier goes on with what
follows it in its instructions: the apology, which is meant for calls that
cannot go on.  A call that we end on purpose is therefore hung up at the carrier
before its stream is closed.

Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from voicecore.facts import EndCause


class NextStep(enum.Enum):
    """What comes next at the carrier, on calls in both directions."""

    HANG_UP = "hang up"  #: we ask it to end the call, and close the media then
    APOLOGY = "apology"  #: we close the media, and it speaks the apology
    NOTHING = "nothing"  #: it has ended the call already, or never had media for it


NEXT_STEPS: Mapping[EndCause, NextStep] = {
    EndCause.HUNG_UP: NextStep.HANG_UP,
    EndCause.MACHINE_ANSWERED: NextStep.HANG_UP,
    EndCause.MESSAGE_LEFT: NextStep.HANG_UP,
    EndCause.USER_SILENT: NextStep.HANG_UP,
    EndCause.TIME_LIMIT: NextStep.HANG_UP,
    EndCause.SHUT_DOWN: NextStep.HANG_UP,
    EndCause.SESSION_UNAVAILABLE: NextStep.APOLOGY,
    EndCause.SESSION_REFUSED: NextStep.APOLOGY,
    EndCause.SESSION_LOST: NextStep.APOLOGY,
    EndCause.LEG_LOST: NextStep.APOLOGY,
    EndCause.LEG_MISBEHAVED: NextStep.APOLOGY,
    EndCause.FAILED: NextStep.APOLOGY,
    EndCause.REMOTE_HUNG_UP: NextStep.NOTHING,
    EndCause.MEDIA_NEVER_CAME: NextStep.NOTHING,
    EndCause.NO_ANSWER: NextStep.NOTHING,
    EndCause.BUSY: NextStep.NOTHING,
    EndCause.CANCELED: NextStep.NOTHING,
    EndCause.DIAL_FAILED: NextStep.NOTHING,
    EndCause.DIAL_REFUSED: NextStep.NOTHING,
    EndCause.DIAL_UNAVAILABLE: NextStep.NOTHING,
    EndCause.DIAL_UNCERTAIN: NextStep.NOTHING,
    EndCause.RING_TIMEOUT: NextStep.NOTHING,
}
"""For calls with media. A call that we placed and that never had any is hung up when it is filed."""
