"""Recorded telephone speech: real voices at 8 kHz, for demos, tests and twins.

`agent-*` is a woman's voice in English, `caller-*` are others, in Italian and French,
so that the two sides of a call are easy to tell apart when listening.  Credits and
licence (CC BY-SA 3.0) are in recordings/CREDITS.md and are distributed with the files.

Rule: a name is the file's name without its extension; every file is PCM16 at 8 kHz.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from voicecore.audio.convert import from_samples, to_samples
from voicecore.audio.formats import PCM16_8K, PCMU_8K
from voicecore.audio.wav import read_wav

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "agent-goodbye": "goodbye",
        "agent-hello": "hello",
        "agent-hello-world": "hello world",
        "agent-hold-connecting": "please hold while I try that extension",
        "agent-long-30s": "a half-minute congratulation on the installation of a telephone exchange",
        "agent-one-moment": "one moment, please",
        "agent-you-are-next": (
            "your call is now first in line and will be answered by the next available representative"
        ),
        "caller-hello-fr": "greeting (French)",
        "caller-hello-it": "greeting (Italian)",
        "caller-long-it": "a seven-second request to leave a message (Italian)",
        "caller-one-moment-it": "one moment, please (Italian)",
        "caller-transfer-fr": "please hold while I transfer the call (French)",
    }
)
"""What is said: the words, where the voice speaks English (except the long one), else their meaning."""


@functools.cache
def load(name: str) -> bytes:
    """Return a recording as PCM16 at 8 kHz.

    Raises:
        KeyError: There is no recording of that name.
    """
    if name not in MEANINGS:
        raise KeyError(f"no recording named {name!r}; there are {', '.join(MEANINGS)}")
    file = resources.files("voicecore.simulation") / "recordings" / f"{name}.wav"
    _, samples = read_wav(file.read_bytes())
    return samples


def ulaw(name: str) -> bytes:
    """Return a recording as the telephone carries it: µ-law at 8 kHz; raises KeyError as `load` does."""
    return from_samples(to_samples(load(name), PCM16_8K), PCMU_8K)


def seconds(name: str) -> float:
    """Return how long a recording plays; raises KeyError as `load` does."""
    return PCM16_8K.seconds_in(len(load(name)))
