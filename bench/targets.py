"""The engines that are compared: what each of them is, where it is installed, how a call reaches it.

    ENGINES                 by the names of the command line and of the tables
    prepare(engine)         its virtual environment, created once from pinned requirements
    target(engine)          what the load measures
    version(engine)         what was measured

Rule 1: an engine is one process on one processor, set up for telephony as its own
documentation does it; what had to be changed is listed at the top of its runner.
Rule 2: where G.711 cannot pass through, the load speaks PCM16 at 24 kHz with it, and
voicecore does the same in a row of its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from voicecore.bench.load.call_log import ProviderAudio
from voicecore.bench.load.carrier_line import Entrance
from voicecore.bench.load.targets import Target, engine_target, relay_target
from voicecore.bench.report.result import BenchmarkFailed, Progress

HERE = Path(__file__).parent
RUNNERS, ENVIRONMENTS = HERE / "engines", HERE / ".venvs"

_STAMP = "made-from"
_OPENING_S = 30.0  # a call that opens while others keep the processor busy


@attrs.frozen(kw_only=True)
class Engine:
    """One engine, or one way to set it up."""

    name: str
    what: str
    """Its line in the table of versions."""
    audio: ProviderAudio = ProviderAudio.PCMU
    runner: str | None = None
    """Its file among the runners; None: it is part of this repository."""
    package: str = "voicecore"
    """The package whose version is shown."""
    media: str = "/"
    """Path of its media stream."""
    ours: Target | None = None

    @property
    def is_converting(self) -> bool:
        """Whether it converts every frame."""
        return self.audio is ProviderAudio.PCM

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return ENVIRONMENTS / self.name

    @property
    def requirements(self) -> Path:
        """What is installed there."""
        return HERE / f"requirements-{self.name}.txt"


_ALL = (
    Engine(
        name="floor",
        what="picows, orjson: the least that has to be done, by hand; no engine",
        runner="floor.py",
        package="picows",
    ),
    Engine(
        name="relay",
        what="voicecore's sockets alone: messages handed over unread; no engine",
        ours=relay_target(),
    ),
    Engine(name="voicecore", what="from settings; G.711 passes through", ours=engine_target()),
    Engine(
        name="voicecore-60ms",
        what="the same, with coalesce_ms = 60: three of the user's frames at a time",
        ours=engine_target(coalesce_ms=60),
    ),
    Engine(
        name="voicecore-24k",
        what="as voicecore, with 24 kHz towards the provider: converted both ways",
        audio=ProviderAudio.PCM,
        ours=engine_target(ProviderAudio.PCM),
    ),
    Engine(
        name="openai-agents",
        what="its Twilio example: FastAPI, RealtimeRunner; G.711 passes through",
        runner="run_openai_agents.py",
        package="openai-agents",
        media="/media-stream",
    ),
    Engine(
        name="pipecat",
        what="its Twilio example with its OpenAI Realtime service; converts, has no other way",
        audio=ProviderAudio.PCM,
        runner="run_pipecat.py",
        package="pipecat-ai",
        media="/ws",
    ),
    Engine(
        name="patter",
        what="its README's inbound call; converts, has no other way",
        audio=ProviderAudio.PCM,
        runner="run_patter.py",
        package="getpatter",
        media="/ws/stream/bench",
    ),
)
ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in _ALL}


def target(engine: Engine) -> Target:
    """Return what the load measures."""
    if engine.ours is not None:
        return attrs.evolve(engine.ours, name=engine.name)
    program = [str(_python(engine)), str(RUNNERS / str(engine.runner))]

    def command(provider: str, calls: int) -> Sequence[str]:
        return [*program, provider, str(calls)]

    return Target(
        name=engine.name,
        command=command,
        entrance=Entrance(media=engine.media),
        audio=engine.audio,
        environment={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        opening_s=_OPENING_S,
    )


def prepare(engine: Engine, progress: Progress) -> None:
    """Create an engine's virtual environment, unless it exists and has the same requirements.

    Raises:
        BenchmarkFailed: It cannot be created.
    """
    if engine.runner is None:
        return
    wanted = hashlib.sha256(engine.requirements.read_bytes()).hexdigest()
    stamp = engine.environment / _STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    progress(f"creating the virtual environment of {engine.name}")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    _run([sys.executable, "-m", "venv", "--clear", str(engine.environment)])
    _run([str(_python(engine)), *install, str(engine.requirements)])
    stamp.write_text(wanted, encoding="utf-8")


def version(engine: Engine) -> str:
    """Return the package and its version, as the requirements pin it."""
    if engine.runner is None:
        return f"{engine.package} {importlib.metadata.version(engine.package)}"
    lines = engine.requirements.read_text(encoding="utf-8").split()
    pinned = dict(line.split("==") for line in lines)
    return f"{engine.package} {pinned[engine.package]}"


def _python(engine: Engine) -> Path:
    return engine.environment / "bin" / "python"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - commands of this file
    if done.returncode:
        raise BenchmarkFailed(f"{' '.join(command)}: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
