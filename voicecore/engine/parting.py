"""How a call is parted from its carrier: what the carrier does next, by the cause of the end.

A carrier that holds a media stream goes on by itself when the stream is closed:
with the apology that stands behind it, meant for calls that cannot go on.  A
call that we end on purpose is therefore ended at the carrier first.

Pure.  Used by engine/life.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from voicecore.facts import EndCause


class Parting(enum.Enum):
    """What comes next at the carrier, on calls in both directions."""

    HANG_UP = "hang up"  #: it is asked to end the call; then the media close
    APOLOGY = "apology"  #: the media close, and it says the apology
    NOTHING = "nothing"  #: it has ended the call, or never had media for it


PARTINGS: Mapping[EndCause, Parting] = {
    EndCause.HUNG_UP: Parting.HANG_UP,
    EndCause.MACHINE_ANSWERED: Parting.HANG_UP,
    EndCause.MESSAGE_LEFT: Parting.HANG_UP,
    EndCause.CALLER_SILENT: Parting.HANG_UP,
    EndCause.TIME_LIMIT: Parting.HANG_UP,
    EndCause.SHUT_DOWN: Parting.HANG_UP,
    EndCause.SESSION_UNAVAILABLE: Parting.APOLOGY,
    EndCause.SESSION_REFUSED: Parting.APOLOGY,
    EndCause.SESSION_LOST: Parting.APOLOGY,
    EndCause.LEG_LOST: Parting.APOLOGY,
    EndCause.LEG_MISBEHAVED: Parting.APOLOGY,
    EndCause.FAILED: Parting.APOLOGY,
    EndCause.CALLER_HUNG_UP: Parting.NOTHING,
    EndCause.MEDIA_NEVER_CAME: Parting.NOTHING,
    EndCause.NO_ANSWER: Parting.NOTHING,
    EndCause.BUSY: Parting.NOTHING,
    EndCause.CANCELED: Parting.NOTHING,
    EndCause.DIAL_FAILED: Parting.NOTHING,
    EndCause.DIAL_REFUSED: Parting.NOTHING,
    EndCause.DIAL_UNAVAILABLE: Parting.NOTHING,
    EndCause.DIAL_UNCERTAIN: Parting.NOTHING,
    EndCause.RING_TIMEOUT: Parting.NOTHING,
}
"""Of a call whose media run. One that we placed and that has none is hung up when it is filed."""
