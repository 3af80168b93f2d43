"""Training: baselines by hand, a batch can be learned by heart, a stopped run goes on as if it had not been stopped."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from train_small import DATA, Silent, V, config, fresh, pieces, run

from analysis.errors import MeloError
from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window, windows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH
from meloctl.training.average import Average, averaged
from meloctl.training.baselines import CountingBaseline
from meloctl.training.checkpoint import load_metadata, load_model
from meloctl.training.deal import Dealer, Turn
from meloctl.training.evaluate import evaluate
from meloctl.training.learner import gradients, learner_of, sharing, take_step
from meloctl.training.models import ARCHITECTURES
from meloctl.training.plan import Standing, learning_rate, plan_on
from meloctl.training.processes import start


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


@pytest.mark.parametrize("architecture", ["meloformer", "encoder-decoder"])
def test_a_model_that_starts_from_the_shares_costs_the_unigram_bits(architecture):
    train_pieces = pieces(6)
    base = CountingBaseline(train_pieces, V)
    model = fresh(architecture)
    model.heads.start_from(base.unigram)
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
    cut = windows(train_pieces, 30, V)
    assert any(w.first_bar for w in cut)
    quality = quality_of(model, cut)
    assert quality.bits_per_note == pytest.approx(base.bits_per_note(model, cut)[0], rel=1e-6)
    assert sum(quality.fields.values()) == pytest.approx(quality.bits_per_note)


# learning


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_is_learned_by_heart(architecture):
    model = fresh(architecture, width=48, hidden=96, field_hidden=48, dropout=0.0).train()
    layout = model.layout(pack_of([Window(rows=r, first_bar=0) for r in pieces(2)]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    n_fields = int((layout.rows_NF[layout.counted_N] != ABSENT).sum())
    for _ in range(400):
        loss = model(layout).sum()
        optimizer.zero_grad()
        (loss / n_fields).backward()
        optimizer.step()
        bits = float(loss.detach()) / math.log(2) / n_fields
        if bits < 0.05:
            break
    # what opens the two pieces is alike and cannot be told apart, so a little remains
    assert bits < 0.05


def one_step(share_of, settings):
    """What a step heard, and the weights it left."""
    learner = learner_of(fresh(dropout=0.0), settings, start())
    heard = take_step(learner, share_of(learner.model), settings, rate=1e-3)
    return heard, dict(learner.model.named_parameters())


def test_a_step_of_several_packs_is_a_step_of_one_that_holds_all_their_windows():
    stream = PackStream(DATA[0], 100, V, seed=1)
    deal = Dealer(stream, DATA[0], packs=3, rank=0, world=1, length=None).deal(0)
    packs = [turn.pack for turn in deal.turns]
    assert len({p.n_notes for p in packs}) > 1  # or a mean of means would do
    every = Pack(
        rows=np.concatenate([p.rows for p in packs]),
        starts=np.cumsum([0, *(n for p in packs for n in np.diff(p.starts))]),
        first_bar=np.concatenate([p.first_bar for p in packs]),
    )
    lump = replace(deal, turns=(Turn(index=0, pack=every, heard=True),), windows=(np.concatenate(deal.windows),))
    three, weights = one_step(lambda model: sharing(model)(deal), config(packs=3))
    one, others = one_step(lambda model: sharing(model)(lump), config(packs=1))
    assert one.n_notes == three.n_notes == every.n_notes
    assert len(three.pack_nats) == 3
    assert one.nats == pytest.approx(three.nats, rel=1e-6)
    assert one.norm == pytest.approx(three.norm, rel=1e-5)
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=1e-4, atol=1e-6)


def test_dropout_is_drawn_anew_for_each_step_and_pack_and_is_the_same_again():
    deal = Dealer(PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, rank=0, world=1, length=None).deal(0)
    twice = replace(deal, turns=(deal.turns[0], replace(deal.turns[1], pack=deal.turns[0].pack)))
    learner = learner_of(fresh(dropout=0.5), config(), start())
    learner.model.train()

    def nats(deal):
        return gradients(learner, sharing(learner.model)(deal), config()).pack_nats

    first = nats(twice)
    assert first[0] != first[1]
    assert nats(twice) == first
    assert nats(replace(twice, step=1)) != first


def test_layers_that_compute_again_learn_the_same():
    deal = Dealer(PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, rank=0, world=1, length=None).deal(0)
    for architecture in ARCHITECTURES:
        left = []
        for checkpointing in (False, True):
            settings = config(checkpointing=checkpointing)
            learner = learner_of(fresh(architecture, dropout=0.3), settings, start())
            learner.model.train()
            heard = take_step(learner, sharing(learner.model)(deal), settings, rate=1e-3)
            left.append((heard, learner.model.state_dict()))
        (kept, a), (again, b) = left
        assert kept == again
        assert all(torch.equal(a[name], b[name]) for name in a)


def kept_bytes(model, layout):
    """What the forward pass keeps for the backward pass."""
    sizes = []

    def keep(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(layout)
    return sum(sizes)


def test_what_layers_compute_again_they_do_not_keep():
    layout = fresh().layout(pack_of(DATA[0][:3]))
    kept, again = (
        kept_bytes(learner_of(fresh(), config(checkpointing=c), start()).model.train(), layout) for c in (False, True)
    )
    assert again < 0.7 * kept


def test_training_improves_and_leaves_a_recipe(tmp_path):
    watch = Silent()
    before = quality_of(fresh()).bits_per_note
    standing = run(tmp_path, watch, epochs=40, patience=99)
    assert standing.why == "all steps done"
    assert standing.best < before - 5
    assert standing.step == watch.estimate.steps == len(watch.steps)
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
    watch = Silent()
    standing = run(tmp_path, watch, packs=1, epochs=2, evaluations=2)
    stream = PackStream(DATA[0], 100, V, seed=3)
    notes = [stream.pack_at(n).n_notes for n in range(standing.step)]
    bits = [b for _, b in watch.steps]
    at = [0, *(int(entry["step"]) for entry in standing.history)]
    for entry, first, last in zip(standing.history, at[:-1], at[1:], strict=True):
        mean = np.average(bits[first:last], weights=notes[first:last])
        assert entry["train_bits_per_note"] == pytest.approx(mean)


@pytest.mark.parametrize(("stop_after", "ema"), [(1, None), (7, 0.9), (10, 0.9)])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop_after, ema):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed, first, second = Silent(), Silent(stop_after), Silent()
    settings = {"ema": ema, "save_seconds": 0.0, "packs": 1}
    ended = run(whole, undisturbed, **settings)
    with pytest.raises(KeyboardInterrupt):
        run(parts, first, **settings)
    assert run(parts, second, **settings).best == ended.best
    assert second.estimate.done == stop_after - 1  # the step that was stopped is not saved
    heard = {**dict(first.steps), **dict(second.steps)}
    assert heard == dict(undisturbed.steps)
    a, b = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)
    a, b = (pd.read_csv(folder / "metrics.csv") for folder in (whole, parts))
    told = [c for c in a if "bits" in c or c in ("step", "learning_rate") or c.startswith("validation")]
    pd.testing.assert_frame_equal(a[told], b[told], check_exact=True)


def test_without_a_save_between_a_stopped_run_goes_on_from_its_last_evaluation(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Silent(12), packs=1)
    state = json.loads(load_metadata(tmp_path / "last.safetensors")["standing"])
    second = Silent()
    run(tmp_path, second, packs=1)
    assert 0 < second.estimate.done == state["step"] == state["history"][-1]["step"] < 11


def test_the_mean_of_the_weights_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
        mean = Average(model, 0.5)
        model.weight.fill_(11.0)
        mean.follow(model, steps=0)  # d = min(0.5, 1 / 10): 0.1 · 1 + 0.9 · 11
        assert mean.weights["weight"].item() == pytest.approx(10.0)
        mean.follow(model, steps=90)  # d = min(0.5, 91 / 100)
    assert mean.weights["weight"].item() == pytest.approx(10.5)
    with averaged(model, mean):
        assert model.weight.item() == pytest.approx(10.5)
    assert model.weight.item() == 11.0
    with averaged(model, None):
        assert model.weight.item() == 11.0


def test_the_mean_of_the_weights_is_what_is_measured_and_kept(tmp_path):
    standing = run(tmp_path / "mean", Silent(), ema=0.95)
    plain = run(tmp_path / "plain", Silent())
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
            Silent(),
            model=model,
            penalty=lambda model=model, price=price: price * model.gates.value.sum(),
        )
        kept, _ = load_model(tmp_path / str(price))
        assert kept.gates is not None
        openness.append(float(kept.gates.value.detach().mean() - before.mean()))
    assert openness[1] < openness[0] - 0.05


def test_early_stopping_says_so(tmp_path):
    standing = run(tmp_path, Silent(), learning_rate=0.9, patience=2, epochs=50, evaluations=50)
    assert standing.why == f"no better for {standing.stale} evaluations"
    assert standing.stale >= 2
    assert standing.step >= standing.steps // 3
    assert standing.best_step < standing.step < standing.most


def test_the_budget_ends_training(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "meloctl.training.trainer.plan_on", lambda *_, **__: None
    )  # the plan does not see the end coming
    monkeypatch.setattr("meloctl.training.plan.MARGIN", 1000.0)
    standing = run(tmp_path, Silent(), minutes=0.02, epochs=10_000)
    assert standing.why == "0.02 minutes are over"
    assert standing.step < standing.steps
    assert (tmp_path / "model.safetensors").exists()


def test_the_plan_follows_the_true_speed():
    # 100 seconds for 10 steps, 200 left: 20 more; an evaluation of 12 seconds comes every 10 steps at most
    standing = Standing(steps=300, most=1000, step=10, seconds=100.0)
    plan_on(standing, config(minutes=5.0, evaluations=30), evaluating=12.0)
    assert standing.steps == 30
    assert standing.next == 10 + 10
    # all epochs fit: nothing that was measured changes the plan
    standing = Standing(steps=40, most=40, step=10, seconds=1.0)
    plan_on(standing, config(minutes=5.0, evaluations=4), evaluating=12.0)
    assert (standing.steps, standing.next) == (40, 20)


def test_a_run_that_ended_before_its_manifest_is_not_trained_again(tmp_path):
    first = run(tmp_path, Silent())
    watch = Silent()
    assert run(tmp_path, watch) == first
    assert watch.steps == []
    for damage in ("[]", "{}", json.dumps({**json.loads((tmp_path / "training.json").read_text()), "step": "x"})):
        (tmp_path / "training.json").write_text(damage)
        with pytest.raises(MeloError, match="a damaged training record"):
            run(tmp_path, Silent())


# what is not finite


def poisoned_after(steps, poison):
    """A model that has learned a while, and is then made ill; and the watcher that does it."""
    model = fresh()

    class Poisoner(Silent):
        def stepped(self, progress):
            super().stepped(progress)
            if progress.step == steps:
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
    model, watch = poisoned_after(6, poison)
    with pytest.raises(MeloError, match=says) as caught:
        run(tmp_path, watch, model=model)
    stream = PackStream(DATA[0], 100, V, seed=3)
    epoch = stream.epoch_of(12)
    window = stream.arrangement(epoch).of(12 - stream.first_of(epoch))[0]  # step 6 begins with pack 12
    assert f"in window {window} from bar {DATA[0][window].first_bar};" in str(caught.value).replace(" and", ";", 1)
    kept, quality = load_model(tmp_path)
    assert f"the best model so far (step {quality['step']}) is kept in {tmp_path}; lower --learning-rate" in str(
        caught.value
    )
    assert math.isfinite(quality_of(kept).bits_per_note)


def test_the_pack_that_is_not_finite_is_named(tmp_path):
    model = fresh()
    stream = PackStream(DATA[0], 100, V, seed=3)
    bad = torch.from_numpy(stream.pack_at(1).rows)
    forward = model.forward

    def ill(layout):
        nats = forward(layout)
        return nats * math.nan if torch.equal(layout.rows_NF, bad) else nats

    model.forward = ill
    with pytest.raises(MeloError) as caught:
        run(tmp_path, Silent(), model=model)
    names = [f"window {i} from bar {DATA[0][i].first_bar}" for i in stream.arrangement(0).of(1)]
    assert "; ".join(names[:4]) in str(caught.value)
    assert "none is kept" in str(caught.value)


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(MeloError, match="0 windows to train on"):
        run(tmp_path, Silent(), data=([], DATA[1]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"minutes": math.nan}, "--minutes nan: give a time budget above 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"seed": -1}, "--seed -1: give a whole number, 0 to 4294967295"),
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
    rates = [learning_rate(Standing(steps=100, most=100, step=s), settings) for s in range(101)]
    assert rates[0] == 0.1
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


def test_evaluation_leaves_the_mode_alone():
    for training in (True, False):
        model = fresh().train(training)
        quality_of(model)
        assert model.training == training


def test_padding_and_packing_change_no_figure():
    model = fresh()
    one = quality_of(model, rows=100)
    other = evaluate(model, DATA[1], 64, start(), length=80)
    assert other.bits_per_note == pytest.approx(one.bits_per_note, rel=1e-6)


def test_a_damaged_training_state_is_refused(tmp_path):
    state = tmp_path / "last.safetensors"
    save_file({"random": torch.zeros(3)}, state, {"standing": "{}"})
    with pytest.raises(MeloError, match="a damaged training state"):
        run(tmp_path, Silent())
    state.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Silent(stop_after=7), ema=0.9)
    good, lines = load_file(state), load_metadata(state)
    standing = json.loads(lines["standing"])
    moment = next(k for k in good if k.startswith("exp_avg."))
    mean = next(k for k in good if k.startswith("average."))
    for tensors, told in (
        ({**good, moment: good[moment][:1]}, lines),
        ({k: v for k, v in good.items() if k != moment}, lines),
        ({k: v for k, v in good.items() if k != mean}, lines),
        (good, {"standing": json.dumps({**standing, "step": "x"})}),
        (good, {"standing": "no json"}),
        (good, {}),
    ):
        save_file(tensors, state, told)
        with pytest.raises(MeloError, match="a damaged training state"):
            run(tmp_path, Silent(), ema=0.9)
