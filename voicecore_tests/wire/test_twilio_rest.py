"""Twilio's REST forms, judged by the official client: what it would send is what we send."""

from __future__ import annotations

import json
import logging
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.http import HttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from voicecore.errors import LocalProtocolError, RemoteProtocolError
from voicecore.wire import twilio_rest, twiml

ACCOUNT = "AC00000000000000000000000000000001"
SID = "CA" + "0" * 31 + "1"
STREAM = twiml.connect_stream("wss://voice.example.test/twilio/media/token", apology="We are sorry.")
CALL = twilio_rest.NewCall(
    caller="+15550100002",
    callee="+15550100077",
    ring_timeout_s=30,
    status_url="https://voice.example.test/twilio/status?call=call_1",
    twiml=STREAM,
)


class Capture(HttpClient):  # type: ignore[misc]
    """Replaces the official client's HTTP, and records what it would send."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("twilio"), is_async=False)
        self.url = ""
        self.form: list[tuple[str, str]] = []

    def request(self, method: str, url: str, params: Any = None, data: Any = None, **_: Any) -> Response:
        assert method == "POST"
        assert not params
        self.url = url
        self.form = sorted(
            (name, str(each))
            for name, value in data.items()
            for each in (value if isinstance(value, list) else [value])
        )
        return Response(201, json.dumps({"sid": SID}))


def official(**arguments: Any) -> Capture:
    capture = Capture()
    client = Client(ACCOUNT, "token", http_client=capture)
    client.calls.create(**arguments)
    return capture


def test_a_call_is_created_as_the_official_client_does_it() -> None:
    """The same URL, the same fields, the same values."""
    theirs = official(
        to="+15550100077",
        from_="+15550100002",
        timeout=30,
        twiml=STREAM.decode(),
        status_callback="https://voice.example.test/twilio/status?call=call_1",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    )
    assert sorted(twilio_rest.new_call_form(CALL)) == theirs.form
    assert twilio_rest.calls_url("https://api.twilio.com/", ACCOUNT) == theirs.url


@pytest.mark.parametrize(("waits", "word"), [(False, "Enable"), (True, "DetectMessageEnd")])
def test_detection_beside_the_call_is_asked_for_as_the_official_client_does_it(waits: bool, word: str) -> None:
    """Asynchronous, with its callback."""
    url = "https://voice.example.test/twilio/amd?call=call_1"
    theirs = official(
        to="+15550100077",
        from_="+15550100002",
        timeout=30,
        twiml=STREAM.decode(),
        status_callback=CALL.status_url,
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        machine_detection=word,
        async_amd="true",
        async_amd_status_callback=url,
    )
    ours = twilio_rest.NewCall(
        caller=CALL.caller,
        callee=CALL.callee,
        ring_timeout_s=30,
        status_url=CALL.status_url,
        twiml=STREAM,
        detects_machines=True,
        waits_for_message_end=waits,
        verdict_url=url,
    )
    assert sorted(twilio_rest.new_call_form(ours)) == theirs.form


def test_a_call_is_ended_as_the_official_client_does_it() -> None:
    """Completed, which also stops a phone that rings."""
    capture = Capture()
    Client(ACCOUNT, "token", http_client=capture).calls(SID).update(status="completed")
    assert sorted(twilio_rest.end_call_form()) == capture.form
    assert twilio_rest.call_url("https://api.twilio.com", ACCOUNT, SID) == capture.url


@pytest.mark.parametrize(
    "changes",
    [
        {"ring_timeout_s": 0},
        {"ring_timeout_s": 601},
        {"url": "https://x.test/"},
        {"twiml": None},
        {"twiml": b"x" * 4001},
    ],
    ids=["no ring", "too long a ring", "both", "neither", "too much TwiML"],
)
def test_what_twilio_would_refuse_is_refused_here(changes: dict[str, Any]) -> None:
    """With what to do about it."""
    with pytest.raises(LocalProtocolError):
        twilio_rest.new_call_form(attrs.evolve(CALL, **changes))


def test_what_stands_in_a_path_is_quoted() -> None:
    """No id leads elsewhere."""
    url = twilio_rest.call_url("https://api.twilio.com", "AC/../x", "CA?y=1#z")
    assert url == "https://api.twilio.com/2010-04-01/Accounts/AC%2F..%2Fx/Calls/CA%3Fy%3D1%23z.json"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sid": 1}', b'{"sid": "MZ1"}', b'{"sid": "CA1/../x"}', b"\xff"])
def test_an_answer_without_a_calls_id_is_refused(body: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(RemoteProtocolError):
        twilio_rest.read_call_sid(body)


def test_a_problem_is_read_as_far_as_it_can_be() -> None:
    """Its number and words, printable and cut; without them it has its status."""
    problem = twilio_rest.read_problem(400, b'{"code": 21220, "message": "Call is not in-progress\\u0007"}')
    assert problem == twilio_rest.RestProblem(400, 21220, "Call is not in-progress\\x07")
    for unreadable in (b"<html>", b"[]", b"{}", b'{"code": true, "message": 1}'):
        assert twilio_rest.read_problem(502, unreadable) == twilio_rest.RestProblem(502, None, "no reason given")
    assert len(twilio_rest.read_problem(400, json.dumps({"message": "x" * 9999}).encode()).message) <= 301


@pytest.mark.parametrize(
    ("status", "body", "over"),
    [
        (404, b"", True),
        (404, b'{"code": 20404}', True),
        (400, b'{"code": 21220}', True),
        (400, b'{"code": 1, "message": "Call is Not in-progress. Cannot redirect."}', True),
        (400, b'{"code": 21211, "message": "Invalid number"}', False),
        (401, b'{"code": 20003}', False),
        (503, b"", False),
    ],
)
def test_a_call_that_is_over_is_known_by_status_number_or_words(status: int, body: bytes, over: bool) -> None:
    """Whichever of them Twilio gives."""
    assert twilio_rest.read_problem(status, body).says_that_the_call_is_over is over


@given(st.integers(0, 200))
def test_what_a_refusal_repeats_of_a_secret_is_struck_out(filler: int) -> None:
    """Also where the words are cut right behind the first half of it."""
    body = json.dumps({"message": "." * filler + "<Stream url='wss://h/" + "s3cr3t" * 8}).encode()
    assert "s3cr3t" not in twilio_rest.read_problem(400, body, ["s3cr3t" * 8]).message


@given(st.binary(max_size=60))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    """Whatever a proxy in between has to say."""
    assert isinstance(twilio_rest.read_problem(502, body), twilio_rest.RestProblem)
