"""Text frames become binary ones on the wire, whatever pieces it takes them in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicecore.net.websocket.frame_codec import Opcode, encode_frame
from voicecore.simulation.binary_frames import BinaryFrames

SIZES = st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536])
FRAMES = st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.PING, Opcode.CLOSE]), SIZES), min_size=1, max_size=6)


@given(FRAMES, st.lists(st.integers(0, 70_000), max_size=12))
def test_text_is_binary_and_the_rest_as_it_was(frames: list[tuple[Opcode, int]], takes: list[int]) -> None:
    """The wire takes as many bytes as it likes at a time; what it did not take is written next."""
    waiting = b"".join(encode_frame(kind, b"\x81" * size) for kind, size in frames)
    binary = {Opcode.TEXT: Opcode.BINARY}
    expected = b"".join(encode_frame(binary.get(kind, kind), b"\x81" * size) for kind, size in frames)
    sent, frames_out = b"", BinaryFrames()
    for take in [*takes, len(waiting)]:
        taken = min(take, len(waiting))
        sent += frames_out.retyped(waiting)[:taken]
        frames_out.written(waiting, taken)
        waiting = waiting[taken:]
    assert sent == expected
