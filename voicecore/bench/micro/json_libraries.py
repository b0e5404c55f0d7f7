"""JSON and base64 of the two most frequent messages, with several libraries.

Ours is msgspec with types, which also decodes the base64; it is compared with orjson
and binascii, which read all other messages, and with the standard library.  Other
libraries are measured where they happen to be installed; nothing here requires them.
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
import msgspec
import orjson

from voicecore.bench.load.frames import FRAME_BYTES
from voicecore.bench.micro.timing import Step, timed
from voicecore.bench.report.result import Plan, Progress, Result
from voicecore.simulation.twilio.messages import StreamWriter

_ABOUT = """\
From the text of a message to its audio as bytes: JSON and base64. Typed: into a class, which also checks the shape; the
others check nothing."""


class _Payload(msgspec.Struct):
    payload: bytes


class _Media(msgspec.Struct):
    media: _Payload


class _Delta(msgspec.Struct):
    delta: bytes


@attrs.frozen
class _Way:
    """One way to read."""

    name: str
    media: Callable[[str], bytes]
    delta: Callable[[str], bytes]


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of libraries."""
    return timed("JSON and base64", _ABOUT, _steps(random.Random(plan.seed)), plan, progress)


def _steps(rng: random.Random) -> Iterator[Step]:
    for way in _known():
        yield _media(way, rng.randbytes(FRAME_BYTES))
        yield _delta(way, "200 ms, µ-law", rng.randbytes(1_600))
        yield _delta(way, "200 ms, PCM16 24 kHz", rng.randbytes(9_600))


def _media(way: _Way, audio: bytes) -> Step:
    text = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32).media(audio, 20)
    return Step(way.name, "media, 20 ms, µ-law", lambda: way.media(text), audio)


def _delta(way: _Way, work: str, audio: bytes) -> Step:
    ids = {"event_id": "event_" + "0" * 21, "response_id": "resp_" + "0" * 21, "item_id": "item_" + "0" * 21}
    delta = binascii.b2a_base64(audio, newline=False).decode()
    event = {"type": "response.output_audio.delta", **ids, "output_index": 0, "content_index": 0, "delta": delta}
    text = json.dumps(event)
    return Step(way.name, f"delta, {work}", lambda: way.delta(text), audio)


def _known() -> Iterator[_Way]:
    media, delta = msgspec.json.Decoder(_Media).decode, msgspec.json.Decoder(_Delta).decode
    yield _Way("msgspec, typed", lambda text: media(text).media.payload, lambda text: delta(text).delta)
    yield _untyped("orjson, binascii", orjson.loads, binascii.a2b_base64)
    yield _untyped("json, base64", json.loads, lambda text: base64.b64decode(text, validate=True))
    if (pybase64 := _installed("pybase64")) is not None:
        yield _untyped("orjson, pybase64", orjson.loads, pybase64.b64decode)


def _untyped(name: str, loads: Callable[[str], Any], decode: Callable[[str], bytes]) -> _Way:
    return _Way(name, lambda text: decode(loads(text)["media"]["payload"]), lambda text: decode(loads(text)["delta"]))


def _installed(name: str) -> ModuleType | None:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
