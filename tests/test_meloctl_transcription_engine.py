"""From a file of sound to notes in parts, with a network that knows nothing: what does not depend on its weights."""

import numpy as np
import pytest
import soundfile
import torch

from analysis.errors import MeloError
from meloctl.transcription import engine
from meloctl.transcription.constant_q import SAMPLE_RATE
from meloctl.transcription.network import NetworkConfig, Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.part_weights import PartWeights
from meloctl.transcription.transcriber_file import (
    WEIGHTS,
    TrainedTranscriber,
    TranscriberJson,
    load_transcriber,
    save_transcriber,
)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    about = TranscriberJson(network=NetworkConfig(), thresholds=DecodingThresholds(), parts=PartWeights(), quality={})
    save_transcriber(Transcriber(NetworkConfig()), about, tmp_path / WEIGHTS)
    return tmp_path


def tones(seconds, cents=0.0):
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.1 * sum(np.sin(2 * np.pi * 220 * 2 ** (n / 12 + cents / 1200) * time) for n in (0, 4, 7, 12))


def test_a_transcription_states_length_level_and_tuning(weights, tmp_path):
    soundfile.write(tmp_path / "a.wav", tones(6.0, cents=22), SAMPLE_RATE)
    done = []
    found = engine.transcribe_audio(tmp_path / "a.wav", TranscribeOptions(model=weights), done.append)
    assert found.duration_s == pytest.approx(6.0)
    assert sum(done) == pytest.approx(6.0, abs=0.05)
    assert found.tuning_cents == pytest.approx(22, abs=2)
    assert found.peak_db == pytest.approx(20 * np.log10(np.abs(tones(6.0, 22)).max()), abs=0.1)
    assert len(found.parts) == found.notes.part.max(initial=-1) + 1
    assert found.overview.magnitude.shape[0] == 288


def test_a_recording_in_tune_is_left_alone_and_silence_has_no_tuning(weights, tmp_path):
    for name, samples in (("a.wav", tones(3.0, cents=3)), ("b.wav", np.zeros(SAMPLE_RATE))):
        soundfile.write(tmp_path / name, samples, SAMPLE_RATE)
        assert engine.transcribe_audio(tmp_path / name, TranscribeOptions(model=weights)).tuning_cents == 0


def test_weights_are_found_in_a_folder_or_refused(weights, tmp_path):
    assert engine.weights_file(weights) == engine.weights_file(weights / WEIGHTS) == weights / WEIGHTS
    with pytest.raises(MeloError, match="give a folder with"):
        engine.weights_file(tmp_path / "none")


def test_a_trained_transcriber_comes_back_as_it_was_saved(weights):
    trained = load_transcriber(weights / WEIGHTS)
    assert isinstance(trained, TrainedTranscriber)
    torch.manual_seed(1)
    for name, tensor in Transcriber(NetworkConfig()).state_dict().items():
        assert torch.equal(trained.network.state_dict()[name], tensor)


@pytest.mark.parametrize("damage", ["cut", "text", "none"])
def test_damaged_weights_are_refused_in_a_line(weights, damage):
    path = weights / WEIGHTS
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("no weights")
    else:
        path.unlink()
    with pytest.raises(MeloError, match="make one with"):
        load_transcriber(path)


def test_a_network_with_a_memory_is_refused_in_words(tmp_path):
    config = NetworkConfig(memory="linear")
    about = TranscriberJson(network=config, thresholds=DecodingThresholds(), parts=PartWeights(), quality={})
    save_transcriber(Transcriber(config), about, tmp_path / WEIGHTS)
    with pytest.raises(MeloError, match="have a memory"):
        engine.transcribe_audio(tmp_path / "a.wav", TranscribeOptions(model=tmp_path))
