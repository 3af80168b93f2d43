"""Bar plans in decoding: both decoders equal each other and the full forward pass, and a plan reaches no bar before its time."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sibling_models import sibling
from small_models import EXEMPT, SEED, V, masked_window, music, row_writers, with_short_bars
from strategies import specs
from test_meloctl_generation_infill import song, source_of
from test_meloctl_model_compiled_decoder import MASKS, NEAR, assert_equal_in_every_state, model_of, rows_of

from analysis.errors import MeloError
from analysis.midi import read_midi
from masks.spec import MaskSpec
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.generation import infill_pieces
from meloctl.generation.constraints import Constraints
from meloctl.generation.infill import encode_infill
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.infill_segments import infill_segments
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate
from meloctl.model.bar_plans import BarPlans
from meloctl.model.decoding import ArrayDecoder, plan_conditions, start_decoding
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.music_transformer.model import MusicTransformer
from meloctl.model.prompts import NO_PLAN, distinct_plans
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import FIELDS, INSTRUMENT, default_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

D = 5
DECODERS = (CompiledDecoder, lambda *arguments, **how: ArrayDecoder(MeloFormerDecoder(*arguments, **how)))
NO_ROWS = np.zeros((0, len(FIELDS)), dtype=np.int64)


def planned(spec=SEED, **more):
    """A small model in which plans matter."""
    model = model_of(spec, plan_width=D, **more)
    with torch.no_grad():
        for layer in (model.plans.own, model.plans.next, model.plans.opening):
            layer.weight.normal_(std=0.5)
            layer.bias.normal_(std=0.5)
    return model


def some_plans(seed, bars, share=0.8):
    """Plans of a piece by chance, of which some bars have none; None for no bars."""
    random = np.random.default_rng(seed)
    vectors = random.uniform(-1, 1, (bars, D)).astype(np.float32)
    return BarPlans(vectors=vectors, given=random.random(bars) < share) if bars else None


def changed(plans, bar):
    """The same but for the plan of one bar, which then has one."""
    vectors, given = plans.vectors.copy(), plans.given.copy()
    vectors[bar], given[bar] = -np.sign(vectors[bar]), True
    return BarPlans(vectors=vectors, given=given)


def states_by_row(decoder, rows, prompt=0):
    """(L - prompt, C) states of a piece from the one after its prompt on; each predicts a row."""
    states = [decoder.prefill([rows[:prompt]])[0].copy()]
    states += [decoder.step(row[None])[0].copy() for row in rows[prompt:-1]]
    return np.stack(states)


def full_states(model, window, given):
    """The full forward pass: (L, C) states, and the plans that it took from the window's own bars."""
    layout = model.layout(pack_of([window], given))
    with torch.no_grad():
        vectors = model.plans(layout.features.values)[:-1].numpy()
        return model.states(layout).numpy(), BarPlans(vectors=vectors, given=given)


# one decoder and the other


@settings(max_examples=12)
@given(
    specs(most=6),
    st.booleans(),
    st.integers(0, 10**6),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12)), min_size=1, max_size=5),
)
@example(EXEMPT, False, 0, [(0.5, 6)])
@example(SEED, True, 4, [(0.4, 3), (0.4, 0), (0.6, 12)])  # plans end early, are none, and are more than the bars
@example(SEED, False, 5, [(0.0, 5), (0.0, 5), (0.2, 2), (0.0, 0)])
def test_states_equal_those_of_the_torch_decoder(spec, gated, seed, sizes):
    model = planned(spec, gated=gated)
    pieces = [rows_of(seed + i, bars=5 + i) for i in range(len(sizes))]
    lengths = [int(share * (len(rows) - 2)) for (share, _), rows in zip(sizes, pieces, strict=True)]
    plans = plan_conditions(model, [some_plans(seed + i, bars) for i, (_, bars) in enumerate(sizes)])
    assert_equal_in_every_state(model, pieces, lengths, plans=plans)


@settings(max_examples=10)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6), st.integers(0, 8), st.booleans(), st.floats(0, 1))
@example(MaskSpec(same=(2,), near=0, far=(3,), summaries=False), False, 3, 2, False, 0.9)
def test_states_of_masked_bars_equal(spec, gated, seed, first, some, share):
    model = planned(spec, gated=gated)
    several = [masked_window(seed + i, first=first, last=min(8, first + i), some=some) for i in range(2)]
    pieces = [window.rows.astype(np.int64) for window in several]
    lengths = [int(share * (len(rows) - 2)) for rows in pieces]
    plans = plan_conditions(model, [some_plans(seed, 9), some_plans(seed + 1, 5)])
    assert_equal_in_every_state(model, pieces, lengths, first_masked_bar=first, plans=plans)


@pytest.mark.parametrize("folder", ["chorales", "band"])
def test_states_of_whole_real_pieces_equal(folder, real):
    paths = real(folder)[:3]
    pieces = [encode(read_midi(path), default_vocabulary())[0][:700].astype(np.int64) for path in paths]
    model = planned(MASKS["museformer"], width=96, heads=3, kv_heads=3, hidden=128)
    plans = plan_conditions(model, [model_plans(model, rows) for rows in pieces])
    assert_equal_in_every_state(model, pieces, [0, 100, 50], plans=plans)


def model_plans(model, rows):
    """Plans of a piece's own bars."""
    vectors = model.plans.of_rows(rows.astype(np.int16), V)
    return BarPlans(vectors=vectors, given=np.ones(len(vectors), dtype=bool))


# the decoders and the full forward pass


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("spec", [SEED, EXEMPT, MASKS["museformer"]])
@pytest.mark.parametrize("gated", [False, True])
def test_states_equal_the_full_forward(kind, spec, gated):
    model, rows = planned(spec, gated=gated, layers=3), rows_of(3, bars=8)
    window = Window(rows=rows.astype(np.int16), first_bar=0)
    for planned_bars in ([1] * 8, [1, 1, 0, 1, 0, 0, 1, 1], [0, 1, 1, 1, 1, 0, 0, 0]):
        expected, plans = full_states(model, window, np.array(planned_bars, dtype=bool))
        last = int(np.flatnonzero(plans.given)[-1]) + 1
        for its in (plans, plans.of_bars(range(last))):
            for prompt in (0, 1, 20):
                decoder = kind(model, plans=plan_conditions(model, [its]))
                np.testing.assert_allclose(states_by_row(decoder, rows, prompt), expected[prompt:], **NEAR)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("some", [False, True])
def test_states_of_masked_bars_equal_the_full_forward(kind, some):
    model, window = planned(layers=3), masked_window(7, first=3, last=5, some=some)
    expected, plans = full_states(model, window, np.array([1, 1, 0, 1, 1, 0, 1, 1, 1], dtype=bool))
    rows = window.rows.astype(np.int64)
    for prompt in (0, window.middle.row, window.middle.row + 3):
        decoder = kind(model, first_masked_bar=3, plans=plan_conditions(model, [plans]))
        np.testing.assert_allclose(states_by_row(decoder, rows, prompt), expected[prompt:], **NEAR)


# who sees which plan


@pytest.mark.parametrize("kind", DECODERS)
def test_a_plan_is_seen_from_the_bar_before_it_on(kind):
    model, (rows, bar, _) = planned(), music(3, bars=8)
    rows, bar, plans = rows.numpy(), np.array(bar), some_plans(1, 8)
    for prompt in (0, len(rows) // 2):
        before = states_by_row(kind(model, plans=plan_conditions(model, [plans])), rows, prompt)
        for b in range(8):
            after = states_by_row(kind(model, plans=plan_conditions(model, [changed(plans, b)])), rows, prompt)
            moved, read = np.abs(after - before).max(axis=1) > 0, bar[prompt - 1 : -1] if prompt else bar[:-1]
            assert prompt or moved[0] == (b == 0)
            of_rows = moved if prompt else moved[1:]
            assert not of_rows[read < b - 1].any()
            assert of_rows[(read == b - 1) | (read == b)].all()


def test_new_bars_before_a_changed_plan_stay_the_same():
    model, bars = with_short_bars(planned()), 7
    for b in (2, 5):
        pieces = []
        for plans in (some_plans(2, bars, share=1.0), changed(some_plans(2, bars, share=1.0), b)):
            writers = row_writers(Constraints(bars=bars), [4])
            generate(model, writers, Sampling(), plans=[plans])
            pieces.append(writers.rows(0))
        one, other = pieces
        stop = (
            np.flatnonzero(one[:, INSTRUMENT] == V.bar)[b - 1] + 1
        )  # the header of the bar before is written without it
        assert np.array_equal(one[:stop], other[:stop])
        assert not np.array_equal(one, other)


def test_pieces_of_a_batch_have_plans_of_their_own():
    model, prompt = planned(), rows_of(1, bars=3)[:-1]
    alike = some_plans(1, 6)
    every = [alike, some_plans(2, 6), None, BarPlans(vectors=alike.vectors.copy(), given=alike.given), some_plans(3, 2)]
    following = rows_of(9, bars=4)[:-1]
    for before in (prompt, NO_ROWS):
        decoder, states = start_decoding(model, [before] * 5, plans=plan_conditions(model, every))
        alone = [start_decoding(model, [before], plans=plan_conditions(model, [each])) for each in every]
        assert np.abs(states - np.concatenate([one for _, one in alone])).max() < 1e-4
        for row in following:
            states = decoder.step(np.stack([row] * 5))
            expected = np.concatenate([one.step(row[None]) for one, _ in alone])
            np.testing.assert_allclose(states, expected, **NEAR)
        np.testing.assert_allclose(states[0], states[3], **NEAR)
        assert np.abs(states[[1, 2, 4]] - states[0]).max(axis=1).min() > 1e-3


def test_equal_prompts_with_equal_plans_are_read_once(monkeypatch):
    model, lengths = planned(), []
    layout = model.layout
    monkeypatch.setattr(model, "layout", lambda pack: lengths.append(pack.n_rows) or layout(pack))
    rows, one, other = rows_of(3, bars=4)[:-1], some_plans(1, 8), some_plans(2, 8)
    start_decoding(model, [rows] * 6, plans=plan_conditions(model, [one, other, one, None, some_plans(1, 8), None]))
    assert lengths == [3 * len(rows)]


def test_distinct_plans():
    model = planned()
    one, same, other = plan_conditions(model, [some_plans(1, 8), some_plans(1, 8), some_plans(2, 8)])
    assert distinct_plans([None, one, other, same, None]) == ([one, other], [NO_PLAN, 0, 1, 0, NO_PLAN])
    assert distinct_plans([]) == ([], [])


def test_without_plans_a_model_that_knows_them_is_as_before():
    model, rows = planned(), rows_of(2, bars=5)
    for kind in DECODERS:
        expected = states_by_row(kind(model), rows)
        for plans in (None, [None], plan_conditions(model, [some_plans(1, 5, share=0.0)])):
            assert np.array_equal(states_by_row(kind(model, plans=plans), rows), expected)


# new bars and infill


def test_plans_behind_a_prompt_begin_with_its_last_bar():
    model, plans = with_short_bars(planned()), some_plans(1, 4, share=1.0)
    prompt = rows_of(1, bars=3)[:-1]
    padded = plans.behind(3)
    assert padded.given.tolist() == [False] * 3 + [True] * 4
    assert np.array_equal(padded.of_bars(range(3, 7)).vectors, plans.vectors)
    conditions = model.plans.conditions(padded)
    assert not conditions.rows[:2].any()
    assert not conditions.start.any()
    assert conditions.rows[2:].any(axis=(1, 2)).all()
    writers = row_writers(Constraints(bars=4), range(3), prompt=prompt.astype(np.int16))
    decoder = generate(model, writers, Sampling(), plans=[padded] * 3)
    assert decoder.nbytes == 0
    assert all(writers.done(i) for i in range(3))


def test_segments_of_an_infill_have_the_plans_of_their_bars(monkeypatch):
    model, piece = with_short_bars(planned(context=60)), song(bars=20)
    infill = encode_infill(source_of(piece), range(4, 16), None, V)
    plans, seen = some_plans(1, 20, share=0.7), []

    def watched(*arguments, **options):
        seen.append(options["plans"])
        return generate(*arguments, **options)

    monkeypatch.setattr(infill_pieces, "generate", watched)
    versions = [InfillProgress(random=np.random.default_rng(seed)) for seed in range(2)]
    fill_segments(model, infill, versions, Sampling(), plans=[plans, None])
    segments = infill_segments(infill, 60, V)
    assert len(segments) == len(seen) > 2
    for segment, (first, second) in zip(segments, seen, strict=True):
        assert second is None
        for i, bar in enumerate(segment.context):
            assert np.array_equal(first.vectors[i], plans.vectors[bar])
            assert first.given[i] == plans.given[bar]
        assert len(first.given) == len(segment.context)


def test_an_infill_follows_the_plans_of_its_bars():
    model, piece = with_short_bars(planned()), song(bars=6)
    infill = encode_infill(source_of(piece), range(2, 4), None, V)
    plans = some_plans(1, 6, share=1.0)

    def notes(its):
        version = InfillProgress(random=np.random.default_rng(0))
        fill_segments(model, infill, [version], Sampling(), plans=its)
        return [(bar, row.tolist()) for bar, row in version.notes]

    assert notes([plans]) == notes([plans])
    assert notes([plans]) != notes([changed(plans, 3)])
    assert notes([None]) == notes(None)


def test_models_that_know_no_plans_refuse_them():
    rows = rows_of(1, bars=2)[:-1]
    conditions = plan_conditions(planned(), [some_plans(1, 3)])
    for model in (model_of(SEED), sibling(MusicTransformer)):
        with pytest.raises(MeloError, match="without bar plans"):
            plan_conditions(model, [None, some_plans(1, 3)])
        with pytest.raises(MeloError, match="without bar plans"):
            start_decoding(model, [rows], plans=conditions)
        assert plan_conditions(model, [None, None]) == [None, None]
