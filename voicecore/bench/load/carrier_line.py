"""The carrier of a load: fast lines on which somebody always sends 50 frames a second.

Rule 1: each line's frames leave at absolute times, the lines evenly spread over the
20 ms of a frame; a late one leaves at once, and its lateness is reported.
Rule 2: received audio is played by a clock (playout_clock.py); a mark is returned when
everything before it was played, and a clear returns all of them.

The carrier twin (voicecore.simulation.twilio) is the faithful one, at many times the cost.
Facts: docs/protocols/twilio-media-streams.md, sections 1 to 5 and 11.
"""

from __future__ import annotations

import binascii
import enum
import functools
from collections import deque
from collections.abc import Mapping
from time import perf_counter
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

import attrs
import orjson

from voicecore.bench.load.call_log import CallLog, ProviderAudio, call_sid, stream_sid
from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S
from voicecore.bench.load.playout_clock import PlayoutClock
from voicecore.bench.load.raw_websocket import client_frame
from voicecore.bench.load.selector_loop import HOST, Connection, Loop, connect, post
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.simulation.twilio import Account
from voicecore.simulation.twilio.messages import StreamWriter
from voicecore.simulation.twilio.signing import sign

_FRAME_MS = 20
_SILENT_FRAME = b"\xff" * FRAME_BYTES
_OPEN_S = 10.0  #: for each step of opening a line


class Phase(enum.Enum):
    """The state of a line."""

    OPEN = "open"  #: no frames are sent; marks are returned
    SPEAKING = "speaking"
    SILENT = "silent"  #: frames of silence
    ENDED = "ended"  #: ended by the other side
    HUNG_UP = "hung up"


class CarrierLine:
    """One call as the carrier sees it. Made by `dial`."""

    def __init__(self, loop: Loop, connection: Connection, log: CallLog, lateness_s: list[float]) -> None:
        self.phase = Phase.OPEN
        self._loop = loop
        self._connection = connection
        self._log = log
        self._lateness_s = lateness_s
        self._stream_sid = stream_sid(log.call)
        self._playout = PlayoutClock()
        self._marks: deque[tuple[int, str]] = deque()  # (generation, name); bounded by what the other side sends
        self._generation = 0
        self._sequence = 1  # of the start message
        self._frame = 0
        self._began_at = 0.0
        connection.on_text = self._take
        connection.on_end = self._ended

    def is_playing(self, now: float) -> bool:
        """Whether audio is playing."""
        return self._playout.is_playing(now)

    def speak_from(self, moment: float) -> None:
        """Send a frame every 20 ms from then on."""
        self._began_at = moment - self._frame * FRAME_S
        self.phase = Phase.SPEAKING
        self._loop.at(moment, self._speak)

    def fall_silent(self) -> None:
        """Send no more numbered frames; marks are still returned.

        Where audio is converted, silence follows, to push the last of them out of the filters.
        """
        if self.phase is Phase.SPEAKING:
            self.phase = Phase.OPEN if self._log.audio is ProviderAudio.PCMU else Phase.SILENT

    def hang_up(self) -> None:
        """End the call."""
        self.phase = Phase.HUNG_UP
        self._send(f'"stop":{{"accountSid":"{Account().account_sid}","callSid":"{call_sid(self._log.call)}"}}', "stop")
        self._connection.close()

    def _speak(self, now: float) -> None:
        if self.phase not in {Phase.SPEAKING, Phase.SILENT}:
            return
        number, self._frame = self._frame, self._frame + 1
        self._lateness_s.append(now - self._began_at - number * FRAME_S)
        audio = self._log.user.frame(number) if self.phase is Phase.SPEAKING else _SILENT_FRAME
        payload = binascii.b2a_base64(audio, newline=False).decode()
        stamp = f'"track":"inbound","chunk":"{number + 1}","timestamp":"{number * _FRAME_MS}"'
        if self.phase is Phase.SPEAKING:
            self._log.user.to_provider.sent(1, perf_counter())
        self._send(f'"media":{{{stamp},"payload":"{payload}"}}', "media")
        self._loop.at(self._began_at + self._frame * FRAME_S, self._speak)

    def _send(self, fields: str, event: str) -> None:
        self._sequence += 1
        head = f'"event":"{event}","sequenceNumber":"{self._sequence}","streamSid":"{self._stream_sid}"'
        self._log.counts.from_carrier += 1
        self._connection.send(client_frame(f"{{{head},{fields}}}".encode()))

    def _take(self, payload: bytes, now: float) -> None:
        self._log.counts.to_carrier += 1
        message = orjson.loads(payload)
        event = message["event"]
        if event == "media":
            if message["streamSid"] != self._stream_sid:
                raise BenchmarkFailed("audio arrived on another call's stream")
            audio = binascii.a2b_base64(message["media"]["payload"])
            self._log.answers.received(audio, self._playout.put(len(audio), now), now)
        elif event == "mark":
            self._marks.append((self._generation, message["mark"]["name"]))
            self._loop.at(self._playout.empty_at, functools.partial(self._played, self._generation))
        elif event == "clear":
            self._log.answers.cleared(self._playout.clear(now), now)
            self._generation += 1
            while self._marks:
                self._return_mark()

    def _played(self, generation: int, _now: float) -> None:
        if self._marks and self._marks[0][0] == generation:  # else a clear has returned it
            self._return_mark()

    def _return_mark(self) -> None:
        _, name = self._marks.popleft()
        self._send(f'"mark":{{"name":{orjson.dumps(name).decode()}}}', "mark")

    def _ended(self) -> None:
        if self.phase is not Phase.HUNG_UP:
            self.phase = Phase.ENDED


@attrs.frozen(kw_only=True)
class Entrance:
    """How a call reaches the measured process."""

    webhook: str | None = None
    """Path of the voice webhook, whose TwiML says where the stream goes."""
    media: str = "/"
    """Path of the media stream where there is no webhook."""
    status: str | None = None
    """Path of the status webhook, which is notified of the end."""


def dial(loop: Loop, port: int, entrance: Entrance, log: CallLog, lateness_s: list[float]) -> CarrierLine:
    """Open a line; the loop runs in the meantime.

    Raises:
        BenchmarkFailed: The call was not answered.
    """
    account, call = Account(), log.call
    path, headers = entrance.media, list[tuple[str, str]]()
    parameters: Mapping[str, str] = {}
    if entrance.webhook is not None:
        url, parameters = _ask(loop, port, entrance.webhook, call)
        path = urlsplit(url).path
        headers.append(("X-Twilio-Signature", sign(account.auth_token.reveal(), url)))
    connection = connect(loop, port, path, headers, _OPEN_S)
    line = CarrierLine(loop, connection, log, lateness_s)
    writer = StreamWriter(account.account_sid, call_sid(call), stream_sid(call))
    for text in (writer.connected(), writer.start(parameters)):
        log.counts.from_carrier += 1
        connection.send(client_frame(text.encode()))
    return line


def report_end(loop: Loop, port: int, path: str, call: int) -> None:
    """Report to the measured process that a call is over."""
    _post(loop, port, path, call, CallStatus="completed", CallDuration="1", SequenceNumber="1")


def _ask(loop: Loop, port: int, path: str, call: int) -> tuple[str, Mapping[str, str]]:
    """Return the URL of the media stream, and its custom parameters."""
    body = _post(loop, port, path, call, CallStatus="ringing").partition(b"\r\n\r\n")[2]
    begin, end = body.find(b"<"), body.rfind(b">")  # it may be chunked
    stream = ET.fromstring(body[begin : end + 1]).find("Connect/Stream") if begin >= 0 else None  # noqa: S314
    if stream is None:
        raise BenchmarkFailed("a call was not answered with a media stream")
    named = {each.get("name", ""): each.get("value", "") for each in stream.iter("Parameter")}
    return stream.get("url", ""), named


def _post(loop: Loop, port: int, path: str, call: int, **fields: str) -> bytes:
    account, url = Account(), f"http://{HOST}:{port}{path}"
    form = {
        "CallSid": call_sid(call),
        "AccountSid": account.account_sid,
        "From": account.caller,
        "To": account.callee,
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        **fields,
    }
    headers = [("X-Twilio-Signature", sign(account.auth_token.reveal(), url, form))]
    return post(loop, url, headers, urlencode(form).encode(), _OPEN_S)
