"""Files of sound: read in blocks whatever they hold, and refused in one line where they hold none."""

import os

import numpy as np
import pytest
import soundfile

from analysis.errors import MeloError
from meloctl.transcription import audio_file
from meloctl.transcription.audio_file import AudioFile
from meloctl.transcription.constant_q import SAMPLE_RATE


def tone(seconds, rate, channels=1):
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * time)[:, None], channels, 1).astype(np.float32)


def read(path):
    with AudioFile(path) as sound:
        return np.concatenate(list(sound.blocks())), sound


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 44_100, 2), ("a.flac", 22_050, 1), ("a.ogg", 48_000, 2), ("a.mp3", 32_000, 1), ("a.wav", 8_000, 6)],
)
def test_formats_rates_and_channels(tmp_path, name, rate, channels):
    soundfile.write(tmp_path / name, tone(2.0, rate, channels), rate)
    samples, sound = read(tmp_path / name)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE, abs=SAMPLE_RATE * 0.06)
    spectrum = np.abs(np.fft.rfft(samples[2000:42_000]))
    assert np.fft.rfftfreq(40_000, 1 / SAMPLE_RATE)[spectrum.argmax()] == pytest.approx(440, abs=1)
    assert np.abs(samples[4000:40_000]).max() == pytest.approx(0.5, abs=0.03)
    assert sound.peak == pytest.approx(0.5, abs=0.03)
    assert sound.read_s == pytest.approx(2.0, abs=0.06)


def test_small_blocks_give_the_same(tmp_path, monkeypatch):
    soundfile.write(
        tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (50_000, 2)), 44_100, subtype="FLOAT"
    )
    whole, _ = read(tmp_path / "a.wav")
    monkeypatch.setattr(audio_file, "_BLOCK_SAMPLES", 3000)
    np.testing.assert_allclose(read(tmp_path / "a.wav")[0], whole, atol=1e-6)


def test_what_is_no_sound_is_refused_in_a_line(tmp_path):
    def refused(name, words, content=None):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(MeloError, match=words) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)

    refused("none.wav", "no such file")
    refused("text.wav", "cannot be read as sound", b"this is no sound at all, " * 9)
    refused("empty.wav", "cannot be read as sound", b"")
    (tmp_path / "folder.wav").mkdir()
    refused("folder.wav", "give a file of sound")
    os.mkfifo(tmp_path / "endless.wav")
    refused("endless.wav", "give a file of sound")
    soundfile.write(tmp_path / "silent.wav", np.zeros((0, 1)), 22_050)
    refused("silent.wav", "0 samples")
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan, 0.2]), 22_050, subtype="FLOAT")
    refused("nan.wav", "no numbers near 0.0 s")
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 500)
    refused("slow.wav", "500 samples a second")


def test_a_file_cut_short_gives_what_it_holds(tmp_path):
    soundfile.write(tmp_path / "whole.wav", tone(4.0, 22_050), 22_050)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:100_000])
    samples, sound = read(tmp_path / "cut.wav")
    assert len(samples) / SAMPLE_RATE == pytest.approx(100_000 / 2 / 22_050, abs=0.01)
    assert sound.missing_s == pytest.approx(max(sound.stated_s - sound.read_s, 0))


def test_a_file_of_more_than_a_day_is_refused_once_that_is_known(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", tone(40.0, 2000), 2000)
    monkeypatch.setattr(audio_file, "MOST_HOURS", 0.01)
    with pytest.raises(MeloError, match=r"more than 0\.01 hours"):
        read(tmp_path / "a.wav")
