"""Training of the transcriber on stems of plain tones: batches, steps, resumption, thresholds and the command."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import facts, mistake
from sung_stems import write_sung_stems

from analysis.errors import MeloError
from meloctl.progress import SilentReporter
from meloctl.transcription import transcriber_training
from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.network import FRAME_S, NetworkConfig, Posteriors, Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.training_batches import BatchOptions, batches_from, chosen_stems, drawn_batch
from meloctl.transcription.transcriber_file import WEIGHTS, load_transcriber
from meloctl.transcription.transcriber_loss import TIMBRE_WEIGHTS, batch_losses
from meloctl.transcription.transcriber_options import TranscriberOptions
from meloctl.transcription.transcriber_state import STATE
from meloctl.transcription.transcriber_training import TranscriberTrainConfig, train_transcriber
from meloctl.transcription.transcriber_validation import (
    FoundPosteriors,
    ValidationMix,
    fitted_thresholds,
    mean_f,
    validation_mixes,
)
from meloctl.transcription.transcription_targets import batch_targets

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = NetworkConfig(bin_channels=2, channels=8, timbre_width=5, dilations=(1,), pitch_kernel=5, level_frames=87)
FEW = BatchOptions(mixes=2, seconds=1.0)


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    """A folder of stems."""
    return write_sung_stems(tmp_path_factory.mktemp("stems"))


@pytest.fixture(scope="module")
def library(stems):
    """Those to train on."""
    return StemLibrary(stems, "train")


@pytest.fixture(scope="module")
def held_out(stems):
    """A mix of two parts of the others."""
    return validation_mixes(StemLibrary(stems, "validation"), 1, seconds=3.0)[1:2]


def trained(library, held_out, folder, reporter=None, **settings):
    """(averaged network, progress) of a small run."""
    torch.manual_seed(0)
    config = TranscriberTrainConfig(batches=FEW, **settings)
    return train_transcriber(Transcriber(SMALL), library, held_out, config, folder, reporter or SilentReporter())


def test_a_batch_depends_on_its_number_alone(library):
    alone = drawn_batch(library, ConstantQ(), FEW, seed=7, number=3)
    with batches_from(library, FEW, seed=7, first=2) as following:
        following()
        third = following()
    assert torch.equal(third.magnitudes, alone.magnitudes)
    assert all(torch.equal(a, b) for a, b in zip(third.targets, alone.targets, strict=True))
    other = drawn_batch(library, ConstantQ(), FEW, seed=7, number=4)
    assert not torch.equal(other.magnitudes, alone.magnitudes)


def test_stems_are_chosen_by_their_sound(library):
    assert {place.family for place in chosen_stems(library, "all").places} == {"packs", "fluid"}
    synthetic = chosen_stems(library, "synthetic")
    assert {place.family for place in synthetic.places} == {"fluid"}
    assert len(synthetic.melodic) == len(library.melodic) / 2
    with pytest.raises(MeloError, match="no stems of such sound"):
        chosen_stems(library, "additive")


@pytest.mark.parametrize("name", list(TIMBRE_WEIGHTS))
def test_losses_of_silence_and_of_notes_can_be_learned_from(library, name):
    network = Transcriber(SMALL)
    batch = drawn_batch(library, ConstantQ(), BatchOptions(mixes=3, seconds=1.0), seed=0, number=0)
    for targets in (batch.targets, batch_targets([NoteTable.of([], [], [])] * 3, 44)):
        network.zero_grad()
        losses = batch_losses(network(batch.magnitudes), targets, name)
        sum(losses).backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert losses[2].item() == 0


def test_what_the_targets_say_costs_least(library):
    batch = drawn_batch(library, ConstantQ(), BatchOptions(mixes=3, seconds=1.0), seed=0, number=1)
    note, onset = ((t.clamp(1e-6, 1 - 1e-6)).logit() for t in batch.targets[:2])
    timbre = torch.zeros(3, 4, 88, note.shape[-1])
    timbre[:, 0] = 1
    right = batch_losses(Posteriors(note, onset, timbre), batch.targets, "affinity")
    shifted = batch_losses(Posteriors(note.roll(1, 1), onset.roll(1, 1), timbre), batch.targets, "affinity")
    assert right[0] < 1e-4 < shifted[0]
    assert right[1] < 1e-4 < shifted[1]


def test_training_lowers_the_losses_and_reports_validation(library, held_out, tmp_path):
    network, progress = trained(library, held_out, tmp_path, steps=30)
    assert progress.step == 30
    assert len(progress.history) == 10
    assert progress.history[-1]["note_loss"] < 0.7 * progress.history[0]["note_loss"]
    assert 0 <= progress.history[-1]["validation_f"] <= 1
    assert not network.training


class Stopping(SilentReporter):
    """Stops a run as Ctrl-C does, after some steps."""

    def __init__(self, after):
        self.left = after

    def advance(self, steps=1, *, status=""):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("balance", ["fixed", "dwa"])
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(library, held_out, tmp_path, monkeypatch, balance):
    whole, _ = trained(library, held_out, tmp_path / "whole", steps=5, balance=balance)
    monkeypatch.setattr(transcriber_training, "_SAVE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        trained(library, held_out, tmp_path / "stopped", Stopping(3), steps=5, balance=balance)
    resumed, progress = trained(library, held_out, tmp_path / "stopped", steps=5, balance=balance)
    assert progress.step == 5
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_damaged_state_is_refused(library, held_out, tmp_path):
    (tmp_path / STATE).write_bytes(b"no safetensors")
    with pytest.raises(MeloError, match="a damaged training state"):
        trained(library, held_out, tmp_path, steps=2)


def test_thresholds_are_fitted_to_what_the_network_says():
    notes = NoteTable.of([0.2, 0.7, 1.2], [0.6, 1.1, 1.9], [60, 60, 64], part=[0, 0, 0])
    targets = batch_targets([notes], round(2.2 / FRAME_S))
    quiet = FoundPosteriors(
        0.3 * targets.note[0].numpy(), 0.3 * targets.onset[0].numpy(), np.ones((1, 88, 95), np.float32)
    )
    mixes = [ValidationMix(torch.zeros(288, 1), notes, 1)]
    assert mean_f([quiet], mixes, DecodingThresholds()) == 0
    fitted = fitted_thresholds([quiet], mixes)
    assert fitted.note < 0.3
    assert fitted.onset < 0.3
    assert mean_f([quiet], mixes, fitted) == 1


def test_the_command_trains_and_repeats_nothing(stems, tmp_path):
    arguments = (
        "train-transcriber",
        "--stems",
        stems,
        "--steps",
        1,
        "--minutes",
        5,
        "--memory",
        "flow",
        "--loss",
        "affinity",
    )
    result = facts(*arguments, work=tmp_path)
    assert result["steps"] == 1
    assert result["stems"] == 4
    assert set(result["validation_f"]) == {"1", "2"}
    loaded = load_transcriber(Path(result["path"]) / WEIGHTS)
    assert loaded.about.network.memory == "flow"
    assert facts(*arguments, work=tmp_path) == result


def test_mistakes_of_the_command(tmp_path):
    assert "give none or hebbian or linear or flow" in mistake("train-transcriber", "--memory", "lstm", work=tmp_path)
    assert "no stems in it" in mistake("train-transcriber", "--stems", tmp_path, work=tmp_path)
    assert "give more than 0" in mistake("train-transcriber", "--minutes", "0", work=tmp_path)
    assert "leave out sounds" in mistake("train-transcriber", "--stems", "a", "--music", "b", work=tmp_path)
    assert "folders of soundfonts" in mistake("train-transcriber", "--sounds", tmp_path / "x", work=tmp_path)


def test_what_changes_training_is_in_the_recipe():
    assert set(TranscriberOptions().of_training()) >= {
        "minutes",
        "steps",
        "memory",
        "loss",
        "balance",
        "train_on",
        "seed",
    }
