"""Audio on its way in: whatever a provider's deltas are cut at, no sample is ever torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore import events as ev
from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.wire.openai_realtime import OutputAudioDelta


def delta(audio: bytes, item_id: str = "item_1") -> OutputAudioDelta:
    return OutputAudioDelta(response_id="resp_1", item_id=item_id, delta=audio)


def heard(translator: Translator, event: OutputAudioDelta) -> bytes:
    """Return the audio of an event, which is at most one event of ours."""
    audio = [told.audio for told in translator.translate(event) if isinstance(told, ev.AgentAudio)]
    assert len(audio) <= 1
    return b"".join(audio)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_half_a_sample_waits_for_its_other_half(sizes: list[int]) -> None:
    """Each piece is whole samples, and nothing but the last half is missing."""
    sent = bytes(range(sum(sizes)))
    translator, rest, pieces = Translator(PCM16_24K), sent, []
    for size in sizes:
        pieces.append(heard(translator, delta(rest[:size])))
        rest = rest[size:]
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == sent[: len(sent) // 2 * 2]


def test_half_a_sample_ends_with_its_item() -> None:
    """The next item begins with its own first byte: one byte off, all that follows would be noise."""
    translator = Translator(PCM16_24K)
    assert heard(translator, delta(b"\x01\x02\x03")) == b"\x01\x02"
    assert heard(translator, delta(b"\x11\x12", "item_2")) == b"\x11\x12"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_byte_of_g711_is_a_sample(size: int) -> None:
    """Nothing waits."""
    assert heard(Translator(PCMU_8K), delta(b"\x7f" * size)) == b"\x7f" * size
