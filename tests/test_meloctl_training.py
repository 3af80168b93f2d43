"""Training: baselines by hand, evaluation, plans, and whole runs."""

import math

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
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH
from meloctl.training.ngram_baselines import CountingBaseline
from meloctl.training.processes import start
from meloctl.training.schedule import TrainProgress, first_standing, learning_rate, plan_on, why_ended
from meloctl.training.validation import evaluate


def quality_of(model, chosen=DATA[1], rows=100):
    return evaluate(model, chosen, rows, start())


# baselines


def tiny_rows(pitches):
    rows = np.full((len(pitches) + 2, len(FIELDS)), ABSENT, dtype=np.int16)
    rows[0, [INSTRUMENT, 6, 7]] = [V.bar, 0, 0]
    rows[1:-1] = [[V.drums, 0, i, p, 0, 0, ABSENT, ABSENT] for i, p in enumerate(pitches)]
    rows[-1, INSTRUMENT] = V.end
    return rows


def test_baselines_by_hand():
    base = CountingBaseline([tiny_rows([60, 60, 61])], V)
    assert base.unigram[PITCH][60] == (2 + 1) / (3 + 128)
    assert base.unigram[PITCH][7] == 1 / (3 + 128)
    # after 60 came 60 and 61
    assert base.bigram[PITCH][60, 61] == pytest.approx((1 + 2 / 131) / (2 + 1))
    for table in (*base.unigram, *base.bigram):
        np.testing.assert_allclose(table.sum(axis=-1), 1)


def test_baseline_bits_are_the_sum_over_fields():
    rows = tiny_rows([60, 61])
    base = CountingBaseline([tiny_rows([60, 60, 61])], V)
    expected = 0.0
    for field in range(len(FIELDS)):
        for value in rows[rows[:, field] != ABSENT, field]:
            expected -= math.log2(base.unigram[field][value])
    single, double = base.bits(rows)
    assert single.sum() == pytest.approx(expected)
    assert double[2] == pytest.approx(sum(-math.log2(base.bigram[f][rows[1, f], rows[2, f]]) for f in range(6)))
    assert base.bits_per_note(fresh(), [Window(rows=rows, first_bar=0)])[0] == pytest.approx(expected / 2)


def test_the_first_row_of_a_later_window_is_not_counted():
    rows = tiny_rows([60, 61])
    base = CountingBaseline([rows], V)
    head = sum(-math.log2(base.unigram[f][rows[0, f]]) for f in (INSTRUMENT, 6, 7))
    whole, part = (base.bits_per_note(fresh(), [Window(rows=rows, first_bar=b)])[0] for b in (0, 1))
    assert whole - part == pytest.approx(head / 2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_that_count_are_known_without_a_layout(architecture, monkeypatch):
    model, cut = fresh(architecture), windows(pieces(6), 30, V)
    pack = padded(pack_of(cut[:5]), 160)
    assert set(pack.first_bar == 0) == {True, False}
    counted = model.loss_mask(pack)
    assert np.array_equal(counted, model.layout(pack).loss_mask_N.numpy())
    assert 0 < counted.sum() < pack.n_rows
    monkeypatch.setattr(model, "layout", None)  # a plan of attention for each window would take most of the time
    assert all(bits > 0 for bits in CountingBaseline(pieces(6), V).bits_per_note(model, cut))


@pytest.mark.parametrize("architecture", ["meloformer", "encoder-decoder"])
def test_a_model_that_starts_from_the_shares_costs_the_unigram_bits(architecture):
    train_pieces = pieces(6)
    base = CountingBaseline(train_pieces, V)
    model = fresh(architecture)
    model.heads.init_biases(base.unigram)
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
    cut = windows(train_pieces, 30, V)
    assert any(w.first_bar for w in cut)
    quality = quality_of(model, cut)
    assert quality.bits_per_note == pytest.approx(base.bits_per_note(model, cut)[0], rel=1e-6)
    assert sum(quality.fields.values()) == pytest.approx(quality.bits_per_note)


# evaluation


def test_evaluation_leaves_the_mode_alone():
    for training in (True, False):
        model = fresh().train(training)
        quality_of(model)
        assert model.training == training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_packing_change_no_figure(architecture, monkeypatch):
    model = fresh(architecture)
    one = quality_of(model, rows=100)
    monkeypatch.setattr("meloctl.training.validation.pack_length", lambda _, rows: rows + 16)
    other = quality_of(model, rows=64)
    assert other.bits_per_note == pytest.approx(one.bits_per_note, rel=1e-6)


# plans


def test_the_plan_follows_the_true_speed():
    # 100 seconds for 10 steps and an evaluation of 20: 8 a step. 200 are left, 20 of them for the last evaluation, and of the
    # others 88 % are planned: 19 more steps; an evaluation of 20 seconds may come every 20 / 0.12 seconds
    standing = TrainProgress(steps=300, most=1000, step=10, seconds=100.0)
    plan_on(standing, config(minutes=5.0, evaluations=30), evaluating=20.0)
    assert (standing.measuring, standing.seconds_a_step) == (20.0, 8.0)
    assert standing.steps == 10 + 19
    assert standing.next == 10 + 21
    assert standing.seconds_left == pytest.approx(19 * 8 / 0.88)
    # all epochs fit: nothing that was measured changes the plan
    standing = TrainProgress(steps=40, most=40, step=10, seconds=13.0)
    plan_on(standing, config(minutes=5.0, evaluations=4), evaluating=12.0)
    assert (standing.steps, standing.next) == (40, 20)


@pytest.mark.parametrize(
    ("minutes", "a_step", "evaluating", "steps"),
    [(1.0, 1.0, 22.0, 14), (1.0, 0.35, 8.0, 111), (30.0, 5.0, 60.0, 299)],
)
def test_dear_evaluations_leave_the_budget_to_steps(minutes, a_step, evaluating, steps):
    settings = config(minutes=minutes, evaluations=30)
    standing = first_standing(settings, packs_in_epoch=1_000_000, seconds_a_step=a_step)
    while not standing.why:
        standing.heard(1.0, 1, seconds=standing.seconds + a_step)
        if standing.step >= min(standing.next, standing.steps):
            standing.seconds += evaluating
            plan_on(standing, settings, evaluating=evaluating)
            standing.why = why_ended(standing, settings, out_of_time=standing.seconds > 60 * minutes)
    assert (standing.why, standing.step) == ("all steps done", steps)
    assert 0.9 * 60 * minutes < standing.seconds <= 60 * minutes


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
        ({"ema": 1.0}, "--ema 1: give a decay between 0 and 1, such as 0.999"),
        ({"gate_price": -1.0}, "--gate-price -1"),
    ],
)
def test_settings_out_of_range_are_refused(change, says):
    with pytest.raises(MeloError, match=says):
        config(**change)


def test_the_learning_rate_rises_and_falls():
    settings = config(warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(TrainProgress(steps=100, most=100, step=s), settings) for s in range(101)]
    assert rates[0] == 0.1
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


@pytest.mark.parametrize(("steps", "best", "early"), [(60, 3, 43), (100, 12, 52), (240, 10, 80), (900, 280, 320)])
def test_a_run_is_given_up_once_enough_of_its_plan_is_done(steps, best, early):
    for step, why in ((early - 1, ""), (early, "no better for 6 evaluations")):
        standing = TrainProgress(steps=steps, most=steps, step=step, best_step=best, stale=6)
        assert why_ended(standing, config(patience=6), out_of_time=False) == why


# runs


def test_training_improves_and_leaves_a_recipe(tmp_path):
    reporter = Recorder()
    before = quality_of(fresh()).bits_per_note
    standing = run(tmp_path, reporter, epochs=40, patience=99)
    assert standing.why == "all steps done"
    assert standing.best < before - 5
    assert standing.step == reporter.estimate.steps == reporter.planned == len(reporter.steps)
    assert reporter.messages[0] == str(reporter.estimate)
    assert len(reporter.messages) == 1 + len(standing.history)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert len(metrics) == len(standing.history) >= 4
    assert metrics.validation_bits_per_note.min() == pytest.approx(standing.best)
    assert metrics.best_bits_per_note.tolist() == pytest.approx(metrics.validation_bits_per_note.cummin().tolist())
    fields = metrics[[f"validation_{f}" for f in FIELDS]].sum(axis=1)
    np.testing.assert_allclose(fields, metrics.validation_bits_per_note, rtol=1e-6)
    model, quality = load_model(tmp_path)
    assert quality_of(model).bits_per_note == pytest.approx(quality["bits_per_note"]) == pytest.approx(standing.best)
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


def test_what_training_told_is_the_mean_over_the_notes_between_evaluations(tmp_path):
    reporter = Recorder()
    standing = run(tmp_path, reporter, packs=1, epochs=2, evaluations=2)
    stream = PackStream(DATA[0], 100, V, seed=3)
    notes = [stream.pack_at(n).n_notes for n in range(standing.step)]
    bits = [b for _, b in reporter.steps]
    at = [0, *(int(entry["step"]) for entry in standing.history)]
    for entry, first, last in zip(standing.history, at[:-1], at[1:], strict=True):
        mean = np.average(bits[first:last], weights=notes[first:last])
        assert entry["train_bits_per_note"] == pytest.approx(mean)


def test_the_mean_of_the_weights_is_what_is_measured_and_kept(tmp_path):
    standing = run(tmp_path / "mean", Recorder(), ema=0.95)
    plain = run(tmp_path / "plain", Recorder())
    model, _ = load_model(tmp_path / "mean")
    assert quality_of(model).bits_per_note == pytest.approx(standing.best)
    assert standing.best != plain.best
    told = [[h["train_bits_per_note"] for h in s.history] for s in (standing, plain)]
    assert told[0] == told[1]  # what is heard in training is heard with the weights themselves


def test_gates_are_priced_and_learn_at_a_pace_of_their_own(tmp_path):
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
    standing = run(tmp_path, Recorder(), learning_rate=0.9, patience=2, epochs=150, evaluations=50)
    assert standing.why == f"no better for {standing.stale} evaluations"
    assert standing.stale >= 2
    assert standing.step >= max(standing.best_step + 40, standing.steps // 3)
    assert standing.best_step < standing.step < standing.most


def test_the_budget_ends_training(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "meloctl.training.trainer.plan_on", lambda *_, **__: None
    )  # the plan does not see the end coming
    monkeypatch.setattr("meloctl.training.schedule.MARGIN", 1000.0)
    standing = run(tmp_path, Recorder(), minutes=0.02, epochs=10_000)
    assert standing.why == "0.02 minutes are over"
    assert standing.step < standing.steps
    assert (tmp_path / "model.safetensors").exists()


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(MeloError, match="0 windows to train on"):
        run(tmp_path, Recorder(), data=([], DATA[1]))
