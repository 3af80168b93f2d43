"""One step: every model can overfit a batch, packs add up, dropout is seeded for each pack, layers can recompute."""

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
from meloctl.training.processes import start_accelerator
from meloctl.training.train_step import accumulate_gradients, make_train_state, optimizer_step, step_layout


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_can_be_overfitted(architecture):
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
    # the first rows of the two pieces are equal, so some loss remains
    assert bits < 0.05


def one_step(step_of, settings):
    """The loss of a step, and the weights after it."""
    state = make_train_state(fresh(dropout=0.0), settings, start_accelerator())
    loss = optimizer_step(state, step_of(state.model), settings, rate=1e-3)
    return loss, dict(state.model.named_parameters())


def test_a_step_of_several_packs_is_a_step_of_one_that_holds_all_their_windows():
    stream = PackStream(DATA[0], 100, V, seed=1)
    batch = DistributedPacks(stream, DATA[0], packs=3, accelerator=start_accelerator(), length=None).step_batch(0)
    packs = [micro.pack for micro in batch.micro_batches]
    assert len({p.n_notes for p in packs}) > 1  # or a mean of means would do
    every = Pack(
        rows=np.concatenate([p.rows for p in packs]),
        starts=np.cumsum([0, *(n for p in packs for n in np.diff(p.starts))]),
        first_bar=np.concatenate([p.first_bar for p in packs]),
    )
    lump = replace(
        batch, micro_batches=(MicroBatch(index=0, pack=every, is_copy=False),), windows=(np.concatenate(batch.windows),)
    )
    three, weights = one_step(lambda model: step_layout(model)(batch), config(packs=3))
    one, others = one_step(lambda model: step_layout(model)(lump), config(packs=1))
    assert one.n_notes == three.n_notes == every.n_notes
    assert len(three.pack_nll) == 3
    assert one.nll == pytest.approx(three.nll, rel=1e-6)
    assert one.norm == pytest.approx(three.norm, rel=1e-5)
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=1e-4, atol=1e-6)


def test_dropout_is_seeded_by_step_and_pack():
    batch = DistributedPacks(
        PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, accelerator=start_accelerator(), length=None
    ).step_batch(0)
    twice = replace(
        batch, micro_batches=(batch.micro_batches[0], replace(batch.micro_batches[1], pack=batch.micro_batches[0].pack))
    )
    state = make_train_state(fresh(dropout=0.5), config(), start_accelerator())
    state.model.train()

    def nll(batch):
        return accumulate_gradients(state, step_layout(state.model)(batch), config()).pack_nll

    first = nll(twice)
    assert first[0] != first[1]
    assert nll(twice) == first
    assert nll(replace(twice, step=1)) != first


def test_checkpointing_changes_no_weight():
    batch = DistributedPacks(
        PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=2, accelerator=start_accelerator(), length=None
    ).step_batch(0)
    for architecture in ARCHITECTURES:
        left = []
        for checkpointing in (False, True):
            settings = config(checkpointing=checkpointing)
            state = make_train_state(fresh(architecture, dropout=0.3), settings, start_accelerator())
            state.model.train()
            loss = optimizer_step(state, step_layout(state.model)(batch), settings, rate=1e-3)
            left.append((loss, state.model.state_dict()))
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


def test_checkpointing_keeps_fewer_activations():
    layout = fresh().layout(pack_of(DATA[0][:3]))
    kept, again = (
        kept_bytes(make_train_state(fresh(), config(checkpointing=c), start_accelerator()).model.train(), layout)
        for c in (False, True)
    )
    assert again < 0.7 * kept
