"""WebSocket frames of a client, well-formed and not; wsproto is the judge of the well-formed ones."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, Pong, TextMessage

from voicecore.net.websocket.frame_codec import (
    CloseReceived,
    Faulted,
    FrameEvent,
    FrameParser,
    Opcode,
    PingReceived,
    PongReceived,
    encode_close,
    encode_frame,
)
from voicecore_tests.net.port_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    length_bytes,
    piece,
)

pytestmark = pytest.mark.own_transport("no connection in it")

LIMIT_BYTES = 70_000


def parse(*pieces: bytes, limit_bytes: int = LIMIT_BYTES) -> list[FrameEvent]:
    parser = FrameParser(limit_bytes)
    return [event for data in pieces for event in parser.feed(data)]


def fault_of(*pieces: bytes, limit_bytes: int = LIMIT_BYTES) -> int | None:
    """Return the code of the fault that the bytes end on, None when there is none."""
    events = parse(*pieces, limit_bytes=limit_bytes)
    return events[-1].code if events and isinstance(events[-1], Faulted) else None


# --- what is right ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT_BYTES])
def test_a_message_of_any_length_comes_out_as_it_went_in(size: int) -> None:
    """Around every change of the length's form."""
    text = "x" * size
    assert parse(frame(TEXT, text.encode())) == [text]


def test_pieces_make_one_message_and_may_have_control_frames_between() -> None:
    """A ping within a message is answered before the message ends."""
    assert parse(piece(TEXT, b"he"), frame(PING, b"?"), piece(CONTINUATION), frame(CONTINUATION, b"llo")) == [
        PingReceived(b"?"),
        "hello",
    ]


def test_a_character_may_be_split_between_pieces() -> None:
    """Only the whole message has to be UTF-8."""
    whole = "é€😀".encode()
    assert parse(piece(TEXT, whole[:1]), piece(CONTINUATION, whole[1:7]), frame(CONTINUATION, whole[7:])) == ["é€😀"]


def test_a_close_says_code_and_reason() -> None:
    """Without a code it is 1005."""
    assert parse(close_frame(1001, b"bye")) == [CloseReceived(1001, "bye")]
    assert parse(frame(CLOSE)) == [CloseReceived(1005, "")]


def test_nothing_is_read_behind_a_close_or_a_fault() -> None:
    """What stands before is kept, in the same read and in later ones; what stands behind is not looked at."""
    before, behind = frame(TEXT, b"before"), frame(TEXT, b"behind")
    assert parse(before + close_frame(1000) + behind, behind) == ["before", CloseReceived(1000, "")]
    events = parse(before + frame(3) + behind, behind)
    assert events[0] == "before"
    assert isinstance(events[1], Faulted)
    assert len(events) == 2


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_s24_close_codes_that_may_be_sent(code: int) -> None:
    """Those that RFC 6455 or IANA assign, and the free ranges."""
    assert parse(close_frame(code)) == [CloseReceived(code, "")]


# --- against the judge -------------------------------------------------------------------

messages = st.one_of(
    st.text(max_size=300).map(TextMessage),
    st.text(min_size=1, max_size=40).map(lambda text: TextMessage(text, message_finished=False)),
    st.binary(max_size=125).map(Ping),
    st.binary(max_size=125).map(Pong),
)


def expected(sent: list[Event]) -> list[FrameEvent]:
    events: list[FrameEvent] = []
    begun = ""
    for event in sent:
        if isinstance(event, Ping):
            events.append(PingReceived(bytes(event.payload)))
        elif isinstance(event, Pong):
            events.append(PongReceived(bytes(event.payload)))
        elif isinstance(event, Message):
            begun += str(event.data)
            if event.message_finished:
                events.append(begun)
                begun = ""
    return events


@given(sent=st.lists(messages, max_size=12), cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_what_wsproto_sends_is_understood_however_it_is_cut(sent: list[Event], cuts: list[int]) -> None:
    """Any mixture of messages, pieces and control frames; any cuts; the same events."""
    client = Connection(ConnectionType.CLIENT)
    data = b"".join(client.send(event) for event in sent)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert parse(*pieces) == expected(sent)


@given(text=st.text(max_size=300), code=st.sampled_from([1000, 1001, 1009, 4000]), reason=st.text(max_size=200))
def test_wsproto_understands_what_is_sent(text: str, code: int, reason: str) -> None:
    """Frames as a server sends them; a reason that is too long is cut at a character."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(encode_frame(Opcode.TEXT, text.encode()) + encode_frame(Opcode.PING, b"?"))
    client.receive_data(encode_close(code, reason))
    *first, close = client.events()
    assert "".join(event.data for event in first if isinstance(event, TextMessage)) == text
    assert isinstance(first[-1], Ping)
    assert isinstance(close, CloseConnection)
    assert close.code == code
    assert reason.startswith(close.reason or "")


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_faulted(data: bytes) -> None:
    """Nothing else comes out, and byte by byte it is the same."""
    whole = parse(data)
    assert parse(*(data[index : index + 1] for index in range(len(data)))) == whole


# --- what is wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("first", [0xC1, 0xA1, 0x91, 0xF1, 0x83, 0x87, 0x8B, 0x8F])
def test_s18_s19_reserved_bits_and_opcodes(first: int) -> None:
    """Nothing was negotiated that would give them a meaning: 1002."""
    assert fault_of(frame(TEXT, b"x", first=first)) == 1002


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x", mask=None),
        frame(PING, b"x", first=PING),
        frame(CLOSE, b"", first=CLOSE),
        frame(PING, b"x" * 126),
        frame(PONG, b"x" * 126),
        frame(CONTINUATION, b"x"),
        piece(TEXT, b"x") + frame(TEXT, b"x"),
        b"\x81\xfe\x00\x7d" + MASK,
        b"\x81\xff" + struct.pack("!Q", 65_535) + MASK,
    ],
    ids=[
        "not masked",
        "ping in pieces",
        "close in pieces",
        "ping of 126",
        "pong of 126",
        "piece of nothing",
        "message within another",
        "long form of a short length",
        "longest form of a shorter length",
    ],
)
def test_s19_frames_that_the_standard_forbids(data: bytes) -> None:
    """1002."""
    assert fault_of(data) == 1002


def test_a_binary_message_from_whoever_dialled_us_is_refused() -> None:
    """1003: carriers send text, and strangers get no second way in."""
    assert fault_of(frame(BINARY, b"x")) == 1003


@pytest.mark.parametrize("length", [LIMIT_BYTES + 1, 2**40, 2**63, 2**64 - 1])
def test_s20_a_length_that_is_only_announced(length: int) -> None:
    """1009 as soon as the length is known, before the mask and the first byte."""
    assert fault_of(b"\x81" + length_bytes(length)) == 1009


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(TEXT, b"\xff")],
        [frame(TEXT, b"\xed\xa0\x80")],
        [frame(TEXT, b"\xc3")],
        [piece(TEXT, b"\xc3"), frame(CONTINUATION, b"x")],
        [piece(TEXT, b"good"), piece(CONTINUATION, b"good"), frame(CONTINUATION, b"\x80")],
    ],
)
def test_s21_text_that_is_not_utf8(pieces: list[bytes]) -> None:
    """1007, also when only the last piece is wrong."""
    assert fault_of(*pieces) == 1007


def test_s22_the_limit_counts_a_message_and_not_its_frames() -> None:
    """Of exactly the limit it is accepted, one byte more is 1009, in one frame or in many."""
    limit = 1_000
    exact = [piece(TEXT), *[piece(CONTINUATION, b"x")] * (limit - 1), frame(CONTINUATION, b"x")]
    assert parse(*exact, limit_bytes=limit) == ["x" * limit]
    assert fault_of(*exact[:-1], frame(CONTINUATION, b"xx"), limit_bytes=limit) == 1009
    assert fault_of(frame(TEXT, b"x" * limit), limit_bytes=limit) is None
    assert fault_of(frame(TEXT, b"x" * (limit + 1)), limit_bytes=limit) == 1009
    assert fault_of(frame(TEXT, b"x" * limit), frame(TEXT, b"x" * limit), limit_bytes=limit) is None


def test_s22_the_smallest_pieces_cost_no_more_memory_than_their_bytes() -> None:
    """A message of 60,000 pieces holds what one of 60,000 bytes does, twice at most."""
    parser, small = FrameParser(LIMIT_BYTES), piece(CONTINUATION, b"x")
    parser.feed(piece(TEXT))
    tracemalloc.start()
    try:
        for _ in range(60_000):
            parser.feed(small)
        assert tracemalloc.get_traced_memory()[0] < 120_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_s24_close_codes_that_may_not_be_sent(code: int) -> None:
    """1002."""
    assert fault_of(close_frame(code)) == 1002


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(CLOSE, b"\x03"), 1002),
        (close_frame(1000, b"\xff"), 1007),
        (close_frame(1000, b"x" * 124), 1002),
    ],
)
def test_s24_closes_that_are_no_closes(data: bytes, code: int) -> None:
    """Half a code, a reason that is not UTF-8, one that is too long."""
    assert fault_of(data) == code


def test_an_unfinished_message_is_known() -> None:
    """Half a frame, or a message whose last piece is owed."""
    parser, seen = FrameParser(LIMIT_BYTES), []
    for data in (frame(TEXT, b"hello")[:3], frame(TEXT, b"hello")[3:], piece(TEXT), frame(CONTINUATION)):
        parser.feed(data)
        seen.append(parser.is_mid_message)
    assert seen == [True, False, True, False]
