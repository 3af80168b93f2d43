"""Sound of MIDI files: what the synthesizer spoils is rendered again, never written."""

import numpy as np
import pytest
from scipy.io import wavfile

from analysis.errors import MeloError
from meloctl.score import render


def rendered(monkeypatch, *sounds):
    """Let the synthesizer give these sounds, one each time it is asked; the list of those not yet given."""
    left = list(sounds)
    monkeypatch.setattr(render, "render_midi", lambda *_, **__: left.pop(0))
    return left


def test_the_loudest_sample_lies_at_minus_one_decibel(monkeypatch, tmp_path):
    sound = np.array([[0.0, 0.1], [-0.4, 0.2]])
    rendered(monkeypatch, sound)
    assert render.write_sound(tmp_path / "a.mid", tmp_path / "a.wav", soundfont=tmp_path, sample_rate=4) == 0.5
    rate, written = wavfile.read(tmp_path / "a.wav")
    assert (rate, written.dtype) == (4, np.int16)
    assert np.abs(written / 32767 - sound / 0.4 * 10 ** (-1 / 20)).max() < 1e-4


def test_sound_that_is_not_finite_is_rendered_again(monkeypatch, tmp_path):
    good, bad = np.full((4, 2), 0.5), np.array([[0.5, np.nan]])
    left = rendered(monkeypatch, bad, -bad, good, good)
    assert render.write_sound(tmp_path / "a.mid", tmp_path / "a.wav", soundfont=tmp_path, sample_rate=4) == 1.0
    assert len(left) == 1


def test_a_file_that_never_gives_finite_sound_is_refused(monkeypatch, tmp_path):
    rendered(monkeypatch, *[np.array([[np.inf, 0.0]])] * 100)
    with pytest.raises(MeloError, match="no finite sound in 8 tries"):
        render.write_sound(tmp_path / "a.mid", tmp_path / "a.wav", soundfont=tmp_path)
    assert not (tmp_path / "a.wav").exists()
