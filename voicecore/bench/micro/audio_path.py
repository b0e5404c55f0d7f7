"""The steps that a frame goes through in the engine, one by one.

Pure code only, no sockets (sockets.py has those): codecs, conversion, the playout
ledger, WebSocket frames.  Together they are what a call costs apart from Trio and the
system calls.
"""

from __future__ import annotations

import binascii
import random
from collections.abc import Iterator, Sequence

import attrs
import orjson

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.audio.g711 import decode_ulaw, encode_ulaw
from voicecore.audio.resample import Resampler
from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S
from voicecore.bench.load.raw_websocket import client_frame
from voicecore.bench.micro.timing import Step, timed
from voicecore.bench.report.result import Plan, Progress, Result
from voicecore.events import LegStarted, PlaceMark, PlayAudio, UserAudio
from voicecore.net.websocket.frame_codec import FrameParser, Opcode, encode_frame
from voicecore.simulation.twilio.messages import StreamWriter
from voicecore.turns.playout.ledger import PlayoutLedger
from voicecore.wire.openai_realtime import InputAudioAppend, OutputAudioDelta, RealtimeCodec, encode
from voicecore.wire.twilio_media import TwilioMedia

_DELTA_BYTES = 10 * FRAME_BYTES  #: 200 ms, the size that providers send
_FRAME = "20 ms"
_ABOUT = """\
CPU of one step on one frame, in one warm process, one step at a time: a best case for caches. Not included: sockets,
tasks, and what happens between the steps."""


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of steps."""
    return timed("steps of the audio path", _ABOUT, _steps(random.Random(plan.seed)), plan, progress)


def _steps(rng: random.Random) -> Iterator[Step]:
    audio = rng.randbytes(FRAME_BYTES)
    yield from _carrier(audio)
    yield from _provider(audio, rng.randbytes(_DELTA_BYTES))
    yield from _conversion(audio)
    yield _playout(audio)
    yield from _frames(audio)


def _carrier(audio: bytes) -> Iterator[Step]:
    writer = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32)
    codec = TwilioMedia()
    codec.receive(writer.connected())
    if not isinstance(codec.receive(writer.start({})), LegStarted):
        return
    text = writer.media(audio, 20)
    yield Step("Twilio, receive", f"media message of {_FRAME}", lambda: codec.receive(text), UserAudio(audio))
    order = PlayAudio(audio, 0, "item")
    sent = orjson.dumps({"event": "media", "streamSid": "MZ" + "0" * 32, "media": {"payload": _base64(audio)}})
    yield Step("Twilio, send", f"media message of {_FRAME}", lambda: codec.send(order), sent.decode())


def _provider(audio: bytes, delta: bytes) -> Iterator[Step]:
    codec = RealtimeCodec()
    event = OutputAudioDelta(
        response_id="resp_" + "0" * 21,
        item_id="item_" + "0" * 21,
        delta=delta,
    )
    fields = {**attrs.asdict(event), "delta": _base64(delta)}
    unread = {"event_id": "event_" + "0" * 21, "output_index": 0, "content_index": 0}
    text = orjson.dumps({"type": event.wire_name, **unread, **fields}).decode()
    yield Step("OpenAI, receive", "delta of 200 ms, µ-law", lambda: codec.receive(text), [event])
    append = orjson.dumps({"type": "input_audio_buffer.append", "audio": _base64(audio)}).decode()
    yield Step("OpenAI, append", f"message of {_FRAME}", lambda: encode(InputAudioAppend(audio=audio)), append)


def _conversion(audio: bytes) -> Iterator[Step]:
    narrow = decode_ulaw(audio)
    wide = Resampler(8_000, 24_000).process(narrow)
    up, down = Resampler(8_000, 24_000), Resampler(24_000, 8_000)
    yield Step("µ-law, decode", _FRAME, lambda: len(decode_ulaw(audio)), len(narrow))
    yield Step("µ-law, encode", _FRAME, lambda: len(encode_ulaw(narrow)), len(audio))
    yield Step("resample 8 → 24 kHz", _FRAME, lambda: len(up.process(narrow)), 480)
    wide = up.process(narrow)
    yield Step("resample 24 → 8 kHz", _FRAME, lambda: len(down.process(wide)), 160)
    to_session, to_leg = converter(PCMU_8K, PCM16_24K), converter(PCM16_24K, PCMU_8K)
    spoken = wide.tobytes()
    yield Step("µ-law 8 → PCM16 24 kHz", f"{_FRAME}, bytes", lambda: len(to_session.convert(audio)), 960)
    yield Step("PCM16 24 → µ-law 8 kHz", f"{_FRAME}, bytes", lambda: len(to_leg.convert(spoken)), 160)


def _playout(audio: bytes) -> Step:
    ledger = PlayoutLedger(PCMU_8K)
    clock = iter(range(1 << 62))

    def run() -> int:
        """Push a frame, send what is due, and return its mark, 20 ms after the last."""
        now = next(clock) * FRAME_S
        ledger.push("response", "item", audio)
        orders = ledger.due(now)
        for order in orders:
            if isinstance(order, PlaceMark):
                ledger.echoed(order.name, now)
        return sum(len(order.audio) for order in orders if isinstance(order, PlayAudio))

    return Step("playout, push and due", f"{_FRAME}, its marks returned", run, FRAME_BYTES)


def _frames(audio: bytes) -> Iterator[Step]:
    writer = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32)
    text = writer.media(audio, 20)
    received, payload = client_frame(text.encode()), text.encode()
    parser = FrameParser(64 * 1024)
    work = f"media message, {len(payload)} bytes"
    yield Step("WebSocket, parse", work, lambda: parser.feed(received), [text])
    framed = len(payload) + 4
    yield Step("WebSocket, encode", work, lambda: len(encode_frame(Opcode.TEXT, payload)), framed)


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
