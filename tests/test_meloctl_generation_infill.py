"""Infill: what is kept stays to the tick, the gap is filled by the parts that were asked for, in runs that fit the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import piece_of, pieces
from hypothesis import given, settings
from hypothesis import strategies as st
from test_meloctl_model import SEED, V, small

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from analysis.piece import Part
from meloctl.dataset.infill_windows import rewritten
from meloctl.generation.infill import filled, infill_of
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.infill_segments import gap_of, infill_segments
from meloctl.generation.infill_writer import InfillContext, InfillWriter
from meloctl.generation.parse_infill import bars_of, gap_parts_of
from meloctl.generation.piece_state import PieceState
from meloctl.generation.piece_writer import MOST_EMPTY
from meloctl.generation.sampler import Sampling, generate
from meloctl.rows.codec import encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import part_fields
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH

PARTS = (
    Part(program=0, is_drum=True, name="kit"),
    Part(program=33, is_drum=False, name="bass"),
    Part(program=0, is_drum=False, name="piano"),
    Part(program=0, is_drum=False, name="piano"),
)


def brisk(model):
    """An untrained model that closes a bar after some notes, not after sixty."""
    with torch.no_grad():
        model.heads.heads[INSTRUMENT].outer.bias[[V.end, V.infill_bar]] = 3.0
    return model


def song(bars=6):
    """Four parts, in each bar a note each; pitches tell parts apart."""
    return piece_of([(p, 48 * b, 24, 36 + 10 * p) for b in range(bars) for p in range(4)], parts=PARTS)


def columns(notes, chosen=None):
    """Notes as a multiset."""
    some = slice(None) if chosen is None else chosen
    names = ("onset_tick", "duration_tick", "pitch", "velocity", "part")
    return sorted(zip(*(getattr(notes, n)[some].tolist() for n in names), strict=True))


def fill_once(piece, bars, parts=None, *, seed=0, model=None, **how):
    model = model or brisk(small(SEED))
    infill = infill_of(piece, bars, parts, V)
    filling = InfillProgress(random=np.random.default_rng(seed))
    fill_segments(model, infill, [filling], Sampling(top_p=1.0), **how)
    return infill, filling, filled(infill, filling.new, V)


# what is heard


def test_what_is_heard_is_what_the_model_was_trained_on():
    piece = song()
    rows = encode(piece, V)[0]
    instrument, number = part_fields(piece.parts, V)
    for bars, parts in ((range(2, 4), None), (range(6), ((int(instrument[3]), int(number[3])),))):
        window = rewritten(rows, bars, parts, V)
        infill = infill_of(piece, bars, parts, V)
        (run,) = infill_segments(infill, 1000, V)
        gap = gap_of(infill, run, [], V)
        assert (gap.first, len(gap.headers)) == (bars.start, len(bars))
        assert np.array_equal(gap.kept, window.rows[: window.reopened.row])
        assert np.array_equal(gap.headers, rows[rows[:, INSTRUMENT] == V.bar][bars.start : bars.stop])


def test_parts_keep_their_numbers_when_one_of_them_is_taken_out():
    piece = song()
    _, piano, other = sorted(zip(*(x.tolist() for x in part_fields(piece.parts, V)), strict=True))[1:]
    infill = infill_of(piece, None, (piano,), V)
    numbers = {int(r[INSTANCE]) for r in infill.rows if r[INSTRUMENT] == piano[0]}
    assert numbers == {other[1]} == {1}


# what comes out


@settings(max_examples=25, deadline=None)
@given(pieces(), st.data())
def test_kept_notes_stay_to_the_tick(piece, data):
    first = data.draw(st.integers(0, piece.n_bars - 1))
    bars = range(first, data.draw(st.integers(first, min(piece.n_bars - 1, first + 5))) + 1)
    fields = [tuple(int(x) for x in f) for f in zip(*part_fields(piece.parts, V), strict=True)]
    parts = data.draw(
        st.one_of(st.none(), st.sets(st.sampled_from(fields), min_size=1).map(lambda s: tuple(sorted(s))))
    )
    seed = data.draw(st.integers(0, 99))
    try:
        infill_of(piece, bars, parts, V)
    except MeloError:  # nothing would be kept, or ticks that cannot be made finer
        return
    infill, filling, result = fill_once(piece, bars, parts, seed=seed)
    times = infill.piece.ticks_per_quarter // piece.ticks_per_quarter
    assert (infill.piece.notes.onset_tick == times * piece.notes.onset_tick).all()
    kept = columns(infill.piece.notes, ~infill.replaced)
    starts = infill.piece.bars.start_tick(range(piece.n_bars + 1))
    inside = {(p, b) for p in range(len(fields)) if parts is None or fields[p] in parts for b in bars}
    bar = np.searchsorted(starts, infill.piece.notes.onset_tick, side="right") - 1
    assert infill.replaced.tolist() == [(p, b) in inside for p, b in zip(infill.piece.notes.part, bar, strict=True)]
    assert filling.bars == len(infill.row_bars)
    assert result.n_bars == piece.n_bars
    assert (result.bars.start_tick(range(piece.n_bars + 1)) == starts).all()
    assert (result.tempo == infill.piece.tempo).all()
    names = {part: n for n, part in enumerate(map(id, infill.piece.parts))}
    back = np.array([names[id(part)] for part in result.parts])
    notes = replace(result.notes, part=back[result.notes.part])
    new = columns(notes)
    for note in kept:  # each of them once
        new.remove(note)
    for onset, duration, pitch, _, part in new:
        b = int(np.searchsorted(starts, onset, side="right")) - 1
        assert b >= bars.start
        assert part in {p for p, _ in inside}
        assert duration > 0
        for k_onset, k_duration, k_pitch, _, k_part in kept:  # a pitch that is held is left alone
            if (k_part, k_pitch) == (part, pitch) and k_duration:
                assert onset + duration <= k_onset or k_onset + k_duration <= onset


@pytest.mark.parametrize("name", ["band", "quartets", "lieder"])
def test_kept_notes_of_real_files_stay_to_the_tick(real, name, tmp_path):
    long = (path for path in real(name) if read_midi(path).n_bars >= 12)
    for path in [next(long)]:
        piece = read_midi(path)
        last = tuple(int(x[-1]) for x in part_fields(piece.parts, V))
        for bars, parts in ((range(4, 6), None), (range(2, 7), (last,))):
            infill, _, result = fill_once(piece, bars, parts)
            write_midi(result, tmp_path / "made.mid")
            again = read_midi(tmp_path / "made.mid")
            tick = [("onset_tick", "duration_tick", "pitch", "velocity")]
            made, kept = (
                sorted(zip(*(getattr(n, c)[w].tolist() for c in tick[0]), strict=True))
                for n, w in ((again.notes, slice(None)), (infill.piece.notes, ~infill.replaced))
            )
            assert again.n_bars == piece.n_bars
            assert len(again.notes) == len(result.notes)
            for note in kept:
                made.remove(note)


def test_a_new_note_makes_room_for_what_is_kept():
    # the kept piano notes at 48·b hold pitch 56 for 24 ticks; bar 1 is rewritten with the same pitch all over
    piece = piece_of([(0, 0, 72, 60), (0, 96, 24, 60), (0, 60, 6, 60), (1, 0, 6, 40)], parts=PARTS[2:])
    infill = infill_of(piece, range(1, 2), ((V.instrument_of(0, is_drum=False), 0),), V)
    row = encode(piece_of([(0, 0, 768, 60)], parts=PARTS[2:3]), V)[0][1]

    def placed(position):
        made = row.copy()
        made[2] = position
        result = filled(infill, [(1, made)], V)
        mine = (result.notes.pitch == 60) & (result.notes.part == 0)
        return [x for x in columns(result.notes, mine) if x[0] not in (0, 96)]

    per_step = infill.piece.ticks_per_quarter // 12
    assert per_step == 4  # 12 ticks a quarter are not fine enough for a bar of 1/64
    begins = placed(0)[0]
    assert (begins[0], begins[0] + begins[1]) == (72 * 4, 96 * 4)  # from the end of the held note to the next kept one
    assert placed(30)[0][0] == (48 + 30) * 4


def test_an_interrupt_leaves_the_bars_that_are_not_written_as_they_were():
    model = brisk(small(SEED))
    infill = infill_of(song(), range(1, 5), None, V)
    filling, closed = InfillProgress(random=np.random.default_rng(0)), []

    def stop():
        closed.append(1)
        if len(closed) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_segments(model, infill, [filling], Sampling(), on_bar=stop)
    assert filling.bars == 2
    result = filled(infill, filling.new, V, bars=filling.bars)
    before, after = columns(infill.piece.notes), columns(result.notes)
    bar = infill.start_tick[1]
    assert [n for n in after if n[0] >= 3 * bar] == [n for n in before if n[0] >= 3 * bar]
    assert [n for n in after if bar <= n[0] < 3 * bar] != [n for n in before if bar <= n[0] < 3 * bar]


# the writer


def always(model, instrument):
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
            head.outer.bias.zero_()
        model.heads.heads[INSTRUMENT].outer.bias[instrument] = 1e4
    return model


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 2), st.booleans())
def test_the_grammar_holds_and_the_parts_play(seed, n_bars, first, named):
    piece = song(8)
    fields = [tuple(int(x) for x in f) for f in zip(*part_fields(piece.parts, V), strict=True)]
    parts = tuple(sorted(fields[1:3])) if named else None
    infill = infill_of(piece, range(first, first + n_bars), parts, V)
    (run,) = infill_segments(infill, 1000, V)
    writer = InfillWriter(
        sheet=PieceState(vocabulary=V), gap=gap_of(infill, run, [], V), random=np.random.default_rng(seed)
    )
    generate(brisk(small(SEED)), [writer], Sampling(top_p=1.0, temperature=2.0))
    rows = np.stack(writer.rows)
    assert check_rows(rows, V) == []
    behind = rows[len(infill.rows) :]
    reopened = behind[behind[:, INSTRUMENT] == V.infill_bar]
    assert (reopened[:, 6:] == infill.rows[infill.rows[:, INSTRUMENT] == V.bar][first : first + n_bars, 6:]).all()
    assert len(reopened) == n_bars == writer.bars_closed
    played = {(int(r[INSTRUMENT]), int(r[INSTANCE])) for r in behind if r[PITCH] >= 0}
    assert played == set(parts) if named else played <= set(fields)
    assert played


def test_a_model_that_only_wants_to_close_bars_plays_what_it_must_and_no_more():
    piece = song(12)
    fields = [tuple(int(x) for x in f) for f in zip(*part_fields(piece.parts, V), strict=True)]
    for wish in (V.end, V.infill_bar):
        _, filling, _ = fill_once(piece, range(2, 10), (fields[1],), model=always(small(SEED), wish))
        assert len(filling.new) == 1
    # all parts are taken out of all bars but the first: no more than MOST_EMPTY silent bars follow each other
    _, filling, result = fill_once(piece, range(1, 12), None, model=always(small(SEED), V.end))
    sounding = sorted({b for b, _ in filling.new} | {0})
    assert max(np.diff(sounding)) <= MOST_EMPTY + 1
    assert sounding[-1] == 11
    assert result.n_bars == 12


def test_silence_before_the_gap_counts():
    header = encode(song(1), V)[0][:1]
    kept = np.concatenate([encode(song(1), V)[0][:2], *[header] * (MOST_EMPTY + 1)])
    gap = InfillContext(kept=kept, first=MOST_EMPTY + 1, headers=header, parts=((V.drums, 0),))
    writer = InfillWriter(sheet=PieceState(vocabulary=V), gap=gap, random=np.random.default_rng(0))
    assert writer.empty == MOST_EMPTY


# runs


def test_a_long_gap_is_filled_in_runs_that_fit():
    piece = song(40)  # 5 rows a bar, one part of four taken out: 4 rows are kept, 2 written
    fields = tuple(int(x[1]) for x in part_fields(piece.parts, V))
    infill = infill_of(piece, None, (fields,), V)
    runs = infill_segments(infill, 60, V)
    assert [b for run in runs for b in run.bars] == list(range(40))
    for run in runs:
        assert run.heard.start <= run.bars.start < run.bars.stop <= run.heard.stop
        assert 4 * len(run.heard) + 2 * len(run.bars) <= 60
    assert len(runs) == 8  # 5 bars of 6 rows are half of 60
    assert runs[0].heard == range(12)  # the other half is room for 7 bars of 4 rows
    assert runs[3].heard == range(12, 23)  # before bars 15..19 there are 5 rows a bar by now


def test_later_runs_hear_what_earlier_ones_wrote():
    piece = song(40)
    fields = tuple(int(x[1]) for x in part_fields(piece.parts, V))
    infill = infill_of(piece, None, (fields,), V)
    first, second, *_, last = infill_segments(infill, 60, V)
    note = encode(piece, V)[0][2]
    assert (note[INSTRUMENT], note[INSTANCE]) == fields
    gap = gap_of(infill, second, [(first.bars.stop - 1, note)], V)
    heard = [i for i, r in enumerate(gap.kept) if (r[INSTRUMENT], r[INSTANCE]) == fields]
    assert len(heard) == 1
    opened = np.isin(gap.kept[:, INSTRUMENT], (V.bar, V.masked_bar))
    assert opened[: heard[0]].sum() - 1 == first.bars.stop - 1 - second.heard.start
    written = second.heard.start + np.flatnonzero(gap.kept[opened, INSTRUMENT] == V.bar)
    assert written.tolist() == list(range(second.heard.start, second.bars.start))  # all others have a gap yet
    assert gap_of(infill, last, [], V).must == (fields,)
    assert gap_of(infill, last, [(0, note)], V).must == gap_of(infill, second, [], V).must == ()
    assert (gap_of(infill, last, [], V).ends_piece, gap.ends_piece) == (True, False)


def test_a_bar_that_is_longer_than_the_context_is_a_run():
    infill = infill_of(song(3), range(1, 2), None, V)
    (run,) = infill_segments(infill, 4, V)
    assert run.bars == run.heard == range(1, 2)


def test_runs_of_several_at_once_are_as_those_of_each_alone():
    model, piece = brisk(small(SEED)), song(30)
    fields = tuple(int(x[1]) for x in part_fields(piece.parts, V))
    infill = infill_of(piece, None, (fields,), V)
    together = [InfillProgress(random=np.random.default_rng(seed)) for seed in (1, 2)]
    fill_segments(model, infill, together, Sampling())
    assert len(infill_segments(infill, model.config.context, V)) > 2
    for seed, found in zip((1, 2), together, strict=True):
        alone = InfillProgress(random=np.random.default_rng(seed))
        fill_segments(model, infill, [alone], Sampling())
        assert [(b, r.tolist()) for b, r in alone.new] == [(b, r.tolist()) for b, r in found.new]


# wishes


@pytest.mark.parametrize(
    ("text", "bars"), [("9:16", range(8, 16)), (" 1 : 3", range(3)), ("4", range(3, 4)), ("2-2", range(1, 2))]
)
def test_bars_are_counted_as_musicians_count(text, bars):
    assert bars_of(text, 20) == bars


@pytest.mark.parametrize("text", ["0:4", "5:4", "1:21", "", ":", "1:", "a:b", "1:2:3", "-1:2", "9999999:2", "１:２"])
def test_other_bars_are_refused(text):
    with pytest.raises(MeloError, match=r"--bars-range .*the file has bars 1 to 20"):
        bars_of(text, 20)


def test_parts_are_named_as_people_name_them():
    piece = song()
    kit, bass, one, two = (tuple(int(x) for x in f) for f in zip(*part_fields(piece.parts, V), strict=True))
    assert gap_parts_of("kit", piece, V) == gap_parts_of("drums", piece, V) == (kit,)
    assert gap_parts_of("Piano 2", piece, V) == (two,)
    assert gap_parts_of("piano", piece, V) == (one,)  # the first of two tracks of that name
    assert gap_parts_of("acoustic grand piano", piece, V) == gap_parts_of("0", piece, V) == (one, two)
    assert gap_parts_of("bass, piano 2", piece, V) == (bass, two)
    assert gap_parts_of("violin", piece, V) == ((V.instrument_of(40, is_drum=False), 0),)


@pytest.mark.parametrize("text", ["", "kit,", "bagpipes of war", "129"])
def test_other_parts_are_refused(text):
    with pytest.raises(MeloError, match="--parts"):
        gap_parts_of(text, song(), V)


def test_keeping_nothing_is_refused():
    with pytest.raises(MeloError, match="nothing would be kept"):
        infill_of(song(), None, None, V)
