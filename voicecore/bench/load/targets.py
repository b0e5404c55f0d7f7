"""The programs that can be measured: how each is started, and how a call reaches it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from voicecore.bench.load.call_log import ProviderAudio
from voicecore.bench.load.carrier_line import Entrance

PLAIN_PATH = "/plain"
"""Where the provider speaks the carrier's own messages, for the relay, which reads nothing."""

_OPENING_S = 20.0
_PACKAGE_PARENT = Path(__file__).parents[3]


@attrs.frozen(kw_only=True)
class Target:
    """A program to be measured. It speaks the child's half of processes/usage.py."""

    name: str
    command: Callable[[str, int], Sequence[str]]
    """Makes the command, given the provider's base URL (``ws://HOST:PORT``) and the most calls at once."""
    entrance: Entrance
    audio: ProviderAudio = ProviderAudio.PCMU
    """What it speaks with its provider."""
    environment: Mapping[str, str] | None = None
    """None: this process's own, with this very package on the path."""
    opening_s: float = _OPENING_S
    """How long a call may take to have its session open."""

    @property
    def process_environment(self) -> Mapping[str, str]:
        """The environment that its process gets."""
        if self.environment is not None:
            return self.environment
        return {**os.environ, "PYTHONPATH": str(_PACKAGE_PARENT)}


def engine_target(audio: ProviderAudio = ProviderAudio.PCMU, *, coalesce_ms: int = 0) -> Target:
    """Return voicecore, from settings; ``coalesce_ms`` of user audio are sent together."""
    converts = audio is ProviderAudio.PCM
    overrides = [f"server.coalesce_ms={coalesce_ms}", *(["providers.openai_realtime.audio=pcm"] if converts else [])]

    def command(provider: str, calls: int) -> Sequence[str]:
        module = "voicecore.bench.processes.engine_process"
        return [sys.executable, "-m", module, f"{provider}/v1", str(calls), *overrides]

    return Target(
        name="engine, 24 kHz" if converts else "engine",
        command=command,
        entrance=Entrance(webhook="/twilio/voice", status="/twilio/status"),
        audio=audio,
    )


def relay_target() -> Target:
    """Return voicecore's sockets alone: messages are passed on unread."""

    def command(provider: str, _calls: int) -> Sequence[str]:
        return [sys.executable, "-m", "voicecore.bench.processes.relay_process", provider + PLAIN_PATH]

    return Target(name="relay", command=command, entrance=Entrance())
