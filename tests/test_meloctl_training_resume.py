"""A stopped run goes on as if it had not been stopped; what is damaged or not finite ends with one clear line."""

import json
import math
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from train_small import DATA, Recorder, V, fresh, run

from analysis.errors import MeloError
from meloctl.dataset.stream import PackStream
from meloctl.model.checkpoint import load_metadata, load_model
from meloctl.training.processes import start_accelerator
from meloctl.training.validation import validation_loss


def loss_of(model, chosen=DATA[1], rows=100):
    return validation_loss(model, chosen, rows, start_accelerator())


@pytest.mark.parametrize("stop_after", [1, 10])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, stop_after):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed, first, second = Recorder(), Recorder(stop_after), Recorder()
    settings = {"save_seconds": 0.0, "packs": 1}
    ended = run(whole, undisturbed, **settings)
    with pytest.raises(KeyboardInterrupt):
        run(parts, first, **settings)
    assert run(parts, second, **settings).best == ended.best
    assert second.estimate.done == stop_after - 1  # the step that was stopped is not saved
    losses = {**dict(first.steps), **dict(second.steps)}
    assert losses == dict(undisturbed.steps)
    a, b = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)
    a, b = (pd.read_csv(folder / "metrics.csv") for folder in (whole, parts))
    columns = [c for c in a if "bits" in c or c in ("step", "learning_rate") or c.startswith("validation")]
    pd.testing.assert_frame_equal(a[columns], b[columns], check_exact=True)


def test_without_a_save_between_a_stopped_run_goes_on_from_its_last_evaluation(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Recorder(12), packs=1)
    state = json.loads(load_metadata(tmp_path / "last.safetensors")["progress"])
    second = Recorder()
    run(tmp_path, second, packs=1)
    assert 0 < second.estimate.done == state["step"] == state["history"][-1]["step"] < 11


def test_every_evaluation_of_a_stopped_run_is_written_to_tensorboard_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Recorder(12), packs=1)
    ended = run(tmp_path, Recorder(), packs=1)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = [point.step for point in events.Scalars("validation_bits_per_note")]
    assert points == [entry["step"] for entry in ended.history]


def test_a_run_that_ended_before_its_manifest_is_not_trained_again(tmp_path):
    first = run(tmp_path, Recorder())
    reporter = Recorder()
    assert run(tmp_path, reporter) == first
    assert reporter.steps == []
    for damage in ("[]", "{}", json.dumps({**json.loads((tmp_path / "training.json").read_text()), "step": "x"})):
        (tmp_path / "training.json").write_text(damage)
        with pytest.raises(MeloError, match="a damaged training record"):
            run(tmp_path, Recorder())


def test_a_damaged_training_state_is_refused(tmp_path):
    state = tmp_path / "last.safetensors"
    save_file({"random": torch.zeros(3)}, state, {"progress": "{}"})
    with pytest.raises(MeloError, match="a damaged training state"):
        run(tmp_path, Recorder())
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(MeloError, match=f"a damaged training state, .*; delete {tmp_path} and train again"):
        run(tmp_path, Recorder())
    state.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Recorder(stop_after=7))
    good, lines = load_file(state), load_metadata(state)
    progress = json.loads(lines["progress"])
    moment = next(k for k in good if k.startswith("exp_avg."))
    for tensors, metadata in (
        ({**good, moment: good[moment][:1]}, lines),
        ({k: v for k, v in good.items() if k != moment}, lines),
        ({k: v for k, v in good.items() if k != moment.replace("exp_avg.", "model.")}, lines),
        (good, {"progress": json.dumps({**progress, "step": "x"})}),
        (good, {"progress": "no json"}),
        (good, {}),
    ):
        save_file(tensors, state, metadata)
        with pytest.raises(MeloError, match="a damaged training state"):
            run(tmp_path, Recorder())


# signals


class Signalled(Recorder):
    """A reporter whose process gets signals after a step."""

    def __init__(self, after, *numbers):
        super().__init__()
        self.after, self.numbers = after, numbers

    def advance(self, steps=1, *, status=""):
        super().advance(steps, status=status)
        if status.step == self.after:
            for number in self.numbers:
                signal.raise_signal(number)


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_gets_a_signal_saves_the_current_step(tmp_path, number):
    before, first, second = handlers(), Signalled(11, number), Recorder()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first, packs=1)
    assert first.steps[-1][0] == 11
    assert handlers() == before
    run(tmp_path, second, packs=1)
    assert second.estimate.done == 11
    assert handlers() == before


def test_a_second_signal_stops_at_once(tmp_path):
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Signalled(3, signal.SIGTERM, signal.SIGINT), packs=1)
    assert not (tmp_path / "last.safetensors").exists()
    assert handlers() == before


def test_a_run_that_gets_a_signal_in_its_last_step_has_ended_and_is_not_trained_again(tmp_path):
    steps = run(tmp_path / "whole", Recorder(), packs=1).step
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", Signalled(steps, signal.SIGINT), packs=1)
    again = Recorder()
    assert run(tmp_path / "stopped", again, packs=1).step == steps
    assert again.steps == []


def test_signals_that_were_ignored_stay_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(tmp_path, Signalled(3, signal.SIGINT), packs=1, epochs=2).why == "all 2 epochs are done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, tmp_path, Recorder(), packs=1, epochs=2).result().why == "all 2 epochs are done"


# what is not finite


def poisoned_after(steps, poison):
    """A model, and a reporter that damages it after some steps of training."""
    model = fresh()

    class Poisoner(Recorder):
        def advance(self, n=1, *, status=""):
            super().advance(n, status=status)
            if status.step == steps:
                poison(model)

    return model, Poisoner()


def start_is_nan(model):
    with torch.no_grad():
        model.start.fill_(math.nan)


def gradient_is_infinite(model):
    model.start.register_hook(lambda gradient: gradient * math.inf)


@pytest.mark.parametrize(
    ("poison", "says"),
    [
        (start_is_nan, r"the loss is nan at step 6, epoch \d+"),
        (gradient_is_infinite, r"the loss is finite, but the norm of its gradient is (nan|inf) at step 6, epoch \d+"),
    ],
)
def test_what_is_not_finite_stops_with_the_pieces_named_and_the_last_good_model_kept(tmp_path, poison, says):
    model, reporter = poisoned_after(6, poison)
    with pytest.raises(MeloError, match=says) as caught:
        run(tmp_path, reporter, model=model)
    stream = PackStream(DATA[0], 100, V, seed=3)
    epoch = stream.epoch_of(12)
    window = stream.arrangement(epoch).of(12 - stream.first_of(epoch))[0]  # step 6 begins with pack 12
    assert f"in window {window} from bar {DATA[0][window].first_bar};" in str(caught.value).replace(" and", ";", 1)
    kept, quality = load_model(tmp_path)
    assert f"the best model so far (step {quality['step']}) is kept in {tmp_path}; lower `learning_rate`" in str(
        caught.value
    )
    assert math.isfinite(loss_of(kept).bits_per_note)


@pytest.mark.parametrize(
    ("bad_from", "left"), [(1, "no model is kept yet"), (2, r"the best model so far \(step \d+\) is kept")]
)
def test_a_validation_that_is_not_finite_stops(tmp_path, monkeypatch, bad_from, left):
    seen = []

    def bad_loss(*args):
        quality = validation_loss(*args)
        seen.append(quality)
        return replace(quality, bits_per_note=math.nan) if len(seen) >= bad_from else quality

    monkeypatch.setattr("meloctl.training.trainer.validation_loss", bad_loss)
    says = rf"the validation loss is nan bits a note after step \d+; {left}.*; lower `learning_rate`"
    with pytest.raises(MeloError, match=says):
        run(tmp_path, Recorder())
    assert len(seen) == bad_from


def test_the_pack_that_is_not_finite_is_named(tmp_path):
    model = fresh()
    stream = PackStream(DATA[0], 100, V, seed=3)
    bad = torch.from_numpy(stream.pack_at(1).rows)
    forward = model.forward

    def bad_forward(layout):
        nll = forward(layout)
        return nll * math.nan if torch.equal(layout.rows_NF[: len(bad)], bad) else nll

    model.forward = bad_forward
    with pytest.raises(MeloError) as caught:
        run(tmp_path, Recorder(), model=model)
    names = [f"window {i} from bar {DATA[0][i].first_bar}" for i in stream.arrangement(0).of(1)]
    assert "; ".join(names[:4]) in str(caught.value)
    assert "no model is kept yet" in str(caught.value)
