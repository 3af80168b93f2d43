"""A bridge that learns planted plans: its samples say what they are asked for, and a killed run goes on as if it had not been."""

import numpy as np
import pytest
import torch
from planted_plans import planted_caption, planted_embedding, planted_piece, read_levels

from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import BarConditions, batch_of
from meloctl.bridge.bridge_examples import (
    PlannedPiece,
    SpanText,
    bridge_examples,
    distinct_texts,
    make_examples,
    measured_wants,
)
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.bridge.bridge_state import STATE
from meloctl.bridge.bridge_training import (
    BridgeTrainConfig,
    bridge_losses,
    dropped,
    train_bridge,
    validation_losses,
)
from meloctl.progress import SilentReporter

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = BridgeSizes(plan_width=16, attributes=8, text_width=32, width=64, layers=2, heads=2, hidden=128)


def unread(text, levels):
    raise AssertionError("these pieces have no captions of their own")


def planted(seed, pieces, count):
    """Examples of planted pieces."""
    generator = np.random.default_rng(seed)
    made = [planted_piece(int(generator.integers(8, 80)), generator) for _ in range(pieces)]
    examples = make_examples(made, count, planted_caption, generator, read=unread)
    texts = distinct_texts(examples)
    return bridge_examples(made, examples, texts, np.stack([planted_embedding(text) for text in texts]))


def new_network():
    torch.manual_seed(0)
    return BridgeNetwork(SIZES, BridgeSchedule())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    network, training = new_network(), planted(0, 150, 800)
    progress = train_bridge(
        network,
        training,
        planted(1, 30, 60),
        BridgeTrainConfig(steps=150),
        tmp_path_factory.mktemp("run"),
        SilentReporter(),
    )
    torch.set_num_threads(before)
    return network, progress


def correlations(network, conditions_for):
    """(8,) how levels read off samples follow what was wanted, over 24 pieces of 24 bars."""
    generator = np.random.default_rng(3)
    wanted = np.clip(generator.normal(size=(24, 8)), -1.5, 1.5).astype(np.float32)
    found = [
        read_levels(sample_plans(network, conditions_for(levels), [n], steps=8))[0].mean(0)
        for n, levels in enumerate(wanted)
    ]
    return np.array([np.corrcoef(w, f)[0, 1] for w, f in zip(wanted.T, np.array(found).T, strict=True)])


def text_of(levels):
    return planted_embedding(" ".join(f"{x:.2f}" for x in levels)).astype(np.float32)


def test_it_learns(trained):
    losses = [entry["loss"] for entry in trained[1].history]
    assert len(losses) == 20
    assert trained[1].best == min(losses) < 0.95 * losses[0]


def test_it_ends_with_the_weights_whose_loss_was_best(trained):
    network, progress = trained
    assert validation_losses(network, planted(1, 30, 60), BridgeTrainConfig.seed)[0] == progress.best


def test_samples_follow_wants_alone(trained):
    def wants_alone(levels):
        conditions = BarConditions.of_text(np.tile(levels, (24, 1)), np.zeros(32, dtype=np.float32))
        return BarConditions(
            wants=conditions.wants, texts=conditions.texts, text=np.full(24, -1), piece_bars=conditions.piece_bars
        )

    assert correlations(trained[0], wants_alone).min() > 0.6


def test_samples_follow_the_text_alone(trained):
    unsaid = np.full((24, 8), np.nan, dtype=np.float32)
    assert correlations(trained[0], lambda levels: BarConditions.of_text(unsaid, text_of(levels))).min() > 0.6


def test_a_course_is_followed(trained):
    wants = np.full((40, 8), np.nan, dtype=np.float32)
    wants[:20, 2], wants[20:, 2] = -1.5, 1.5
    conditions = BarConditions(
        wants=wants,
        texts=np.stack([text_of(np.nan_to_num(wants[bar])) for bar in (0, 39)]),
        text=np.repeat([0, 1], 20),
        piece_bars=40,
    )
    level = read_levels(sample_plans(trained[0], conditions, range(4)))[..., 2].mean(0)
    assert level[20:].mean() - level[:20].mean() > 1.5


def test_bars_differ_and_seeds_differ(trained):
    conditions = BarConditions.of_text(np.zeros((32, 8), dtype=np.float32), text_of(np.zeros(8)))
    plans = sample_plans(trained[0], conditions, [1, 2])
    assert plans[0].std(axis=0).min() > 0.05
    assert (plans[0] - plans[1]).std() > 0.1


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    training, validation, config = planted(0, 10, 40), planted(1, 4, 6), BridgeTrainConfig(steps=10)
    whole = new_network()
    expected = train_bridge(whole, training, validation, config, tmp_path / "whole", SilentReporter())

    class Killed(SilentReporter):
        steps = 0

        def advance(self, steps=1, *, status=""):
            self.steps += steps
            if self.steps == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr("meloctl.bridge.bridge_training._SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train_bridge(new_network(), training, validation, config, tmp_path / "killed", Killed())
    resumed = new_network()
    progress = train_bridge(resumed, training, validation, config, tmp_path / "killed", SilentReporter())
    assert [e["loss"] for e in progress.history] == [e["loss"] for e in expected.history]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_run_that_ended_is_not_trained_again(tmp_path):
    training, validation, config = planted(0, 10, 40), planted(1, 4, 6), BridgeTrainConfig(steps=3)
    first = new_network()
    train_bridge(first, training, validation, config, tmp_path, SilentReporter())
    second = new_network()
    assert train_bridge(second, training, validation, config, tmp_path, SilentReporter()).step == 3
    assert torch.equal(first.of_wants.weight, second.of_wants.weight)


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64, b"PK\x03\x04 a pickle"])
def test_a_damaged_state_is_refused(tmp_path, damage):
    (tmp_path / STATE).write_bytes(damage)
    with pytest.raises(MeloError, match=r"damaged training state.*delete"):
        train_bridge(
            new_network(), planted(0, 4, 8), planted(1, 2, 2), BridgeTrainConfig(steps=1), tmp_path, SilentReporter()
        )


def test_padding_counts_for_nothing():
    network = new_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
    examples = planted(2, 6, 8)
    short, long = examples.by_length[[0, -1]]
    plans = [torch.from_numpy(examples.plans[i]) for i in (short, long)]
    assert len(plans[0]) < len(plans[1])
    alone, both = (
        network.embed(batch_of([examples.conditions[i] for i in chosen])) for chosen in ([short], [short, long])
    )
    t = torch.tensor([0.4])
    padded = torch.nn.utils.rnn.pad_sequence(plans, batch_first=True)
    padded[0, len(plans[0]) :] = 7.0
    expected = network(plans[0][None], alone, network.at_time(t))
    found = network(padded, both, network.at_time(t.repeat(2)))
    torch.testing.assert_close(found[:1, : len(plans[0])], expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_that_of_the_displacement():
    # An untrained network takes music for Gaussian around z_text = 0: at t = 1 it predicts all of z, and the rest is the music
    network, examples = new_network(), planted(2, 6, 1)
    plans = torch.from_numpy(examples.plans[0])[None]
    noise, text = bridge_losses(
        network, batch_of(examples.conditions), plans, torch.ones(1), torch.Generator().manual_seed(0)
    )
    assert noise.item() == pytest.approx(float(plans.square().mean()), rel=1e-5)
    assert text.item() == pytest.approx(float(plans.square().mean()), rel=1e-5)


def test_what_is_dropped_is_gone():
    batch = batch_of(
        [BarConditions.of_text(np.ones((5, 8), dtype=np.float32), np.arange(32.0, dtype=np.float32))] * 400
    )
    config = BridgeTrainConfig(steps=1)
    out = dropped(batch, config, torch.Generator().manual_seed(0))
    no_text, no_wants = out.has_text[:, 0, 0] == 0, out.said.sum((1, 2)) == 0
    assert (out.text[no_text] == 0).all()
    assert (out.levels[out.said == 0] == 0).all()
    assert float(no_text.float().mean()) == pytest.approx(config.drop_all + config.drop_text, abs=0.07)
    assert float((no_text & no_wants).float().mean()) == pytest.approx(config.drop_all, abs=0.05)
    assert float(no_wants.float().mean()) == pytest.approx(config.drop_all + config.drop_wants, abs=0.06)
    assert set(out.said.mean(1).unique().tolist()) == {0.0, 1.0}  # a want is dropped from all bars or from none


def test_wants_are_means_of_what_is_there():
    levels = np.full((8, 2), np.nan, dtype=np.float32)
    levels[:6, 0] = [0, 1, 0, 1, 0, 1]
    wants = measured_wants(levels, np.random.default_rng(0))
    np.testing.assert_allclose(wants[:, 0], 0.5)
    assert np.isnan(wants[:, 1]).all()


def test_some_spans_have_two_texts_and_some_wants_a_course():
    generator = np.random.default_rng(0)
    levels = np.linspace(-1, 1, 40, dtype=np.float32)[:, None] + np.zeros((1, 8), dtype=np.float32)
    examples = make_examples(
        [PlannedPiece(plans=np.zeros((40, 16), dtype=np.float32), levels=levels)],
        300,
        planted_caption,
        generator,
        read=unread,
    )
    two = [e for e in examples if len(e.texts) == 2]
    assert 20 < len(two) < 100
    assert all(e.section.max() == 1 and (np.diff(e.section) >= 0).all() for e in two)
    straight = sum(
        np.allclose(e.wants[:, a], levels[e.first :][: len(e.wants), a], atol=1e-5) for e in examples for a in range(8)
    )
    assert straight > 10


def test_a_span_of_which_nothing_is_said_has_no_text():
    def silent(levels, generator):
        return SpanText("", np.full(levels.shape, np.nan, dtype=np.float32))

    pieces = [planted_piece(9, np.random.default_rng(0))]
    examples = make_examples(pieces, 2, silent, np.random.default_rng(0), read=unread)
    assert distinct_texts(examples) == []
    made = bridge_examples(pieces, examples, ["other"], np.ones((1, 32), dtype=np.float32))
    assert (made.conditions[0].text == -1).all()


def test_half_of_the_spans_of_a_piece_with_captions_have_one_of_these():
    plans, levels = np.zeros((40, 16), dtype=np.float32), np.ones((40, 8), dtype=np.float32)
    pieces = [
        PlannedPiece(plans=plans, levels=levels, captions=("one", "two")),
        PlannedPiece(plans=plans, levels=levels),
    ]

    def read(text, levels):
        return SpanText(text, np.full(levels.shape, 0.5, dtype=np.float32))

    examples = make_examples(pieces, 400, planted_caption, np.random.default_rng(0), read=read)
    written = [e for e in examples if e.texts[0] in ("one", "two")]
    assert {e.piece for e in written} == {0}
    assert 0.4 < len(written) / sum(e.piece == 0 for e in examples) < 0.6
    assert {e.texts for e in written} == {("one",), ("two",)}
    assert all((e.wants == 0.5).all() and (e.section == 0).all() for e in written)
