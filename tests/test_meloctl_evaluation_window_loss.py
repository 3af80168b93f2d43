"""Loss on held-out music: a uniform model's is known; first rows of pieces; agreement with training's validation loss."""

import math

import numpy as np
import pytest
import torch
from train_small import V, fresh, pieces

from meloctl.dataset.windows import Window, windows
from meloctl.evaluation import window_loss as window_loss_module
from meloctl.evaluation.window_loss import NO_LOSS, bar_seconds, prefix_losses, window_loss
from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, TEMPO, TIME_SIGNATURE
from meloctl.training.processes import start_accelerator
from meloctl.training.validation import validation_loss


def uniform(architecture="meloformer"):
    """A model whose every logit is 0."""
    model = fresh(architecture).eval()
    for head in model.heads.heads:
        torch.nn.init.zeros_(head.outer.weight)
        torch.nn.init.zeros_(head.outer.bias)
    return model


def prefix_loss(model, some, lengths):
    """{N: loss of the first N rows of all pieces}"""
    each = [prefix_losses(model, rows, lengths) for rows in some]
    return {n: sum((losses[n] for losses in each), start=NO_LOSS) for n in lengths}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_perplexity_of_a_uniform_model_is_the_number_of_values(architecture):
    loss = prefix_loss(uniform(architecture), pieces(3), (40, 1000))[1000]
    assert loss.field_perplexity == pytest.approx(dict(zip(FIELDS, V.sizes, strict=True)), rel=1e-4)


def test_bits_and_perplexity_of_a_uniform_model():
    (rows,) = pieces(1)
    loss = prefix_loss(uniform(), [rows], (1000,))[1000]
    bits = sum(math.log2(size) * int((rows[:, f] != ABSENT).sum()) for f, size in enumerate(V.sizes))
    assert loss.bits == pytest.approx(bits, rel=1e-4)
    assert loss.row_perplexity == pytest.approx(2 ** (bits / len(rows)), rel=1e-4)
    assert loss.value_perplexity == pytest.approx(2 ** (bits / int((rows != ABSENT).sum())), rel=1e-4)
    found, notes, bars = (
        loss.to_json(),
        int((rows[:, PITCH] != ABSENT).sum()),
        int((rows[:, INSTRUMENT] == V.bar).sum()),
    )
    assert (found["rows"], found["notes"], found["bars"]) == (len(rows), notes, bars)
    assert found["bits_per_note"] == pytest.approx(bits / notes, rel=1e-4)
    assert found["bits_per_bar"] == pytest.approx(bits / bars, rel=1e-4)
    assert found["bits_per_second"] == pytest.approx(bits / loss.seconds, rel=1e-4)
    assert sum(f["bits_per_note"] for f in found["fields"].values()) == pytest.approx(found["bits_per_note"])


def test_a_bar_lasts_as_long_as_its_signature_and_tempo_say():
    headers = np.full((2, len(FIELDS)), ABSENT)
    headers[:, TIME_SIGNATURE] = [V.time_signatures.index(s) for s in ("4/4", "6/8")]
    headers[:, TEMPO] = [V.tempos.index(120.0), V.tempos.index(60.0)]
    assert bar_seconds(headers, V).tolist() == [2, 3]


def test_loss_of_the_first_rows():
    some, model = pieces(3), fresh().eval()
    by_length = prefix_loss(model, some, (10, 20, 100_000))
    cut = [window_loss(model, Window(rows=rows[:20], first_bar=0)) for rows in some]
    assert by_length[20] == cut[0] + cut[1] + cut[2]
    assert by_length[10].rows == 30
    assert by_length[100_000].rows == sum(map(len, some))


def test_a_piece_that_fits_into_the_shorter_prefix_is_computed_once(monkeypatch):
    (rows,), computed = pieces(1), []
    loss = window_loss_module.window_loss

    def recorded(model, window, **options):
        computed.append(len(window.rows))
        return loss(model, window, **options)

    monkeypatch.setattr(window_loss_module, "window_loss", recorded)
    losses = prefix_losses(uniform(), rows, (10, len(rows), 1000, 2000))
    assert computed == [10, len(rows)]
    assert losses[2000] == losses[1000] == losses[len(rows)]


def test_a_bar_counts_where_its_header_is_not_predicted():
    (rows,) = pieces(1)
    second = int(np.flatnonzero(rows[:, INSTRUMENT] == V.bar)[1])
    loss = window_loss(uniform(), Window(rows=rows[second:], first_bar=1))
    bars = int((rows[second:, INSTRUMENT] == V.bar).sum())
    assert (loss.rows, loss.bars) == (len(rows) - second - 1, bars)  # what came before the first header is missing


def test_later_rows_do_not_change_the_loss_of_earlier_ones():
    (rows,), model = pieces(1), fresh().eval()
    first, both = (window_loss(model, Window(rows=rows[:n], first_bar=0)) for n in (15, 30))
    assert sum(first.nll) < sum(both.nll)
    late = rows.copy()
    late[20:, PITCH] = np.where(late[20:, PITCH] != ABSENT, 64, ABSENT)
    assert window_loss(model, Window(rows=late[:15], first_bar=0)) == first


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_window_losses_add_up_to_the_validation_loss(architecture):
    model, chosen = fresh(architecture).eval(), windows(pieces(4), 64, V)
    quality = validation_loss(model, chosen, 100, start_accelerator())
    losses = [window_loss(model, w) for w in chosen]
    total = sum(losses[1:], start=losses[0]).to_json()
    assert total["bits_per_note"] == pytest.approx(quality.bits_per_note, rel=1e-5)
    assert {f: field["bits_per_note"] for f, field in total["fields"].items()} == pytest.approx(
        quality.fields, rel=1e-5
    )
