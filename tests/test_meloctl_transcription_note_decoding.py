"""Notes out of posteriors: planted notes are found, repeated ones stay apart, and chunks change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meloctl.transcription.note_decoding import DecodingThresholds, NoteDecoder

FRAME = 0.02


def planted(notes, frames=200):
    """Posteriors of notes (pitch, first frame, last frame): note .9 while it sounds, onset .8 with .4 beside it."""
    note, onset = np.full((88, frames), 0.02, np.float32), np.full((88, frames), 0.01, np.float32)
    timbre = np.zeros((4, 88, frames), np.float32)
    timbre[3] = 1
    for pitch, first, last in notes:
        note[pitch - 21, first : last + 1] = 0.9
        onset[pitch - 21, first] = 0.8
        onset[pitch - 21, [first - 1, first + 1]] = 0.4
        timbre[:, pitch - 21, first : last + 1] = np.eye(4)[pitch % 3][:, None]
    return note, onset, timbre, note * 0.1


def decoded(posteriors, cuts=(), **limits):
    decoder = NoteDecoder(DecodingThresholds(**limits), 4, FRAME)
    for first, end in zip([0, *cuts], [*cuts, posteriors[0].shape[1]], strict=True):
        decoder.add(*(some[..., first:end] for some in posteriors))
    return decoder.finish()


def test_planted_notes_are_found_with_their_timbre():
    table = decoded(planted([(60, 10, 40), (64, 10, 90), (48, 120, 198)]))
    assert table.pitch.tolist() == [60, 64, 48]
    np.testing.assert_allclose(table.onset, np.array([10, 10, 120]) * FRAME)
    np.testing.assert_allclose(table.offset, np.array([41, 91, 199]) * FRAME)
    np.testing.assert_allclose(table.embedding, np.eye(4)[[0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(table.confidence, np.sqrt(0.8 * 0.9), rtol=1e-5)
    np.testing.assert_allclose(table.loudness, 20 * np.log10(0.09), rtol=1e-5)


def test_an_onset_between_frames_is_found_there():
    posteriors = planted([(60, 50, 90)])
    posteriors[1][39, [49, 50, 51]] = 0.6, 0.8, 0.4
    assert decoded(posteriors).onset[0] == pytest.approx((50 - 1 / 6) * FRAME, rel=1e-4)


def test_a_repeated_note_is_two_and_two_peaks_side_by_side_are_one():
    apart, beside = planted([(60, 10, 30), (60, 31, 60)]), planted([(60, 10, 40)])
    beside[1][39, 12] = 0.9
    assert decoded(apart).onset.tolist() == pytest.approx([10 * FRAME, 31 * FRAME])
    assert decoded(beside, merged_frames=3).onset.tolist() == pytest.approx([12 * FRAME], abs=FRAME / 2)
    assert len(decoded(beside, merged_frames=1, shortest_frames=2)) == 2


def test_what_has_no_onset_no_sound_or_no_length_is_no_note():
    no_onset, no_sound, short = planted([(60, 10, 40)]), planted([(60, 10, 40)]), planted([(60, 10, 11)])
    no_onset[1][:] = 0
    no_sound[0][:] = 0
    assert len(decoded(no_onset)) == len(decoded(no_sound)) == len(decoded(short, shortest_frames=3)) == 0
    assert len(decoded(short, shortest_frames=2)) == 1


def test_a_gap_is_bridged_up_to_the_limit():
    gap = planted([(60, 10, 60)])
    gap[0][39, 30:33] = 0.1
    assert decoded(gap, gap_frames=3).offset.tolist() == [61 * FRAME]
    assert decoded(gap, gap_frames=2).offset.tolist() == [30 * FRAME]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 149), max_size=5, unique=True))
def test_chunks_change_nothing(seed, cuts):
    rng = np.random.default_rng(seed)
    note = np.clip(np.cumsum(rng.normal(0, 0.2, (88, 150)), 1), 0, 1).astype(np.float32)
    onset = rng.random((88, 150)).astype(np.float32)
    timbre = rng.normal(size=(4, 88, 150)).astype(np.float32)
    whole, parts = decoded((note, onset, timbre, note)), decoded((note, onset, timbre, note), sorted(cuts))
    assert len(whole) > 50
    for name, column in whole.columns().items():
        np.testing.assert_allclose(parts.columns()[name], column, rtol=1e-6, atol=1e-9, err_msg=name)


def test_nothing_gives_no_notes():
    empty = NoteDecoder(DecodingThresholds(), 4, FRAME).finish()
    assert len(empty) == 0
    assert empty.embedding.shape == (0, 4)


def test_more_notes_than_were_set_aside_for():
    decoder = NoteDecoder(DecodingThresholds(), 4, FRAME)
    for _ in range(30):
        decoder.add(*planted([(pitch, 10, 40) for pitch in range(30, 80)], frames=60))
    table = decoder.finish()
    assert len(table) == 30 * 50
    np.testing.assert_array_equal(table.pitch.reshape(30, 50), np.tile(np.arange(30, 80), (30, 1)))
    np.testing.assert_allclose(table.embedding[:50], np.eye(4)[np.arange(30, 80) % 3], atol=1e-6)
