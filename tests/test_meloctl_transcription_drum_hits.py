"""Hits of drums in sounds that are made by hand."""

import numpy as np
import pytest
import torch

from meloctl.transcription.constant_q import HOP, SAMPLE_RATE, ConstantQ
from meloctl.transcription.drum_hits import DrumHits, drums_sentence, hits_apart
from meloctl.transcription.notes import NoteTable

FRAME_S = HOP / SAMPLE_RATE
AT = (0.5, 1.1, 1.7, 2.3, 2.9, 3.5)


def _magnitudes(samples):
    with torch.no_grad():
        return ConstantQ()(torch.from_numpy(samples.astype(np.float32))[None])[0].abs().numpy()


def _bursts(seconds=4.0):
    """Noise that dies away, at `AT`."""
    rng, samples = np.random.default_rng(0), np.zeros(round(seconds * SAMPLE_RATE))
    burst = rng.normal(size=4000) * np.exp(-np.arange(4000) / 800)
    for second in AT:
        start = round(second * SAMPLE_RATE)
        samples[start : start + 4000] += 0.2 * burst
    return samples


def _plucks(seconds=4.0):
    """Ten harmonics of A3 that begin at `AT`, within 10 ms, and die away."""
    time = np.arange(round(0.5 * SAMPLE_RATE)) / SAMPLE_RATE
    pluck = sum(np.sin(2 * np.pi * 220 * h * time) / h for h in range(1, 11)) * np.exp(-6 * time)
    pluck *= np.minimum(time / 0.01, 1) * np.minimum((0.5 - time) / 0.01, 1)
    samples = np.zeros(round(seconds * SAMPLE_RATE))
    for second in AT:
        start = round(second * SAMPLE_RATE)
        samples[start : start + len(pluck)] += 0.1 * pluck
    return samples


def _hits(magnitudes, *cuts):
    found = DrumHits(FRAME_S)
    for chunk in np.split(magnitudes, cuts, axis=1):
        found.add(chunk)
    return found.hits()


def test_bursts_of_noise_are_hits_and_harmonics_that_begin_are_none():
    assert _hits(_magnitudes(_bursts())) == pytest.approx(AT, abs=0.03)
    assert not len(_hits(_magnitudes(_plucks())))


def test_chunks_change_nothing():
    magnitudes = _magnitudes(_bursts() + _plucks())
    whole = _hits(magnitudes)
    assert _hits(magnitudes, 1, 2, 50, 51, 170).tolist() == whole.tolist()


def test_hits_at_onsets_of_notes_are_the_notes():
    notes = NoteTable.of([0.5, 1.1, 1.75], [1, 1.5, 2], [60, 60, 60])
    assert hits_apart(np.array(AT), notes).tolist() == list(AT[3:])
    assert hits_apart(np.array(AT), NoteTable.of([], [], [])).tolist() == list(AT)


def test_drums_are_named_where_enough_hits_stand_apart():
    none = NoteTable.of([], [], [])
    assert "6 hits without a note in 4 s" in drums_sentence(np.array(AT), none, 4.0)
    assert drums_sentence(np.array(AT), none, 60.0) is None  # 0.1 a second
    assert drums_sentence(np.array(AT[:3]), none, 4.0) is None


def test_silence_and_nothing_have_no_hits():
    assert not len(_hits(np.zeros((288, 40), np.float32)))
    assert not len(DrumHits(FRAME_S).hits())
