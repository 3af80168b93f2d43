"""Training: baselines by hand, evaluation, plans, and whole runs."""

import json
import math
from dataclasses import fields

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from train_small import DATA, Recorder, V, config, fresh, pieces, run

from analysis.errors import MeloError
from meloctl.dataset.packs import pack_of, padded
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window, windows
from meloctl.model.checkpoint import load_model
from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, TEMPO, TIME_SIGNATURE
from meloctl.training.data import header_changes
from meloctl.training.ngram_baselines import NgramBaseline
from meloctl.training.options import TrainConfig, TrainOptions, train_config
from meloctl.training.processes import start_accelerator
from meloctl.training.schedule import TrainProgress, learning_rate, stop_reason
from meloctl.training.time_plan import plan_run, replan
from meloctl.training.validation import validation_loss


def loss_of(model, chosen=DATA[1], rows=100):
    return validation_loss(model, chosen, rows, start_accelerator())


# baselines


def tiny_rows(pitches):
    rows = np.full((len(pitches) + 2, len(FIELDS)), ABSENT, dtype=np.int16)
    rows[0, [INSTRUMENT, 6, 7]] = [V.bar, 0, 0]
    rows[1:-1] = [[V.drums, 0, i, p, 0, 0, ABSENT, ABSENT] for i, p in enumerate(pitches)]
    rows[-1, INSTRUMENT] = V.end
    return rows


def test_baselines_by_hand():
    base = NgramBaseline([tiny_rows([60, 60, 61])], V)
    assert base.unigram[PITCH][60] == (2 + 1) / (3 + 128)
    assert base.unigram[PITCH][7] == 1 / (3 + 128)
    # after 60 came 60 and 61
    assert base.bigram[PITCH][60, 61] == pytest.approx((1 + 2 / 131) / (2 + 1))
    for table in (*base.unigram, *base.bigram):
        np.testing.assert_allclose(table.sum(axis=-1), 1)


def test_baseline_bits_are_the_sum_over_fields():
    rows = tiny_rows([60, 61])
    base = NgramBaseline([tiny_rows([60, 60, 61])], V)
    expected = 0.0
    for field in range(len(FIELDS)):
        for value in rows[rows[:, field] != ABSENT, field]:
            expected -= math.log2(base.unigram[field][value])
    single, double = base.bits(rows)
    assert single.sum() == pytest.approx(expected)
    assert double[2] == pytest.approx(sum(-math.log2(base.bigram[f][rows[1, f], rows[2, f]]) for f in range(6)))
    assert base.bits_per_note(fresh(), [Window(rows=rows, first_bar=0)])[0] == pytest.approx(expected / 2)


def test_the_first_row_of_a_later_window_has_no_loss():
    rows = tiny_rows([60, 61])
    base = NgramBaseline([rows], V)
    head = sum(-math.log2(base.unigram[f][rows[0, f]]) for f in (INSTRUMENT, 6, 7))
    whole, part = (base.bits_per_note(fresh(), [Window(rows=rows, first_bar=b)])[0] for b in (0, 1))
    assert whole - part == pytest.approx(head / 2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_mask_needs_no_layout(architecture, monkeypatch):
    model, cut = fresh(architecture), windows(pieces(6), 30, V)
    pack = padded(pack_of(cut[:5]), 160)
    assert set(pack.first_bar == 0) == {True, False}
    loss_mask = model.loss_mask(pack)
    assert np.array_equal(loss_mask, model.layout(pack).loss_mask_N.numpy())
    assert 0 < loss_mask.sum() < pack.n_rows
    monkeypatch.setattr(model, "layout", None)  # a plan of attention for each window would take most of the time
    assert all(bits > 0 for bits in NgramBaseline(pieces(6), V).bits_per_note(model, cut))


@pytest.mark.parametrize("architecture", ["meloformer", "encoder-decoder"])
def test_a_model_that_starts_from_the_shares_costs_the_unigram_bits(architecture):
    train_pieces = pieces(6)
    base = NgramBaseline(train_pieces, V)
    model = fresh(architecture)
    model.heads.init_biases(base.unigram)
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
    cut = windows(train_pieces, 30, V)
    assert any(w.first_bar for w in cut)
    quality = loss_of(model, cut)
    assert quality.bits_per_note == pytest.approx(base.bits_per_note(model, cut)[0], rel=1e-6)
    assert sum(quality.fields.values()) == pytest.approx(quality.bits_per_note)


# evaluation


def test_evaluation_leaves_the_mode_alone():
    for training in (True, False):
        model = fresh().train(training)
        loss_of(model)
        assert model.training == training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_packing_change_no_figure(architecture, monkeypatch):
    model = fresh(architecture)
    one = loss_of(model, rows=100)
    monkeypatch.setattr("meloctl.training.validation.padded_length", lambda _, rows: rows + 16)
    other = loss_of(model, rows=64)
    assert other.bits_per_note == pytest.approx(one.bits_per_note, rel=1e-6)


# plans


def progress_of(**values):
    return TrainProgress(**{"steps": 100, "max_steps": 100, "step_seconds": 1.0, "row_steps": 0.0, **values})


def test_a_plan_by_hand():
    # 5 minutes; the rehearsal took 4 seconds, a step takes 2, and 1,000 validation rows take 1
    settings = config(minutes=5.0, epochs=1000, packs=1, evaluations=30)
    measured = {"seconds": 4.0, "step_seconds": 2.0, "row_seconds": 1e-3}
    progress = plan_run(settings, packs_per_epoch=100, validation_rows=24_000, **measured)
    # an evaluation of 8,000 rows, the third that is nearest to 8,192, takes 8 seconds; at 6 % there are 133 seconds between two
    assert (progress.validation_every, progress.validation_rows, progress.final_rows) == (3, 8_000, 24_000)
    assert (progress.max_steps, progress.next_evaluation) == (100_000, 67)  # after 133.3 seconds
    # of the 296 seconds that are left 24 are kept for the end, and 2 * 8 for evaluations on the way: 256 for steps
    assert (progress.steps, progress.seconds_left) == (128, 296.0)
    progress.step, progress.seconds, progress.step_seconds = (
        50,
        154.0,
        3.0,
    )  # slower: all of it takes half as long again
    replan(progress, settings)
    # 296 - 150 = 146 seconds are left, 36 of them for the end and 12 for the one evaluation that still fits
    assert progress.steps == 50 + round((146 - 36 - 12) / 3)


def test_all_epochs_that_fit_stay_planned_whatever_is_measured():
    progress = progress_of(steps=40, max_steps=40, step=10, seconds=13.0, evaluated_step=10, row_steps=0.01)
    progress.validation_rows = 1000  # 10 seconds
    replan(progress, config(minutes=5.0, evaluations=4))
    assert (progress.steps, progress.next_evaluation) == (40, 20)
    assert progress.seconds_left == pytest.approx(30 * 1 + 3 * 10)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"minutes": math.nan}, "--minutes nan: give a time budget above 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"seed": -1}, "--seed -1: give a whole number, 0 to 4294967295"),
        ({"seed": 1 << 32}, "--seed 4294967296: give"),
        ({"learning_rate": 7.0}, "--learning-rate 7"),
        ({"packs": 0}, "--packs 0"),
        ({"pack_rows": 0}, "--pack-rows 0"),
        ({"gate_price": -1.0}, "--gate-price -1"),
        ({"threads": 0}, "--threads 0: give a number of threads, 1 to "),
    ],
)
def test_settings_out_of_range_are_refused(change, says):
    with pytest.raises(MeloError) as caught:
        config(**change)
    assert caught.value.for_command_line().startswith(says)


def test_options_become_settings_under_the_same_name():
    settings = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(TrainOptions)}
    assert len(settings) >= 10
    given = {
        "seed": 7,
        "packs": 3,
        "pack_rows": 4000,
        "learning_rate": 0.5,
        "minutes": 2.0,
        "epochs": 9,
        "infill": 0.5,
        "plans": 0.5,
    }
    given |= {"gates": True, "gate_price": 0.5, "checkpointing": True, "threads": 1}
    assert set(given) == settings  # a new option has its value here
    defaults = {"packs": 1, "pack_rows": 2048, "learning_rate": 1e-3}
    config = train_config(TrainOptions(**given, model="tiny"), defaults)
    assert {name: getattr(config, name) for name in given} == given
    plain = train_config(TrainOptions(), defaults)
    assert (plain.packs, plain.pack_rows, plain.learning_rate) == (1, 2048, 1e-3)
    assert (plain.gate_price, plain.infill, plain.minutes) == (0.02, 0.0, 30.0)


def test_progress_survives_its_json():
    progress = progress_of(history=[{"step": 1, "seconds": 2.0}])
    again = msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(progress))), TrainProgress)
    assert again == progress  # an infinite loss before the first evaluation too
    assert [type(value) for value in again.history[0].values()] == [
        int,
        float,
    ]  # or metrics.csv would change on resuming
    assert progress_of().history == []


def test_the_learning_rate_rises_and_falls():
    settings = config(warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(progress_of(step=s, done=s / 100), settings) for s in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b - 1e-12 for a, b in zip(rates[9:], rates[10:], strict=False))


@pytest.mark.parametrize(("steps", "best", "early"), [(60, 3, 43), (100, 12, 52), (240, 10, 80), (900, 280, 320)])
def test_a_run_stops_early_once_enough_of_its_plan_is_done(steps, best, early):
    for step, why in ((early - 1, ""), (early, "no better for 6 evaluations")):
        progress = progress_of(steps=steps, max_steps=steps, step=step, best_step=best, evaluations_since_best=6)
        assert stop_reason(progress, config(patience=6)) == why


# runs


def test_training_improves_and_leaves_a_recipe(tmp_path):
    reporter = Recorder()
    before = loss_of(fresh()).bits_per_note
    progress = run(tmp_path, reporter, epochs=40, patience=99)
    assert progress.why == "all 40 epochs are done"
    assert progress.best < before - 5
    assert progress.step == reporter.estimate.steps == reporter.planned == len(reporter.steps)
    said = [line for line in reporter.messages if not line.startswith(("The machine is busy", "Starting"))]
    assert said[0] == str(reporter.estimate)
    assert len(said) == 1 + len(progress.history)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert len(metrics) == len(progress.history) >= 4
    assert metrics.validation_bits_per_note.min() == pytest.approx(progress.best)
    assert metrics.best_bits_per_note.tolist() == pytest.approx(metrics.validation_bits_per_note.cummin().tolist())
    fields = metrics[[f"validation_{f}" for f in FIELDS]].sum(axis=1)
    np.testing.assert_allclose(fields, metrics.validation_bits_per_note, rtol=1e-6)
    model, quality = load_model(tmp_path)
    assert loss_of(model).bits_per_note == pytest.approx(quality["bits_per_note"]) == pytest.approx(progress.best)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "tensorboard",
        "training.json",
    ]
    (events,) = (tmp_path / "tensorboard").glob("events*")
    written = events.read_bytes()
    assert all(name.encode() in written for name in metrics.columns if name != "step")


def test_the_reported_training_loss_is_the_mean_over_the_notes_between_evaluations(tmp_path):
    reporter = Recorder()
    progress = run(tmp_path, reporter, packs=1, epochs=2, evaluations=2)
    stream = PackStream(DATA[0], 100, V, seed=3)
    notes = [stream.pack_at(n).n_notes for n in range(progress.step)]
    bits = [b for _, b in reporter.steps]
    at = [0, *(int(entry["step"]) for entry in progress.history)]
    for entry, first, last in zip(progress.history, at[:-1], at[1:], strict=True):
        mean = np.average(bits[first:last], weights=notes[first:last])
        assert entry["train_bits_per_note"] == pytest.approx(mean)


def test_the_price_of_gates_closes_them(tmp_path):
    openness = []
    for price in (0.0, 5.0):
        model = fresh(gated=True)
        before = model.gates.value.detach().clone()
        run(
            tmp_path / str(price),
            Recorder(),
            model=model,
            penalty=lambda model=model, price=price: price * model.gates.value.sum(),
        )
        kept, _ = load_model(tmp_path / str(price))
        assert kept.gates is not None
        openness.append(float(kept.gates.value.detach().mean() - before.mean()))
    assert openness[1] < openness[0] - 0.05


def test_early_stopping_says_so(tmp_path):
    progress = run(tmp_path, Recorder(), learning_rate=0.9, patience=2, epochs=150, evaluations=50)
    assert progress.why == f"no better for {progress.evaluations_since_best} evaluations"
    assert progress.evaluations_since_best >= 2
    assert progress.step >= max(progress.best_step + 40, progress.steps // 3)
    assert progress.best_step < progress.step < progress.max_steps


def test_the_budget_ends_training(tmp_path):
    progress = run(tmp_path, Recorder(), minutes=0.02, epochs=10_000)
    assert progress.why == "0.02 minutes are over"
    assert progress.step == progress.steps < progress.max_steps
    assert (tmp_path / "model.safetensors").exists()


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(MeloError, match="0 windows to train on"):
        run(tmp_path, Recorder(), data=([], DATA[1]))


def test_how_often_signature_and_tempo_change_is_counted():
    def piece(*headers):
        rows = np.full((2 * len(headers), len(FIELDS)), ABSENT, dtype=np.int16)
        rows[::2, INSTRUMENT], rows[1::2, INSTRUMENT] = V.bar, 5
        rows[::2, [TIME_SIGNATURE, TEMPO]] = headers
        return rows

    often, pickup = piece((3, 7), (3, 7), (4, 7), (3, 8)), piece((4, 1), (3, 1), (3, 1), (3, 2), (3, 3))
    assert header_changes([often], V) == (1 / 1, 1 / 3)
    assert header_changes([pickup], V) == (0 / 3, 1 / 3)
    assert header_changes([often, pickup, piece((1, 1)), piece((2, 9), (2, 9))], V) == (1 / 4, 2 / 7)
    assert header_changes([piece((1, 1))], V) == (0.0, 0.0)
