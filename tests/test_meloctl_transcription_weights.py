"""The network that comes with meloctl: small, described by its card, and right on tones that anybody can add up."""

import hashlib

import numpy as np
import pytest
import soundfile

from meloctl.transcription.constant_q import SAMPLE_RATE
from meloctl.transcription.engine import transcribe_audio, weights_file
from meloctl.transcription.network import parameter_count
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.transcriber_file import load_transcriber


def tone(pitch, seconds, rolloff):
    """A tone of ten harmonics that fades in 1 s."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    sound = sum(np.sin(2 * np.pi * frequency * k * time) / k**rolloff for k in range(1, 11) if frequency * k < 10_000)
    return 0.1 * sound * np.exp(-time) * np.minimum(1, time / 0.01) * np.minimum(1, (seconds - time) / 0.03)


def test_the_weights_are_small_and_the_card_names_them():
    path = weights_file(None)
    assert path.stat().st_size < 1_000_000
    card = (path.parent / "CARD.md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in card
    count = parameter_count(load_transcriber(path).network)
    assert 20_000 <= count <= 200_000
    assert f"{count:,} parameters" in card


def test_a_tune_of_plain_tones_is_written_down(tmp_path):
    pitches = [60, 62, 64, 65, 67, 67, 64, 60]
    soundfile.write(tmp_path / "a.wav", np.concatenate([tone(pitch, 0.5, 1.2) for pitch in pitches]), SAMPLE_RATE)
    notes = transcribe_audio(tmp_path / "a.wav", TranscribeOptions()).notes
    assert notes.pitch.tolist() == pitches
    np.testing.assert_allclose(notes.onset, 0.5 * np.arange(8), atol=0.05)


@pytest.mark.parametrize("cents", [-40, 25])
def test_a_tune_out_of_tune_is_written_down_too(tmp_path, cents):
    pitches = [57, 60, 64, 69]
    soundfile.write(tmp_path / "a.wav", np.concatenate([tone(p + cents / 100, 0.5, 1.2) for p in pitches]), SAMPLE_RATE)
    found = transcribe_audio(tmp_path / "a.wav", TranscribeOptions())
    assert found.notes.pitch.tolist() == pitches
    assert found.tuning_cents == pytest.approx(cents, abs=4)
