"""The provider's end of the relay: the same turns in the carrier's own messages, since the relay reads nothing."""

from __future__ import annotations

import binascii

import orjson

from voicecore.bench.load.call_log import stream_sid
from voicecore.bench.load.provider_response import ProviderResponse
from voicecore.bench.load.provider_session import ProviderSession


class RelaySession(ProviderSession):
    """The same rhythm in the carrier's words: answers as media, a cut as a clear, nothing else."""

    def _check_formats(self) -> None:
        pass

    def _open(self) -> None:
        self.is_ready = True

    def _take(self, payload: bytes, now: float) -> None:
        self._log.counts.to_provider += 1
        message = orjson.loads(payload)
        if message["event"] == "media":
            self._heard(binascii.a2b_base64(message["media"]["payload"]), now)

    def _say_speech_started(self) -> None:
        if self._spoken is not None:
            self._write(f'{{"event":"clear","streamSid":"{stream_sid(self._log.call)}"}}')

    def _say_words(self, response: ProviderResponse, words: str) -> None:
        response.said += words

    def _say_audio(self, response: ProviderResponse, audio: bytes) -> None:
        if response.left is not None:
            return  # nobody would drop it
        encoded = binascii.b2a_base64(audio, newline=False).decode()
        sid = stream_sid(self._log.call)
        self._write(f'{{"event":"media","streamSid":"{sid}","media":{{"payload":"{encoded}"}}}}')

    def _emit(self, kind: str, **fields: object) -> None:
        pass
