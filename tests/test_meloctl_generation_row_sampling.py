"""The compiled rules, heads and choice: equal to the plain ones value by value, and piece by piece."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_writer import (
    InfillContext,
    PieceState,
    PlainInfillWriter,
    PlainPieceWriter,
    plain_choice,
    plain_generate,
)
from small_models import SEED, V, music, small, with_short_bars
from written_pieces import compiled_weights

from analysis.errors import MeloError
from meloctl.dataset.infill_windows import infill_window
from meloctl.generation.constraints import MOST_ROWS_IN_BAR, ChannelRoom, Constraints
from meloctl.generation.new_bars import bars_behind, masked_bars
from meloctl.generation.options import Sampling
from meloctl.generation.row_sampling import choose, head_logits
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.model.head_weights import head_weights
from meloctl.rows.grammar import FIELDS_OF, kind_of
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
)
from meloctl.score.key import Key
from meloctl.score.ranges import pitches_in_range


@dataclass(frozen=True)
class Task:
    """What is written, for the plain writer and for the compiled one."""

    plain: object
    new_bars: object


def composition(constraints, prompt=None, room=None, header_changes=None):
    room = room or ChannelRoom()

    def plain(seed):
        random = np.random.default_rng(seed)
        return PlainPieceWriter(
            vocabulary=V,
            constraints=constraints,
            random=random,
            prompt=prompt,
            room=room,
            header_changes=header_changes,
        )

    return Task(plain, bars_behind(prompt, constraints, V, room=room, header_changes=header_changes))


def infill(context, first, headers, parts, required=(), needs_note=False, key=None):
    given = InfillContext(
        rows=context,
        first_masked_bar=first,
        headers=headers,
        parts=tuple(parts),
        required_parts=tuple(required),
        needs_note=needs_note,
    )

    def plain(seed):
        state = PieceState(vocabulary=V, key=key)
        return PlainInfillWriter(state=state, context=given, random=np.random.default_rng(seed))

    return Task(
        plain,
        masked_bars(context, first, headers, parts, V, required_parts=required, needs_note=needs_note, key=key),
    )


PARTS = st.tuples(st.sampled_from([V.drums, 5, 6, 60, V.end - 1]), st.sampled_from([0, 1, 2, 63]))
KEYS = st.one_of(st.none(), st.builds(Key, tonic=st.integers(0, 11), minor=st.booleans()))


def rows_of_music(seed, bars):
    return music(seed, bars=bars)[0].numpy().astype(np.int16)


@st.composite
def compositions(draw):
    bars = draw(st.integers(1, 9))
    prompt = draw(st.one_of(st.none(), st.integers(0, 99).map(lambda seed: rows_of_music(seed, 3)[:-1])))
    if prompt is not None and draw(st.booleans()):
        prompt = np.concatenate([prompt, np.repeat(prompt[:1], draw(st.integers(1, 5)), axis=0)])  # silence behind it
    room = ChannelRoom(
        own=frozenset(draw(st.sets(PARTS, max_size=3))),
        pitched=draw(st.integers(0, 3)),
        parts=draw(st.integers(1, 4)),
        drums=draw(st.booleans()),
    )
    if not (room.own or room.drums or room.pitched):
        room = ChannelRoom()
    parts = draw(st.one_of(st.none(), st.sets(PARTS, min_size=1, max_size=5).map(lambda some: tuple(sorted(some)))))
    constraints = Constraints(
        bars=bars,
        parts=parts,
        time_signature=draw(st.sampled_from([None, 3, 200])),
        tempo=draw(st.sampled_from([None, 5])),
        key=draw(KEYS),
    )
    return composition(constraints, prompt, room)


@st.composite
def infills(draw):
    rows = rows_of_music(draw(st.integers(0, 99)), 9)
    first = draw(st.integers(0, 5))
    bars = range(first, draw(st.integers(first, 8)) + 1)
    notes = rows[rows[:, PITCH] >= 0]
    there = sorted({(int(i), int(n)) for i, n in notes[:, [INSTRUMENT, INSTANCE]]})
    masked = there[: draw(st.integers(1, len(there)))]
    window = infill_window(rows, bars, masked, V)
    parts = sorted({*masked, *draw(st.sets(PARTS, max_size=3))})
    required = parts if draw(st.booleans()) else ()
    headers = rows[rows[:, INSTRUMENT] == V.bar][bars.start : bars.stop]
    return infill(window.rows[: window.middle.row], first, headers, parts, required, draw(st.booleans()), draw(KEYS))


def assert_equal_weights(writers, plain, field, row):
    """Assert that the compiled rules give a field the plain weights, and return these."""
    expected, found = plain.logit_weights(field, row), compiled_weights(writers, 0, field, row)
    if field == INSTRUMENT and not writers.pieces["bars_opened"][0]:  # which of those that close is taken means nothing
        closing = np.flatnonzero(expected).tolist()
        assert set(closing) <= {writers.pieces["opener"][0], V.end}
        assert np.flatnonzero(found).tolist() == [writers.pieces["opener"][0]]
        return found
    np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=FIELDS[field])
    return expected


def walk(task, choose_value, most=2000):
    """Write a piece of values that `choose_value(field, allowed, row)` takes, with both writers at once."""
    writers, plain = RowWriters([task.new_bars], [np.random.default_rng(0)]), task.plain(0)
    for _ in range(most):
        row = np.full(len(FIELDS), ABSENT, dtype=np.int16)

        def set_field(field, row=row):
            allowed = np.flatnonzero(assert_equal_weights(writers, plain, field, row))
            row[field] = choose_value(field, allowed, row)

        set_field(INSTRUMENT)
        row[INSTRUMENT] = plain.bar_end_token(int(row[INSTRUMENT]))
        for field in FIELDS_OF[kind_of(row, V)][1:]:
            set_field(field)
        plain.append(row)
        writers.append(row[None].astype(np.int64))
        if plain.done:
            break
    assert writers.done(0)
    assert np.array_equal(writers.rows(0), np.stack(plain.rows))
    return writers.rows(0)


@settings(max_examples=120, deadline=None)
@given(st.one_of(compositions(), infills()), st.integers(0, 10**6), st.sampled_from([0.02, 0.2, 0.9]))
def test_every_value_is_weighed_as_the_plain_rules_do(task, seed, closing):
    random = np.random.default_rng(seed)

    def value(field, allowed, row):
        closes = allowed[(allowed == task.new_bars.opener) | (allowed == V.end)]
        if field == INSTRUMENT and len(closes) and random.random() < closing:
            return closes[0]
        return random.choice(allowed[-3:] if random.random() < 0.2 else allowed)

    walk(task, value)


@pytest.mark.parametrize("parts", [None, ((6, 0), (60, 1))])
def test_a_bar_that_is_full_is_closed(parts):
    def densest(field, allowed, row):
        playing = allowed[(allowed >= V.drums) & (allowed < V.end)]
        return playing[0] if field == INSTRUMENT and len(playing) else allowed[0]

    rows = walk(composition(Constraints(bars=3, parts=parts)), densest)
    per_bar = np.diff(np.flatnonzero(rows[:, INSTANCE] == ABSENT)) - 1
    assert per_bar[0] == MOST_ROWS_IN_BAR
    assert per_bar[1] == MOST_ROWS_IN_BAR + (parts is not None)  # the part that has not played is required


# the choice


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(-6, 6), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=40),
    st.sampled_from([1e-9, 0.3, 0.5, 0.95, 1.0]),
    st.sampled_from([None, 1, 2, 7]),
    st.sampled_from([0.05, 1.0, 3.0]),
    st.floats(0, 1, exclude_max=True),
)
def test_a_value_is_chosen_as_defined_also_among_equals(given_values, top_p, top_k, temperature, uniform):
    logits, weights = (np.array(column) for column in zip(*given_values, strict=True))
    weights[0] = 1.0
    logits = logits.astype(np.float32)
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k)
    choice = (temperature, top_p, top_k or 0)
    expected = plain_choice(logits, weights, sampling, uniform)
    assert choose(logits, weights, choice, uniform) == expected


def test_all_values_may_be_chosen_at_the_ends_of_the_interval():
    logits = np.array([-200, 0, 0, -200], dtype=np.float32)
    almost_one = np.nextafter(1.0, 0.0)
    assert [choose(logits, np.ones(4), (1.0, 0.9, 0), at) for at in (0.0, almost_one)] == [1, 2]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("field", [INSTRUMENT, DURATION, VELOCITY])
def test_numbers_that_are_not_finite_are_refused(wrong, field):
    model = small(SEED, layers=1)
    with torch.no_grad():
        model.heads.heads[field].outer.bias[3] = wrong
        model.heads.heads[INSTRUMENT].outer.bias[20] = 9  # notes are written
    writers = RowWriters([bars_behind(None, Constraints(bars=2), V)], [np.random.default_rng(0)])
    with pytest.raises(MeloError, match="no finite probabilities"):
        generate(model, writers, Sampling())


# the heads


def test_logits_are_those_of_the_model():
    model = small(SEED)
    states = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 24)).astype(np.float32))
    weights = head_weights(model.heads)
    for field, size in enumerate(V.sizes):
        for state in states:
            with torch.no_grad():
                expected = model.heads.logits(field, state.double()).numpy()
            found = head_logits(field, state.numpy(), weights, 0, size)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            low, high = size // 3, size // 2 + 1
            assert np.array_equal(head_logits(field, state.numpy(), weights, low, high), found[low:high])


# whole pieces


def assert_equal_pieces(model, tasks, seeds, sampling):
    """Write pieces of some tasks side by side with the compiled loops and with the plain ones: the same rows."""
    writers = RowWriters([task.new_bars for task in tasks], [np.random.default_rng(seed) for seed in seeds])
    generate(model, writers, sampling)
    plain = [task.plain(seed) for task, seed in zip(tasks, seeds, strict=True)]
    plain_generate(model, plain, sampling)
    for i, writer in enumerate(plain):
        assert np.array_equal(writers.rows(i), np.stack(writer.rows))


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(top_p=1.0), Sampling(temperature=0.7, top_p=0.9, top_k=20)], ids=str
)
def test_the_same_seed_gives_the_piece_of_the_plain_sampler(sampling):
    model, prompt = with_short_bars(small(SEED)), rows_of_music(3, 4)[:-1]
    assert_equal_pieces(
        model, [composition(Constraints(bars=5), room=ChannelRoom(pitched=2, parts=3))] * 4, range(4), sampling
    )
    given = Constraints(bars=4, parts=((V.drums, 0), (9, 0)), time_signature=7, key=Key(tonic=4, minor=True))
    assert_equal_pieces(model, [composition(given, prompt)] * 3, range(3), sampling)


def test_time_signature_and_tempo_change_as_often_as_in_the_music():
    model, prompt = with_short_bars(small(SEED)), rows_of_music(3, 4)[:-1]
    for rates in ((0.3, 0.3), (0.0, 1.0)):
        some, behind = (composition(Constraints(bars=6), rows, header_changes=rates) for rows in (None, prompt))
        assert_equal_pieces(model, [some, some, behind], range(3), Sampling())
    still = bars_behind(prompt, Constraints(bars=9), V, header_changes=(0.0, 0.0))
    moving = bars_behind(None, Constraints(bars=9), V, header_changes=(0.0, 1.0))
    writers = RowWriters([still, moving], [np.random.default_rng(seed) for seed in (0, 1)])
    generate(model, writers, Sampling())
    kept, changed = (rows[rows[:, TEMPO] != ABSENT] for rows in (writers.rows(0), writers.rows(1)))
    new, before = kept[-9:, [TIME_SIGNATURE, TEMPO]], prompt[prompt[:, TEMPO] != ABSENT][-1, [TIME_SIGNATURE, TEMPO]]
    assert (new == before).all()
    assert (np.diff(changed[:, TEMPO]) != 0).all()
    assert (np.diff(changed[1:, TIME_SIGNATURE]) == 0).all()


def test_a_pickup_gives_way_as_the_model_says():
    model = with_short_bars(small(SEED))
    pieces = [bars_behind(None, Constraints(bars=3), V, header_changes=(0.0, 0.0))] * 9
    writers = RowWriters(pieces, [np.random.default_rng(seed) for seed in range(len(pieces))])
    generate(model, writers, Sampling())
    signatures = [rows[rows[:, TIME_SIGNATURE] != ABSENT][:, TIME_SIGNATURE] for rows in map(writers.rows, range(9))]
    assert sum(first != second for first, second, _ in signatures) > 4
    assert all(second == third for _, second, third in signatures)
    header = rows_of_music(0, 1)[:1]
    changes = []
    for bars in (1, 2):
        behind = bars_behind(np.repeat(header, bars, axis=0), Constraints(bars=1), V, header_changes=(0.0, 0.0))
        writers = RowWriters([behind] * 9, [np.random.default_rng(seed) for seed in range(9)])
        generate(model, writers, Sampling())
        changes.append(sum(writers.rows(i)[bars, TIME_SIGNATURE] != header[0, TIME_SIGNATURE] for i in range(9)))
    assert changes[0] > 4
    assert changes[1] == 0


def test_a_part_does_not_enter_because_another_is_over():
    model, piano, signature = small(SEED), V.instruments.index("program 0"), 3
    highest = int(np.flatnonzero(pitches_in_range(V)[piano])[-1])
    values = {INSTRUMENT: piano, INSTANCE: 0, POSITION: V.bar_steps[signature] - 1, PITCH: highest}
    with torch.no_grad():
        for of_row, value in values.items():
            model.heads.heads[of_row].outer.bias[value] += 30
        model.heads.heads[INSTRUMENT].outer.bias[V.end] += 9  # far behind: the piano's part goes on, were it not over
    task = composition(Constraints(bars=4, time_signature=signature))
    writers = RowWriters([task.new_bars] * 2, [np.random.default_rng(seed) for seed in range(2)])
    generate(model, writers, Sampling())
    for i in range(2):
        rows = writers.rows(i)
        notes = rows[rows[:, PITCH] != ABSENT]
        assert notes[:, list(values)].tolist() == [list(values.values())] * 4
    assert_equal_pieces(model, [task] * 2, range(2), Sampling())


def test_parts_of_an_instrument_enter_in_their_order():
    room = ChannelRoom(own=frozenset({(60, 0), (60, 1)}), pitched=9, parts=9)
    for task, instrument, first in (
        (composition(Constraints(bars=3)), 5, 0),
        (composition(Constraints(bars=3), room=room), 60, 2),
    ):
        entered = []

        def value(field, allowed, row, instrument=instrument, entered=entered):
            if field == INSTRUMENT:
                return instrument if instrument in allowed and len(entered) < 4 else allowed[-1]
            if field == INSTANCE:
                entered.append(int(allowed[-1]))
            return allowed[-1]

        walk(task, value)
        assert entered[:3] == [first, first + 1, first + 2]


def test_the_same_seed_gives_the_infill_of_the_plain_sampler():
    rows = rows_of_music(5, 9)
    window = infill_window(rows, range(2, 7), None, V)
    headers = rows[rows[:, INSTRUMENT] == V.bar][2:7]
    notes = rows[rows[:, PITCH] >= 0]
    parts = sorted({(int(i), int(n)) for i, n in notes[:, [INSTRUMENT, INSTANCE]]})
    tasks = [infill(window.rows[: window.middle.row], 2, headers, parts, parts, needs_note=True)] * 3
    assert_equal_pieces(with_short_bars(small(SEED)), tasks, range(3), Sampling())


@pytest.mark.slow
def test_fifty_pieces_are_those_of_the_plain_sampler():
    model = with_short_bars(small(SEED)).float()
    for seed in range(0, 50, 5):
        assert_equal_pieces(model, [composition(Constraints(bars=16))] * 5, range(seed, seed + 5), Sampling())
