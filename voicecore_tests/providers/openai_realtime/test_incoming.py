"""What the wire's events mean to a call."""

from __future__ import annotations

import pytest

from voicecore import events as ev
from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.errors import RemoteProtocolError
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.wire import openai_realtime as wire
from voicecore.wire.openai_realtime.items import StatusError

DONE = ev.ResponseStatus


def meant(event: wire.ServerEvent | RemoteProtocolError) -> list[ev.SessionEvent]:
    """What one event means."""
    return [*Translator(PCMU_8K).translate(event)]


@pytest.mark.parametrize(
    ("status", "details", "meaning"),
    [
        ("completed", None, DONE.COMPLETED),
        ("cancelled", None, DONE.CANCELLED),
        (None, None, DONE.COMPLETED),
        ("finished", None, DONE.COMPLETED),
        ("in_progress", None, DONE.COMPLETED),
        (None, wire.StatusDetails(type="failed"), DONE.FAILED),
        ("stopped", wire.StatusDetails(reason="turn_detected"), DONE.CANCELLED),
        ("stopped", wire.StatusDetails(reason="client_cancelled"), DONE.CANCELLED),
        (None, wire.StatusDetails(reason="max_output_tokens"), DONE.INCOMPLETE),
        (None, wire.StatusDetails(reason="content_filter"), DONE.INCOMPLETE),
        ("broken", wire.StatusDetails(error=StatusError(code="insufficient_quota")), DONE.FAILED),
        (None, wire.StatusDetails(reason="new_reason"), DONE.COMPLETED),
    ],
)
def test_how_a_response_ended_is_read_from_whatever_says_it(
    status: str | None, details: wire.StatusDetails | None, meaning: ev.ResponseStatus
) -> None:
    """Status, the details' type, their reason, their error; an unknown status is reported."""
    ended, *notices = meant(wire.ResponseDone(response=wire.Response(id="r", status=status, status_details=details)))
    assert isinstance(ended, ev.ResponseEnded)
    assert ended.status is meaning
    assert bool(notices) is (status not in {each.value for each in DONE})


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (StatusError(code="insufficient_quota"), ev.Severity.FATAL),
        (StatusError(type="insufficient_quota"), ev.Severity.FATAL),
        (StatusError(message="You exceeded your current quota, please check your plan."), ev.Severity.FATAL),
        (StatusError(type="rate_limit_error", code="rate_limit_exceeded"), ev.Severity.REFUSED),
        (StatusError(type="server_error"), ev.Severity.REFUSED),
        (StatusError(), ev.Severity.REFUSED),
    ],
)
def test_why_a_response_failed_is_judged_like_an_error_event(error: StatusError, severity: ev.Severity) -> None:
    """By code, type or words."""
    details = wire.StatusDetails(type="failed", error=error)
    (ended,) = meant(wire.ResponseDone(response=wire.Response(id="r", status="failed", status_details=details)))
    assert isinstance(ended, ev.ResponseEnded)
    assert (ended.severity, ended.error_code) == (severity, error.code or error.type)


@pytest.mark.parametrize(
    "item", [wire.Item(type="function_call", name="n"), wire.Item(type="function_call", call_id="c")]
)
def test_a_tool_call_that_nobody_could_answer_is_told(item: wire.Item) -> None:
    """Without its id or its name it is no request."""
    (notice,) = meant(wire.OutputItemDone(response_id="r", item=item))
    assert isinstance(notice, ev.SessionNotice)


def test_speech_says_no_more_of_where_it_is_than_the_server_does() -> None:
    """None where it does not say."""
    assert meant(wire.SpeechStarted()) == [ev.UserSpeechStarted("", None)]
    assert meant(wire.SpeechStopped(item_id="i", audio_end_ms=7)) == [ev.UserSpeechStopped("i", 7)]


def test_a_message_that_is_no_event_has_a_name_too() -> None:
    """Its error names no field."""
    assert meant(RemoteProtocolError("not JSON", peer="p")) == [
        ev.SessionNotice("a message", "not JSON; the event is lost")
    ]


def test_another_format_begins_with_the_next_response() -> None:
    """What runs was begun in the old one; the tail of a filter belongs to its item."""
    translator = Translator(PCMU_8K)
    speech = wire.OutputAudioDelta(response_id="r", item_id="i", delta=b"\xff" * 160)
    assert translator.translate(speech) == (ev.AgentAudio("r", "i", b"\xff" * 160),)
    translator.follow(PCM16_24K)
    assert translator.translate(speech) == (ev.AgentAudio("r", "i", b"\xff" * 160),)
    translator.translate(wire.OutputAudioDelta(response_id="s", item_id="j", delta=bytes(9600)))
    *audio, ended = translator.translate(wire.OutputAudioDone(response_id="s", item_id="j"))
    assert ended == ev.AgentAudioEnded("s", "j")
    assert len(audio) == 1
