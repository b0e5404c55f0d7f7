"""JSON and base64 of the two hot messages, by several libraries.

Ours is orjson with binascii; the standard library stands beside it.  Others are
measured where they happen to be installed; nothing here asks for them.

Used by main.py.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.util
import json
import random
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import attrs
import orjson

from voicecore.bench.frames import FRAME_BYTES
from voicecore.bench.result import Plan, Progress, Result
from voicecore.bench.timing import Step, timed
from voicecore.simulation.carrier_twin.messages import StreamWriter

_ABOUT = """\
From the text of a message to its audio as bytes: JSON and base64, nothing checked on the way."""


@attrs.frozen
class _Libraries:
    """One way to read."""

    name: str
    loads: Callable[[str], Any]
    decode: Callable[[str], bytes]


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of libraries."""
    return timed("JSON and base64", _ABOUT, _steps(random.Random(plan.seed)), plan, progress)


def _steps(rng: random.Random) -> Iterator[Step]:
    for libraries in _known():
        yield _media(libraries, rng.randbytes(FRAME_BYTES))
        yield _delta(libraries, "200 ms, µ-law", rng.randbytes(1_600))
        yield _delta(libraries, "200 ms, PCM16 24 kHz", rng.randbytes(9_600))


def _media(libraries: _Libraries, audio: bytes) -> Step:
    text = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32).media(audio, 20)
    loads, decode = libraries.loads, libraries.decode
    return Step(libraries.name, "media, 20 ms, µ-law", lambda: decode(loads(text)["media"]["payload"]), audio)


def _delta(libraries: _Libraries, work: str, audio: bytes) -> Step:
    ids = {"event_id": "event_" + "0" * 21, "response_id": "resp_" + "0" * 21, "item_id": "item_" + "0" * 21}
    delta = binascii.b2a_base64(audio, newline=False).decode()
    event = {"type": "response.output_audio.delta", **ids, "output_index": 0, "content_index": 0, "delta": delta}
    text = json.dumps(event)
    loads, decode = libraries.loads, libraries.decode
    return Step(libraries.name, f"delta, {work}", lambda: decode(loads(text)["delta"]), audio)


def _known() -> Iterator[_Libraries]:
    yield _Libraries("orjson, binascii", orjson.loads, binascii.a2b_base64)
    yield _Libraries("json, base64", json.loads, lambda text: base64.b64decode(text, validate=True))
    if (msgspec := _installed("msgspec")) is not None:
        yield _Libraries("msgspec, binascii", msgspec.json.decode, binascii.a2b_base64)
    if (pybase64 := _installed("pybase64")) is not None:
        yield _Libraries("orjson, pybase64", orjson.loads, pybase64.b64decode)


def _installed(name: str) -> ModuleType | None:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
