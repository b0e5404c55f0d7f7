"""The transcript claims only what was heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicecore.facts import Speaker, TranscriptLine
from voicecore.turns.transcript import Transcript, whole_words

A, C = Speaker.AGENT, Speaker.CALLER


def test_lines_stand_in_the_order_of_the_items_not_of_their_words() -> None:
    """The caller's words often arrive after the answer to them."""
    transcript = Transcript()
    transcript.add(C, "i1")
    transcript.add(A, "i2")
    transcript.complete(A, "i2", "Hello.")
    transcript.heard("i2")
    transcript.complete(C, "i1", "Hi?")
    assert transcript.lines() == [TranscriptLine(C, "i1", "Hi?"), TranscriptLine(A, "i2", "Hello.")]


def test_a_cut_line_keeps_whole_words_in_proportion_to_what_was_heard() -> None:
    """Half the audio is at most half the text."""
    transcript = Transcript()
    transcript.complete(A, "i1", "one two three four")
    transcript.cut("i1", heard_s=1.0, generated_s=2.0)
    assert transcript.lines() == [TranscriptLine(A, "i1", "one two", interrupted=True)]


def test_the_words_of_a_cut_line_may_come_later() -> None:
    """The cut is remembered; the text is computed from what is known when it is asked for."""
    transcript = Transcript()
    transcript.add(A, "i1")
    transcript.cut("i1", heard_s=1.0, generated_s=2.0)
    assert transcript.text("i1") is None
    transcript.complete(A, "i1", "one two three four")
    assert transcript.text("i1") == "one two"


def test_text_that_runs_ahead_of_its_audio_is_not_claimed() -> None:
    """While audio is still coming its length is estimated high: 40 characters last 4 s at least."""
    transcript = Transcript()
    transcript.extend(A, "i1", "0123 5678 0123 5678 0123 5678 0123 5678")
    transcript.cut("i1", heard_s=1.0, generated_s=None)
    assert transcript.text("i1") == "0123 5678"


def test_what_was_not_heard_at_all_is_not_in_the_transcript() -> None:
    """C8: an item cut before its first frame was never said."""
    transcript = Transcript()
    transcript.complete(A, "i1", "Never said.")
    transcript.cut("i1", heard_s=0.0, generated_s=2.0)
    assert (transcript.lines(), transcript.text("i1")) == ([], None)


def test_an_item_that_was_never_settled_was_not_heard() -> None:
    """Generated is not said."""
    transcript = Transcript()
    transcript.complete(A, "i1", "Generated.")
    assert transcript.lines() == []


def test_the_first_fate_of_a_line_stands() -> None:
    """A cut and a last mark can meet in the same instant; one of them was first."""
    transcript = Transcript()
    transcript.complete(A, "i1", "All of it.")
    transcript.heard("i1")
    transcript.cut("i1", heard_s=0.1, generated_s=2.0)
    assert transcript.lines() == [TranscriptLine(A, "i1", "All of it.")]


def test_d20_a_caller_turn_without_words_is_kept() -> None:
    """Transcription failed: the turn is recorded once, without text."""
    transcript = Transcript()
    transcript.add(C, "i1")
    transcript.add(C, "i1")
    assert transcript.lines() == [TranscriptLine(C, "i1", None)]


@given(st.text(max_size=60), st.floats(0, 1.5))
def test_whole_words_gives_a_prefix_and_never_more_than_its_share(text: str, fraction: float) -> None:
    """Heard text is a prefix; it grows with what was heard and is never longer than its share."""
    kept = whole_words(text, fraction)
    assert text.startswith(kept)
    assert len(kept) <= max(len(text) * fraction, 0) + 1e-9 or fraction >= 1
    assert len(whole_words(text, fraction / 2)) <= len(kept)


@given(st.lists(st.text("abcdef", min_size=1, max_size=8), min_size=2, max_size=10), st.floats(0, 1))
def test_whole_words_never_cuts_a_word(words: list[str], fraction: float) -> None:
    """What is kept are words of the text."""
    kept = whole_words(" ".join(words), fraction).split()
    assert kept == words[: len(kept)]


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    """A Chinese sentence has no spaces to cut at; a single Latin word is kept whole or not at all."""
    assert whole_words("请稍等一下谢谢您", 0.5) == "请稍等一"
    assert whole_words("Goodbye.", 0.9) == ""
