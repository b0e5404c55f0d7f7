"""The carrier of a measurement: many lines that speak 50 numbered frames a second, from one task.

    line = await dial_engine(...)       webhook, TwiML, media stream, start: as Twilio does it
    line = await dial_relay(...)        the stream alone
    speak(lines, ...)                   every line's next frame when it is due
    line.listen()                       reads what comes, to the end

Rule 1: lines speak in turn, evenly spread over the 20 ms of a frame, as users
who know nothing of each other do.
Rule 2: frames leave on absolute times; one that is late leaves at once, and its
delay counts from then: the load's lateness is its own, and reported.
Rule 3: a mark is echoed with the next frame, when the 20 ms before it have been
played.

Facts: docs/protocols/twilio-media-streams.md, sections 1 to 5 and 11.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from time import perf_counter
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import orjson
import trio

from voicecore.bench.load.raw_websocket import RawWebSocket, client_frame, connect
from voicecore.bench.micro.frames import FRAME_S, Track
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.net.http.client import HttpAnswer, HttpClient
from voicecore.simulation.twilio import Account
from voicecore.simulation.twilio.messages import StreamWriter
from voicecore.simulation.twilio.signing import sign

_HOST = "127.0.0.1"
_FRAME_MS = 20


class Line:
    """One call as the carrier sees it."""

    def __init__(self, track: Track, socket: RawWebSocket, writer: StreamWriter) -> None:
        self.track = track
        self._socket = socket
        self._writer = writer
        self._next = 0
        self._marks: list[str] = []  # to be echoed with the next frame

    async def begin(self) -> None:
        """Announce the stream."""
        await self._socket.send(_frames(self._writer.connected(), self._writer.start({})))

    async def speak(self) -> None:
        """Send the next frame, and the marks that are due."""
        number, self._next = self._next, self._next + 1
        marks, self._marks = self._marks, []
        media = self._writer.media(self.track.frame(number), number * _FRAME_MS)
        frames = _frames(*(self._writer.mark(name) for name in marks), media)
        self.track.to_provider.left(1, perf_counter())
        await self._socket.send(frames)

    async def listen(self) -> None:
        """Read until the stream ends."""
        while payloads := await self._socket.receive():
            now = perf_counter()
            for payload in payloads:
                message = orjson.loads(payload)
                if message["event"] == "media":
                    audio = binascii.a2b_base64(message["media"]["payload"])
                    self.track.take(audio, self.track.to_carrier, now)
                elif message["event"] == "mark":
                    self._marks.append(message["mark"]["name"])

    async def end(self) -> None:
        """Hang up, if the other side has not; leaves no socket, cancelled or not."""
        try:
            await self._socket.send(_frames(self._writer.stop()))
        except trio.BrokenResourceError:
            return
        finally:
            await self._socket.aclose()


async def dial_relay(port: int, track: Track) -> Line:
    """Open a line to the baseline."""
    return Line(track, await connect(_HOST, port, "/"), _writer(Account(), track))


async def dial_engine(http: HttpClient, port: int, track: Track) -> Line:
    """Call the engine: its webhook says where the media stream goes.

    Raises:
        BenchmarkFailed: The call was not taken.
    """
    account = Account()
    answer = await _post(http, port, "voice", account, track, CallStatus="ringing")
    stream = ET.fromstring(answer.body).find("Connect/Stream") if answer.status == 200 else None  # noqa: S314
    if stream is None:
        raise BenchmarkFailed(f"the engine did not take a call: HTTP status {answer.status}")
    url = stream.get("url", "")
    signature = sign(account.auth_token.reveal(), url)
    socket = await connect(_HOST, port, urlsplit(url).path, [("X-Twilio-Signature", signature)])
    line = Line(track, socket, _writer(account, track))
    await line.begin()
    return line


async def report_end(http: HttpClient, port: int, track: Track) -> None:
    """Tell the engine that a call is over."""
    await _post(http, port, "status", Account(), track, CallStatus="completed", CallDuration="1", SequenceNumber="1")


async def speak(lines: Sequence[Line], seconds: float, lateness_s: list[float]) -> None:
    """Let every line speak on time for so long; enters how late each frame left."""
    began_at = trio.current_time()
    for number in range(round(seconds / FRAME_S)):
        for index, line in enumerate(lines):
            due = began_at + (number + index / len(lines)) * FRAME_S
            if due > trio.current_time():
                await trio.sleep_until(due)
            lateness_s.append(trio.current_time() - due)
            await line.speak()


async def _post(http: HttpClient, port: int, hook: str, account: Account, track: Track, **fields: str) -> HttpAnswer:
    url = f"http://{_HOST}:{port}/twilio/{hook}"
    form: Mapping[str, str] = {
        "CallSid": _call_sid(track),
        "AccountSid": account.account_sid,
        "From": account.caller,
        "To": account.callee,
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        **fields,
    }
    return await http.post_form(url, form, headers={"X-Twilio-Signature": sign(account.auth_token.reveal(), url, form)})


def _writer(account: Account, track: Track) -> StreamWriter:
    return StreamWriter(account.account_sid, _call_sid(track), f"MZ{track.call:032x}")


def _call_sid(track: Track) -> str:
    return f"CA{track.call:032x}"


def _frames(*texts: str) -> bytes:
    return b"".join(client_frame(text.encode()) for text in texts)
