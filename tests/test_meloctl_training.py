"""Training: baselines by hand, a batch can be learned by heart, a stopped run goes on as if it had not been stopped."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_meloctl_model import SEED, music, small

from analysis.errors import MeloError
from meloctl.dataset.batches import Window, collate, windows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, default_vocabulary
from meloctl.training.baselines import CountingBaseline
from meloctl.training.checkpoint import load_metadata, load_model, save_model
from meloctl.training.evaluate import evaluate, evaluate_windows
from meloctl.training.picture import draw_loss_curve
from meloctl.training.plan import Standing, TrainConfig, learning_rate
from meloctl.training.trainer import train

V = default_vocabulary()
CPU = torch.device("cpu")


def pieces(count, seed=0):
    return [music(seed + i, bars=4 + i % 3)[0].numpy().astype(np.int16) for i in range(count)]


class Silent:
    """A watcher that remembers, and can stop the run."""

    def __init__(self, stop_after=None):
        self.steps, self.stop_after, self.estimate = [], stop_after, None

    def estimated(self, estimate):
        self.estimate = estimate

    def stepped(self, step, bits_per_note, rows_per_second, notes_per_second):
        self.steps.append((step, bits_per_note))
        assert rows_per_second > 0 < notes_per_second
        if step == self.stop_after:
            raise KeyboardInterrupt

    def evaluated(self, standing):
        pass


def config(**change):
    return TrainConfig(
        **{
            "seed": 3,
            "rows_in_batch": 200,
            "learning_rate": 3e-3,
            "minutes": 10.0,
            "epochs": 8,
            "evaluations": 4,
            **change,
        }
    )


def fresh():
    return small(SEED).float()


DATA = (windows(pieces(12), 64, V), windows(pieces(3, seed=90), 64, V))


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
    assert base.bits_per_note([Window(rows=rows, first_bar=0)])[0] == pytest.approx(expected / 2)


def test_the_first_row_of_a_later_window_is_not_counted():
    rows = tiny_rows([60, 61])
    base = CountingBaseline([rows], V)
    head = sum(-math.log2(base.unigram[f][rows[0, f]]) for f in (INSTRUMENT, 6, 7))
    whole, part = (base.bits_per_note([Window(rows=rows, first_bar=b)])[0] for b in (0, 1))
    assert whole - part == pytest.approx(head / 2)


def test_a_model_that_starts_from_the_shares_costs_the_unigram_bits():
    train_pieces = pieces(6)
    base = CountingBaseline(train_pieces, V)
    model = small(SEED)
    model.heads.start_from(base.unigram)
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
    cut = windows(train_pieces, 30, V)
    assert any(w.first_bar for w in cut)
    quality = evaluate_windows(model, cut, 100, CPU)
    assert quality.bits_per_note == pytest.approx(base.bits_per_note(cut)[0], rel=1e-6)
    assert sum(quality.fields.values()) == pytest.approx(quality.bits_per_note)


# learning


def test_a_batch_is_learned_by_heart():
    model = small(SEED, width=48, hidden=96, field_hidden=48).float().train()
    batch = collate([Window(rows=r, first_bar=0) for r in pieces(2)])
    rows, first = torch.from_numpy(batch.rows), torch.from_numpy(batch.first_bar)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    n_fields = int((rows != ABSENT).sum())
    for _ in range(400):
        loss = model(rows, first).sum()
        optimizer.zero_grad()
        (loss / n_fields).backward()
        optimizer.step()
        bits = float(loss.detach()) / math.log(2) / n_fields
        if bits < 0.05:
            break
    # what opens the two pieces is alike and cannot be told apart, so a little remains
    assert bits < 0.05


def test_training_improves_and_leaves_a_recipe(tmp_path):
    watch = Silent()
    before = evaluate_windows(fresh(), DATA[1], 200, CPU).bits_per_note
    standing = train(fresh(), *DATA, config(epochs=40, patience=99), tmp_path, watch)
    assert standing.why == "all steps done"
    assert standing.best < before - 5
    assert standing.step == watch.estimate.steps == len(watch.steps)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert len(metrics) == len(standing.history) >= 4
    assert metrics.validation_bits_per_note.min() == pytest.approx(standing.best)
    fields = metrics[[f"validation_{f}" for f in FIELDS]].sum(axis=1)
    np.testing.assert_allclose(fields, metrics.validation_bits_per_note, rtol=1e-6)
    model, quality = load_model(tmp_path)
    again = evaluate_windows(model, DATA[1], 200, CPU).bits_per_note
    assert again == pytest.approx(quality["bits_per_note"]) == pytest.approx(standing.best)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "tensorboard",
        "training.json",
    ]
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize("stop_after", [1, 7, 10])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop_after):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed = Silent()
    model = small(SEED, dropout=0.2).float()
    train(model, *DATA, config(), whole, undisturbed)
    first = Silent(stop_after)
    with pytest.raises(KeyboardInterrupt):
        train(small(SEED, dropout=0.2).float(), *DATA, config(), parts, first)
    second = Silent()
    train(small(SEED, dropout=0.2).float(), *DATA, config(), parts, second)
    heard = {**dict(first.steps), **dict(second.steps)}
    assert heard == dict(undisturbed.steps)
    a, b = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_early_stopping_says_so(tmp_path):
    wild = config(learning_rate=0.9, patience=2, epochs=50, evaluations=50)
    standing = train(fresh(), *DATA, wild, tmp_path, Silent())
    assert standing.why == f"no better for {standing.stale} evaluations"
    assert standing.stale >= 2
    assert standing.step >= standing.steps // 3
    assert standing.best_step < standing.step < standing.most


def test_the_budget_ends_training(tmp_path, monkeypatch):
    monkeypatch.setattr("meloctl.training.trainer.plan_on", lambda *_: None)  # the plan does not see the end coming
    monkeypatch.setattr("meloctl.training.plan._MARGIN", 1000.0)
    standing = train(fresh(), *DATA, config(minutes=0.02, epochs=10_000), tmp_path, Silent())
    assert standing.why == "0.02 minutes are over"
    assert standing.step < standing.steps
    assert (tmp_path / "model.safetensors").exists()


def test_the_plan_follows_the_true_speed(tmp_path):
    standing = train(fresh(), *DATA, config(minutes=0.02, epochs=10_000), tmp_path, Silent())
    assert standing.why
    assert standing.seconds < 10


def test_a_run_that_ended_before_its_manifest_is_not_trained_again(tmp_path):
    first = train(fresh(), *DATA, config(), tmp_path, Silent())
    watch = Silent()
    assert train(fresh(), *DATA, config(), tmp_path, watch) == first
    assert watch.steps == []
    for damage in ("[]", "{}", json.dumps({**json.loads((tmp_path / "training.json").read_text()), "step": "x"})):
        (tmp_path / "training.json").write_text(damage)
        with pytest.raises(MeloError, match="a damaged training record"):
            train(fresh(), *DATA, config(), tmp_path, Silent())


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(tmp_path):
    model = fresh()
    with torch.no_grad():
        model.start.fill_(math.nan)
    with pytest.raises(MeloError, match=r"the loss is nan at step 0 \(batch of \d+ rows"):
        train(model, *DATA, config(), tmp_path, Silent())


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(MeloError, match="0 windows to train on"):
        train(fresh(), [], DATA[1], config(), tmp_path, Silent())


def test_the_learning_rate_rises_and_falls():
    settings = config(warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(Standing(steps=100, most=100, step=s), settings) for s in range(101)]
    assert rates[0] == 0.1
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


def test_evaluation_leaves_the_mode_alone():
    model = fresh().train()
    evaluate(model, [], CPU)
    assert model.training


def test_the_loss_curve_is_drawn(tmp_path):
    history = [{"step": s, "train_bits_per_note": 9 - s, "validation_bits_per_note": 8 - s} for s in range(3)]
    draw_loss_curve(history, 11.0, 7.0, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


# checkpoints


@pytest.fixture
def saved(tmp_path):
    save_model(fresh(), tmp_path, {"bits_per_note": 5.0})
    return tmp_path


def test_a_checkpoint_round_trips(saved):
    model, quality = load_model(saved)
    rows, *_ = music(seed=1)
    first = torch.zeros(1, dtype=torch.int64)
    assert torch.equal(model(rows[None], first), fresh()(rows[None], first))
    assert (quality, model.spec, model.config) == ({"bits_per_note": 5.0}, SEED, fresh().config)


def edit(saved, **change):
    path = saved / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_damaged_checkpoints_are_refused(saved, tmp_path):
    good = (saved / "model.json").read_text()
    for change, message in (
        ({"format": "x"}, "not a checkpoint"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"mask": {}}, "mask: not a mask"),
        ({"model": {}}, "model: not a model"),
        ({"vocabulary": {}}, "vocabulary: not a vocabulary"),
        ({"model": {**fresh().config.to_json(), "hidden": 31}}, "weights do not fit"),
        ({"model": {**fresh().config.to_json(), "layers": 3}}, "weights do not fit"),
    ):
        edit(saved, **change)
        with pytest.raises(MeloError, match=message):
            load_model(saved)
        (saved / "model.json").write_text(good)
    weights = saved / "model.safetensors"
    good = load_file(weights)
    for change, message in (
        ({"start": good["start"].half()}, "weights do not fit"),
        ({"start": good["start"] * math.nan}, "some weights are not finite"),
        ({"surplus": good["start"].clone()}, "weights do not fit"),
    ):
        save_file({**good, **change}, weights)
        with pytest.raises(MeloError, match=message):
            load_model(saved)
    edit(saved, model={**fresh().config.to_json(), "layers": 20_000})
    with pytest.raises(MeloError, match="weights do not fit"):
        load_model(saved)
    edit(saved, model=fresh().config.to_json())
    save_file(good, weights)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MeloError, match="missing or damaged weights"):
        load_model(saved)
    weights.unlink()
    with pytest.raises(MeloError, match="missing or damaged weights"):
        load_model(saved)
    with pytest.raises(MeloError, match="cannot read this checkpoint"):
        load_model(tmp_path / "none")


def test_a_damaged_training_state_is_refused(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    state = tmp_path / "last.safetensors"
    save_file({"random": torch.zeros(3)}, state, {"standing": "{}"})
    with pytest.raises(MeloError, match="a damaged training state"):
        train(fresh(), *DATA, config(), tmp_path, Silent())
    state.unlink()
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), *DATA, config(), tmp_path, Silent(stop_after=9))
    good, lines = load_file(state), load_metadata(state)
    standing = json.loads(lines["standing"])
    moment = next(k for k in good if k.startswith("exp_avg."))
    for tensors, told in (
        ({**good, moment: good[moment][:1]}, lines),
        ({k: v for k, v in good.items() if k != moment}, lines),
        (good, {"standing": json.dumps({**standing, "step": "x"})}),
        (good, {"standing": "no json"}),
        (good, {}),
    ):
        save_file(tensors, state, told)
        with pytest.raises(MeloError, match="a damaged training state"):
            train(fresh(), *DATA, config(), tmp_path, Silent())
