"""One step: every model can learn a batch by heart, packs add up, dropout is drawn for each pack, layers may forget."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from train_small import DATA, V, config, fresh, pieces

from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window
from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import ABSENT
from meloctl.training.distributed_packs import DistributedPacks, MicroBatch
from meloctl.training.processes import start
from meloctl.training.train_step import gradients, learner_of, sharing, take_step
from meloctl.training.weight_average import WeightAverage, averaged


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_is_learned_by_heart(architecture):
    model = fresh(architecture, width=48, hidden=96, field_hidden=48, dropout=0.0).train()
    layout = model.layout(pack_of([Window(rows=r, first_bar=0) for r in pieces(2)]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    n_fields = int((layout.rows_NF[: len(layout.loss_mask_N)][layout.loss_mask_N] != ABSENT).sum())
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
    deal = DistributedPacks(stream, DATA[0], packs=3, accelerator=start(), length=None).deal(0)
    packs = [turn.pack for turn in deal.turns]
    assert len({p.n_notes for p in packs}) > 1  # or a mean of means would do
    every = Pack(
        rows=np.concatenate([p.rows for p in packs]),
        starts=np.cumsum([0, *(n for p in packs for n in np.diff(p.starts))]),
        first_bar=np.concatenate([p.first_bar for p in packs]),
    )
    lump = replace(deal, turns=(MicroBatch(index=0, pack=every, heard=True),), windows=(np.concatenate(deal.windows),))
    three, weights = one_step(lambda model: sharing(model)(deal), config(packs=3))
    one, others = one_step(lambda model: sharing(model)(lump), config(packs=1))
    assert one.n_notes == three.n_notes == every.n_notes
    assert len(three.pack_nats) == 3
    assert one.nats == pytest.approx(three.nats, rel=1e-6)
    assert one.norm == pytest.approx(three.norm, rel=1e-5)
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=1e-4, atol=1e-6)


def test_dropout_is_drawn_anew_for_each_step_and_pack_and_is_the_same_again():
    deal = DistributedPacks(
        PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, accelerator=start(), length=None
    ).deal(0)
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
    deal = DistributedPacks(
        PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, accelerator=start(), length=None
    ).deal(0)
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


def test_the_mean_of_the_weights_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
        mean = WeightAverage(model, 0.5)
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
