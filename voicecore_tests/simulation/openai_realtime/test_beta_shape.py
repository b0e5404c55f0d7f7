"""The flat shape of the beta API, and what it meant."""

from __future__ import annotations

import pytest

from voicecore.simulation.openai_realtime.beta_shape import nested, without_turn_detection
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore_tests.simulation.openai_realtime.kit import SERVER_VAD


def test_every_retired_field_has_its_place() -> None:
    """A whole beta session, as telephone engines used to send it."""
    flat = {
        "instructions": "Be brief.",
        "modalities": ["text", "audio"],
        "voice": "cedar",
        "speed": 1.1,
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": None,
        "turn_detection": SERVER_VAD,
        "temperature": 0.8,
        "max_response_output_tokens": 300,
    }
    assert nested(flat) == {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "max_output_tokens": 300,
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": None,
                "turn_detection": SERVER_VAD,
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": "cedar", "speed": 1.1},
        },
    }


def test_present_shape_means_the_same() -> None:
    """What is nested already stays as it is, and the argument too."""
    session: JsonObject = {"type": "realtime", "audio": {"input": {"turn_detection": None}}, "modalities": ["text"]}
    assert nested(session) == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}},
        "output_modalities": ["text"],
    }
    assert "modalities" in session


@pytest.mark.parametrize(
    ("session", "translated"),
    [
        ({"audio": 5, "voice": "cedar"}, {"audio": 5, "voice": "cedar"}),
        ({"audio": {"input": []}, "turn_detection": None}, {"audio": {"input": []}, "turn_detection": None}),
        ({"input_audio_format": 7}, {"audio": {"input": {"format": 7}}}),
        ({"modalities": 3}, {"output_modalities": 3}),
    ],
)
def test_nonsense_is_left_for_the_check(session: JsonObject, translated: JsonObject) -> None:
    """The translation does not fail, and what has no place stays where it is."""
    assert nested(session) == {"type": "realtime", **translated}


def test_turn_detection_can_be_left_out() -> None:
    """Of the flat field nothing stays; the session has its type."""
    assert without_turn_detection({"turn_detection": None, "voice": "ash"}) == {"type": "realtime", "voice": "ash"}
