"""Generation: cached states equal the full forward, the bars are exact, the grammar holds, the seed decides."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import DIARY, piece_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from miditoolkit import MidiFile
from small_models import EXEMPT, SEED, V, always, generate_rows, music, small, states_of
from strategies import specs
from symusic import Score

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_write import write_midi
from analysis.piece import Part
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.generation.constraints import MOST_ROWS_IN_BAR, Constraints
from meloctl.generation.options import Sampling
from meloctl.generation.row_sampling import choose
from meloctl.masking.rules import RULE_OPTIONS, RuleOptions, plan_rule
from meloctl.model.attention.gates import LAST_OFFSET
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.meloformer.kv_cache import OffsetReach
from meloctl.progress import SilentReporter
from meloctl.rows.codec import decode, encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import INSTRUMENT
from meloctl.score.piano_roll import draw_piano_roll
from meloctl.score.playable import playable


@settings(max_examples=15)
@given(specs(most=6), st.integers(0, 10**6))
@example(EXEMPT, 0)
def test_cached_states_equal_the_full_forward(spec, seed):
    model = small(spec, layers=3)
    rows, *_ = music(seed, bars=7)
    full = states_of(model, rows)
    decoder = MeloFormerDecoder(model)
    torch.testing.assert_close(decoder.prefill([rows[:0]])[0], full[0])
    for i, row in enumerate(rows[:-1]):
        torch.testing.assert_close(decoder.step(row[None])[0], full[i + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("same", ["full", (1, 2)])
def test_a_long_cell_outgrows_its_room(same, gated):
    # 45 notes of one part in a bar: what the cell sees of others lies before them, and must move with them; they are more than
    # those of others, so where all are seen they stay where they are
    notes = [(part, 48 * bar + 12 * i, 3, 60 + i) for bar in range(4) for part in (0, 2) for i in range(3)]
    notes += [(1, 48 * bar + i, 3, 40 + i) for bar in (1, 3) for i in range(45)]
    model = small(MaskSpec(same=same, near=2, far=(), summaries=True), layers=2, gated=gated)
    if gated:
        torch.nn.init.normal_(model.gates.value, std=2.0)
    rows = torch.from_numpy(encode(piece_of(notes), V)[0].astype(np.int64))
    full, decoder = states_of(model, rows), MeloFormerDecoder(model)
    for i, row in enumerate(rows[:-1]):
        torch.testing.assert_close(decoder.step(row[None])[0], full[i + 1], rtol=1e-9, atol=1e-9)


@settings(max_examples=8)
@given(specs(most=6), st.integers(0, 10**6))
def test_several_pieces_at_once_equal_each_alone(spec, seed):
    model = small(spec, layers=2)
    every = [music(seed + i, bars=5)[0] for i in range(3)]
    full = [states_of(model, rows) for rows in every]
    decoder, going = MeloFormerDecoder(model, 3), [0, 1, 2]
    for i in range(max(map(len, every)) - 1):
        on = [n for n in going if i < len(every[n]) - 1]
        decoder.keep([going.index(n) for n in on])
        going = on
        states = decoder.step(torch.stack([every[n][i] for n in going]))
        for n, state in zip(going, states, strict=True):
            torch.testing.assert_close(state, full[n][i + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("summaries", [False, True])
@pytest.mark.parametrize("drums", ["masked", "exempt"])
def test_cached_states_equal_the_full_forward_under_gates(drums, summaries):
    # the mask would hide most, and the gates hide little: rows see every earlier one, each offset through a gate of its own
    model = small(MaskSpec(same=(1,), near=0, far=(), drums=drums, summaries=summaries), layers=2, gated=True)
    torch.nn.init.normal_(model.gates.value, std=2.0)
    rows, bar, _ = music(7, bars=LAST_OFFSET + 5)
    assert bar[-1] > LAST_OFFSET + 1  # two offsets and more share the last gate
    full = states_of(model, rows)
    decoder = MeloFormerDecoder(model)
    for i, row in enumerate(rows[:-1]):
        torch.testing.assert_close(decoder.step(row[None])[0], full[i + 1], rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A few pieces, on which rules that have a budget count rows."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(3):
        write_midi(decode(music(seed, bars=40)[0].numpy().astype(np.int16), V), folder / f"{seed}.mid")
    return folder


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("drums", ["masked", "exempt"])
@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_cached_states_equal_the_full_forward_under_every_rule(corpus, rule, drums, gated):
    every = RuleOptions(bars=4, share=0.6, seed=3, drums=drums, corpus=corpus)
    options = {name: value for name, value in vars(every).items() if name in RULE_OPTIONS[rule]}
    spec = plan_rule(rule, RuleOptions(**options), DIARY, named=True).derive(SilentReporter())
    assert spec.source["rule"] == rule
    model, (rows, *_) = small(spec, gated=gated), music(11, bars=36)
    full, decoder = states_of(model, rows), MeloFormerDecoder(model)
    for i, row in enumerate(rows[:-1]):
        torch.testing.assert_close(decoder.step(row[None])[0], full[i + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("same", "near", "own", "others"),
    [
        ("full", MOST_OFFSET, [(0, "ever")], [(0, "ever")]),
        ("full", 2, [(0, "ever")], [(0, 3)]),
        ((), MOST_OFFSET, [(0, 1)], [(0, "ever")]),
        ((2, 3, 7), 0, [(7, 8), (2, 4), (0, 1)], [(0, 1)]),
    ],
)
def test_bars_further_back_than_any_offset_are_seen_as_at_the_last(same, near, own, others):
    reach = OffsetReach(MaskSpec(same=same, near=near, far=(), summaries=False))
    seen = [[(low, "ever" if high > MOST_OFFSET + 1 else high) for low, high in some] for some in reach.intervals]
    assert seen == [own, others, others]
    assert reach.whole_past == (same == "full")


@settings(max_examples=15)
@given(specs(), st.integers(1, 9), st.integers(0, 10**6))
def test_the_bars_are_exact_and_the_grammar_holds(spec, bars, seed):
    # an untrained model draws from everything that the grammar allows, so this is the hardest case
    model = small(spec)
    calls = []
    rows = generate_rows(model, bars=bars, seed=seed, top_p=1.0, on_bar=lambda: calls.append(1))
    assert check_rows(rows, V) == []
    assert (rows[:, INSTRUMENT] == V.bar).sum() == bars == len(calls)
    assert decode(rows, V).n_bars == bars


def test_a_generated_file_reads_back_in_both_libraries(tmp_path):
    model = small(SEED)
    for seed in range(5):
        rows = generate_rows(model, bars=7, seed=seed, top_p=1.0)
        piece = playable(decode(rows, V))
        path = tmp_path / f"{seed}.mid"
        write_midi(piece, path)
        again = read_midi(path)
        assert again.n_bars == 7
        end = int(again.bars.start_tick(7))
        assert Score(str(path)).end() <= end
        assert sum(len(i.notes) for i in MidiFile(path).instruments) == len(piece.notes) == len(again.notes)
        assert sorted(again.notes.onset_tick + again.notes.duration_tick) == sorted(
            piece.notes.onset_tick + piece.notes.duration_tick
        )


def test_the_seed_decides():
    model = small(SEED)
    one, same, other = (generate_rows(model, bars=3, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_model_that_only_wants_to_end_still_writes_the_bars():
    rows = generate_rows(always(small(SEED), V.end), bars=4)
    assert rows[:, INSTRUMENT].tolist().count(V.end) == 1
    assert (rows[:, INSTRUMENT] == V.bar).sum() == 4


def test_a_model_that_only_wants_a_next_bar_closes_the_last_one():
    # the last bar must hold a note; the first thing it wants after that is to close it
    rows = generate_rows(always(small(SEED), V.bar), bars=3)
    assert rows[:, INSTRUMENT].tolist().count(V.bar) == 3
    assert len(rows) == 3 + 1 + 1


def test_a_model_that_never_ends_a_bar_is_stopped():
    # it always wants the last instrument but one, in which a bar has room for more notes than are allowed
    rows = generate_rows(always(small(SEED), V.end - 1), bars=1, top_p=1.0)
    assert check_rows(rows, V) == []
    assert len(rows) <= MOST_ROWS_IN_BAR + 2


def test_no_more_parts_than_midi_has_channels():
    # an untrained model draws any instrument; with this many notes it would use hundreds of parts
    rows = generate_rows(small(SEED), bars=60, seed=1, top_p=1.0, temperature=5.0)
    piece = decode(rows, V)
    assert len(piece.notes) > 100
    assert len(piece.parts) == 16
    assert sum(not p.is_drum for p in piece.parts) <= 15


def test_a_model_of_nans_is_refused_in_time():
    model = small(SEED)
    with torch.no_grad():
        model.start.fill_(torch.nan)
    with pytest.raises(MeloError, match="no finite probabilities"):
        generate_rows(model, bars=2)


def test_values_are_sampled_among_those_allowed_and_likely():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))

    def sampled(temperature=1.0, top_p=1.0, top_k=0):
        return {choose(logits, np.ones(4), (temperature, top_p, top_k), at / 400) for at in range(400)}

    assert sampled(top_p=1.0) == {0, 1, 2, 3}
    assert sampled(top_p=0.8) == {0, 1}
    assert sampled(top_p=0.81) == {0, 1, 2}
    assert sampled(top_p=1e-9) == {0}
    assert sampled(temperature=0.05, top_p=1.0) == {0}
    assert sampled(top_p=1.0, top_k=2) == {0, 1}
    assert sampled(top_p=0.8, top_k=3) == {0, 1}


def test_values_are_sampled_by_their_probabilities():
    logits, uniform = np.zeros(3, dtype=np.float32), (np.arange(1000) + 0.5) / 1000
    every = [choose(logits, np.array([0.1, 0.6, 0.3]), (1.0, 1.0, 0), at) for at in uniform]
    assert every == [0] * 100 + [1] * 600 + [2] * 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature 0: give"),
        ({"temperature": float("nan")}, "temperature nan: give"),
        ({"top_p": 0.0}, "top_p 0: give"),
        ({"top_p": 1.5}, "top_p 1.5: give"),
        ({"top_k": 0}, "top_k 0: give"),
    ],
)
def test_sampling_out_of_range_is_refused(change, message):
    with pytest.raises(MeloError, match=message):
        Sampling(**change)


@pytest.mark.parametrize("bars", [0, 10_001])
def test_bars_out_of_range_are_refused(bars):
    with pytest.raises(MeloError, match=f"bars {bars}: give a whole number of bars, 1 to 10000"):
        Constraints(bars=bars)


def test_a_note_ends_where_its_pitch_is_struck_again():
    # same pitch at 0 (long) and 12; another pitch and another part are left alone; the last one ends with the bar
    piece = piece_of([(0, 0, 100, 60), (0, 12, 6, 60), (0, 0, 20, 64), (1, 0, 30, 60), (1, 40, 100, 60)])
    notes = playable(replace(piece, end_tick=48)).notes
    lengths = {
        (p, o, x): d for p, o, d, x in zip(notes.part, notes.onset_tick, notes.duration_tick, notes.pitch, strict=True)
    }
    assert lengths == {(0, 0, 60): 12, (0, 12, 60): 6, (0, 0, 64): 20, (1, 0, 60): 30, (1, 40, 60): 8}


def test_the_piano_roll_is_drawn(tmp_path):
    parts = (Part(program=0, is_drum=True, name="drums"), Part(program=0, is_drum=False, name="piano"))
    piece = piece_of([(0, 0, 6, 36), (1, 0, 48, 60), (1, 60, 12, 64)], parts=parts)
    for name, kept in (("both", [0, 1]), ("drums", [0]), ("piano", [1])):
        mine = np.isin(piece.notes.part, kept)
        notes = replace(piece.notes, **{k: v[mine] for k, v in vars(piece.notes).items()})
        notes = replace(notes, part=np.searchsorted(kept, notes.part))
        draw_piano_roll(
            replace(piece, parts=tuple(parts[i] for i in kept), notes=notes), tmp_path / f"{name}.png", title=name
        )
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_piano_roll_takes_any_names(tmp_path):
    names = ("$\\frac{$", "_主旋律 🎻", "멜로디\n\x1b[2J")
    parts = tuple(Part(program=i, is_drum=False, name=name) for i, name in enumerate(names))
    piece = piece_of([(0, 0, 6, 60), (1, 0, 6, 64), (2, 0, 6, 67)], parts=parts)
    draw_piano_roll(piece, tmp_path / "a.png", title="主 $x")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
