"""What a request's head may look like, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.net.http.head import HeadLines, path_and_query
from voicecore.net.http.messages import BadRequest, ServerLimits

LIMITS = ServerLimits(line_bytes=40, head_bytes=100, max_headers=3)
LINE = "GET / HTTP/1.1\r\n"


def read(*pieces: bytes) -> tuple[bytes | None, bytes]:
    """Return the head and what stays behind it."""
    lines, buffer = HeadLines(LIMITS), bytearray()
    for piece in pieces:
        buffer += piece
        if (head := lines.take(buffer)) is not None:
            return head, bytes(buffer)
    return None, bytes(buffer)


def status_of(*pieces: bytes) -> int | None:
    try:
        read(*pieces)
    except BadRequest as bad:
        return bad.status
    return None


def test_a_head_ends_with_its_blank_line() -> None:
    """The head comes out as it went in; what follows stays in the buffer."""
    assert read(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody") == (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", b"body")


def test_a_head_that_is_not_there_yet_is_waited_for() -> None:
    """Without a blank line there is no head and no error."""
    assert read(b"GET / HTTP/1.1\r\nA: b\r\n")[0] is None


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n\n",
        "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\r\n\r\n",
        LINE + "A: b\r\n c\r\n\r\n",
        LINE + "A: b\r\n\tc\r\n\r\n",
        LINE + " A: b\r\n\r\n",
        LINE + "Content-Length: 2\r\ncontent-length: 2\r\n\r\n",
        LINE + "Content-Length: 2, 2\r\n\r\n",
        LINE + "Content-Length: +2\r\n\r\n",
        LINE + "Content-Length:\r\n\r\n",
        LINE + "Content-Length: 2\r\nTransfer-Encoding: x\r\n\r\n",
        LINE + "Transfer-Encoding: x\r\nContent-Length : 2\r\n\r\n",
        LINE + "Transfer-Encoding: x\r\nTransfer-Encoding: x\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(head: str) -> None:
    """A lone LF or CR, a folded line, two opinions on the body's length: 400."""
    assert status_of(head.encode()) == 400


def test_a_lone_line_feed_is_refused_before_the_head_ends() -> None:
    """Nobody waits for the end of a head that is wrong already."""
    assert status_of(b"GET / HTTP/1.1\n") == 400


@pytest.mark.parametrize(
    ("size", "status"),
    [(40, None), (41, 414)],
)
def test_a_request_line_has_a_longest_length(size: int, status: int | None) -> None:
    """Of exactly the limit it passes, one byte more is 414."""
    assert status_of(b"G" * size + b"\r\n") == status


@pytest.mark.parametrize(
    ("size", "status"),
    [(40, None), (41, 431)],
)
def test_a_header_has_a_longest_length(size: int, status: int | None) -> None:
    """Of exactly the limit it passes, one byte more is 431."""
    assert status_of(LINE.encode() + b"A" * size + b"\r\n") == status


def test_a_line_without_end_is_refused_at_its_limit() -> None:
    """The limit holds before the line is complete: a CR may still come, nothing else."""
    assert status_of(b"G" * 41) is None
    assert status_of(b"G" * 42) == 414
    assert status_of(LINE.encode() + b"A" * 42) == 431


def test_headers_have_a_largest_number_and_size() -> None:
    """One header too many, or too many bytes in all, is 431."""
    assert status_of(f"{LINE}A: b\r\nA: b\r\nA: b\r\n\r\n".encode()) is None
    assert status_of(f"{LINE}A: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n".encode()) == 431
    wide = f"A: {'b' * 30}\r\n"
    assert status_of(f"{LINE}{wide}{wide}\r\n".encode()) is None
    assert status_of(f"{LINE}{wide}{wide}{wide}\r\n".encode()) == 431


@given(
    data=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"A: b\r\n", b"Content-Length: 1\r\n", b" ", b"x"])).map(
        b"".join
    ),
    cuts=st.lists(st.integers(0, 80), max_size=5),
)
def test_how_bytes_are_cut_decides_nothing(data: bytes, cuts: list[int]) -> None:
    """Whole or in pieces, a head is accepted alike, or refused alike."""
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert status_of(*pieces) == status_of(data)
    if status_of(data) is None:
        assert read(*pieces)[0] == read(data)[0]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/twilio/voice", "/twilio/voice", ""),
        ("/a?b=http://c/d?e", "/a", "b=http://c/d?e"),
        ("http://127.0.0.1:8000/twilio/voice", "/twilio/voice", ""),
        ("HTTPS://voice.example.test/twilio/status?call=1", "/twilio/status", "call=1"),
        ("http://[::1]:8000/a", "/a", ""),
        ("http://voice.example.test", "/", ""),
        ("http://voice.example.test?a=b", "/", "a=b"),
        ("http://voice.example.test//a", "//a", ""),
        ("//voice.example.test/a", "//voice.example.test/a", ""),
        ("*", "*", ""),
        ("voice.example.test:443", "voice.example.test:443", ""),
        ("ftp://voice.example.test/a", "ftp://voice.example.test/a", ""),
    ],
)
def test_a_target_is_a_path_or_a_whole_url(target: str, path: str, query: str) -> None:
    """The host decides nothing; what is neither is a path that nobody has."""
    assert path_and_query(target) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "http:///a",
        "http://",
        "http://user@host/a",
        "http://a b/c",
        "http://host:x/",
        "http://host/a#b",
        "http://a\\b/c",
    ],
)
def test_j5_a_url_of_another_shape_is_refused(target: str) -> None:
    """Two readers might see two hosts in it."""
    with pytest.raises(BadRequest):
        path_and_query(target)


@given(st.text(alphabet="htps:/?#@[]a.1 \\\x00é", max_size=24))
def test_any_target_is_read_or_refused(target: str) -> None:
    """And a path never begins with a scheme that we know."""
    try:
        path, _ = path_and_query(target)
    except BadRequest:
        return
    assert not path.lower().startswith(("http://", "https://"))
