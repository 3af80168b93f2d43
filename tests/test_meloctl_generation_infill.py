"""Infill: what is kept stays to the tick, masked bars are written by the given parts, in segments that fit the model."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import piece_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_models import SEED, V, small, with_short_bars
from strategies import pieces

from analysis.errors import MeloError
from analysis.midi import parse_source, read_source
from analysis.midi_write import midi_bytes
from analysis.piece import Part
from meloctl.dataset.infill_windows import infill_window
from meloctl.generation.constraints import MOST_EMPTY
from meloctl.generation.infill import encode_infill, infilled
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.infill_segments import infill_segments, segment_bars
from meloctl.generation.new_bars import masked_bars
from meloctl.generation.options import Sampling
from meloctl.generation.parse_options import parse_bars_range, parse_infill_parts
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.rows.codec import encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import part_ids
from meloctl.rows.vocabulary import HEADER_FIELDS, INSTANCE, INSTRUMENT, PITCH, POSITION

PARTS = (
    Part(program=0, is_drum=True, name="kit"),
    Part(program=33, is_drum=False, name="bass"),
    Part(program=0, is_drum=False, name="piano"),
    Part(program=0, is_drum=False, name="piano"),
)


def song(bars=6):
    """Four parts, in each bar a note each; each part has a pitch of its own."""
    return piece_of([(p, 48 * b, 24, 36 + 10 * p) for b in range(bars) for p in range(4)], parts=PARTS)


def columns(notes, chosen=None):
    """Notes as a multiset."""
    some = slice(None) if chosen is None else chosen
    names = ("onset_tick", "duration_tick", "pitch", "velocity", "part")
    return sorted(zip(*(getattr(notes, n)[some].tolist() for n in names), strict=True))


def source_of(piece):
    return parse_source(midi_bytes(piece))


def fill_once(piece, bars, parts=None, *, seed=0, model=None, **how):
    return fill_source(source_of(piece), bars, parts, seed=seed, model=model, **how)


def fill_source(source, bars, parts=None, *, seed=0, model=None, **how):
    model = model or with_short_bars(small(SEED))
    infill = encode_infill(source, bars, parts, V)
    version = InfillProgress(random=np.random.default_rng(seed))
    fill_segments(model, infill, [version], Sampling(top_p=1.0), **how)
    return infill, version, infilled(infill, version.notes, V).source.piece


# what the model reads


def test_the_context_is_what_the_model_was_trained_on():
    piece = song()
    rows = encode(piece, V)[0]
    for bars, parts in ((range(2, 4), None), (range(6), (part_ids(piece.parts, V)[3],))):
        window = infill_window(rows, bars, parts, V)
        infill = encode_infill(source_of(piece), bars, parts, V)
        (segment,) = infill_segments(infill, 1000, V)
        context = segment_bars(infill, segment, [], V)
        assert (context.first_masked_bar, len(context.headers)) == (bars.start, len(bars))
        assert np.array_equal(context.before, window.rows[: window.middle.row])
        assert np.array_equal(context.headers, rows[rows[:, INSTRUMENT] == V.bar][bars.start : bars.stop])


def test_parts_keep_their_instances_when_one_of_them_is_masked():
    piece = song()
    _, piano, other = sorted(part_ids(piece.parts, V))[1:]
    infill = encode_infill(source_of(piece), None, (piano,), V)
    instances = {int(r[INSTANCE]) for r in infill.rows if r[INSTRUMENT] == piano[0]}
    assert instances == {other[1]} == {1}


# what comes out


@settings(max_examples=25, deadline=None)
@given(pieces(), st.data())
def test_kept_notes_stay_to_the_tick(piece, data):
    source = source_of(piece)
    piece = source.piece
    first = data.draw(st.integers(0, piece.n_bars - 1))
    bars = range(first, data.draw(st.integers(first, min(piece.n_bars - 1, first + 5))) + 1)
    ids = part_ids(piece.parts, V)
    parts = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(ids), min_size=1).map(lambda s: tuple(sorted(s)))))
    seed = data.draw(st.integers(0, 99))
    try:
        infill, version, result = fill_source(source, bars, parts, seed=seed)
    except MeloError as error:
        if "nothing would be kept" not in str(error) and "too coarse" not in str(error):
            raise
        assume(False)
    inside = {(p, b) for p in range(len(ids)) if parts is None or ids[p] in parts for b in bars}
    place = zip(piece.notes.part.tolist(), piece.note_bar.tolist(), strict=True)
    assert infill.masked_notes.tolist() == [pair in inside for pair in place]
    assert version.bars_done == len(infill.row_bars)
    assert result.n_bars == piece.n_bars
    assert (result.tempo == piece.tempo).all()
    finer = result.ticks_per_quarter // piece.ticks_per_quarter
    kept = Counter(by_sound(piece, ~infill.masked_notes, finer))
    again = Counter(by_sound(result, slice(None)))
    assert kept - again == Counter()
    end = finer * int(piece.bars.start_tick(bars.stop))
    sounds = {(piece.parts[p].program * (not piece.parts[p].is_drum), piece.parts[p].is_drum) for p, _ in inside}
    start = finer * (int(piece.bars.start_tick(bars.start)) - piece.bar_tolerance)
    assert len(infill.kept.new) >= infill.kept.struck_again
    for onset, duration, _, _, sound in (again - kept).elements():
        assert start <= onset <= end
        assert sound in sounds
        assert duration > 0


def by_sound(piece, chosen, finer=1):
    """Some notes as (onset, duration, pitch, velocity, program or drums)."""
    notes = piece.notes
    rows = zip(
        *(getattr(notes, n)[chosen].tolist() for n in ("onset_tick", "duration_tick", "pitch", "velocity", "part")),
        strict=True,
    )
    for onset, duration, pitch, velocity, part in rows:
        sound = piece.parts[part].program * (not piece.parts[part].is_drum), piece.parts[part].is_drum
        yield finer * onset, finer * duration, pitch, velocity, sound


@pytest.mark.parametrize("name", ["band", "quartets", "lieder"])
def test_kept_notes_of_real_files_stay_to_the_tick(real, name):
    source = next(source for source in map(read_source, real(name)) if source.piece.n_bars >= 12)
    last = part_ids(source.piece.parts, V)[-1]
    for bars, parts in ((range(4, 6), None), (range(2, 7), (last,))):
        infill, _, result = fill_source(source, bars, parts)
        finer = result.ticks_per_quarter // source.piece.ticks_per_quarter
        assert result.n_bars == source.piece.n_bars
        kept = Counter(by_sound(source.piece, ~infill.masked_notes, finer))
        assert kept - Counter(by_sound(result, slice(None))) == Counter()


def test_a_new_note_makes_room_for_what_is_kept():
    # a piano holds pitch 60 up to tick 72, and again from 96 on; bar 1, ticks 48 to 96, is infilled with the same pitch
    piece = piece_of([(0, 0, 72, 60), (0, 96, 24, 60), (0, 60, 6, 62), (1, 0, 6, 40)], parts=PARTS[2:])
    infill = encode_infill(source_of(piece), range(1, 2), ((V.instrument_of(0, is_drum=False), 0),), V)
    row = encode(piece_of([(0, 0, 768, 60)], parts=PARTS[2:3]), V)[0][1]

    def placed(position):
        made = row.copy()
        made[POSITION] = position
        result = infilled(infill, [(1, made)], V).source.piece
        mine = (result.notes.pitch == 60) & (result.notes.part == 0)
        return [x for x in columns(result.notes, mine) if x[0] not in (0, 96)]

    begins = placed(0)[0]
    assert (begins[0], begins[0] + begins[1]) == (72, 96)  # from the end of the held note to the next kept one
    assert placed(30)[0][0] == 48 + 30


def test_an_interrupt_leaves_the_bars_that_are_not_written_as_they_were():
    model = with_short_bars(small(SEED))
    infill = encode_infill(source_of(song()), range(1, 5), None, V)
    version, closed = InfillProgress(random=np.random.default_rng(0)), []

    def stop():
        closed.append(1)
        if len(closed) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_segments(model, infill, [version], Sampling(), on_bar=stop)
    assert version.bars_done == 2
    result = infilled(infill, version.notes, V, bars_done=version.bars_done).source.piece
    before, after = columns(infill.piece.notes), columns(result.notes)
    bar = infill.bar_tick[1]
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
    ids = part_ids(piece.parts, V)
    parts = tuple(sorted(ids[1:3])) if named else None
    infill = encode_infill(source_of(piece), range(first, first + n_bars), parts, V)
    (segment,) = infill_segments(infill, 1000, V)
    writers = RowWriters([segment_bars(infill, segment, [], V)], [np.random.default_rng(seed)])
    generate(with_short_bars(small(SEED)), writers, Sampling(top_p=1.0, temperature=2.0))
    rows = writers.rows(0)
    assert check_rows(rows, V) == []
    middle = rows[len(infill.rows) :]
    headers = middle[middle[:, INSTRUMENT] == V.infill_bar]
    masked = infill.rows[infill.rows[:, INSTRUMENT] == V.bar][first : first + n_bars]
    assert (headers[:, HEADER_FIELDS] == masked[:, HEADER_FIELDS]).all()
    assert len(headers) == n_bars == writers.bars_closed(0)
    played = {(int(r[INSTRUMENT]), int(r[INSTANCE])) for r in middle if r[PITCH] >= 0}
    assert played == set(parts) if named else played <= set(ids)
    assert played


def test_a_model_that_only_wants_to_close_bars_plays_what_it_must_and_no_more():
    piece = song(12)
    ids = part_ids(piece.parts, V)
    for instrument in (V.end, V.infill_bar):
        _, version, _ = fill_once(piece, range(2, 10), (ids[1],), model=always(small(SEED), instrument))
        assert len(version.notes) == 1
    # all parts are masked in all bars but the first: no more than MOST_EMPTY silent bars follow each other
    _, version, result = fill_once(piece, range(1, 12), None, model=always(small(SEED), V.end))
    with_notes = sorted({b for b, _ in version.notes} | {0})
    assert max(np.diff(with_notes)) <= MOST_EMPTY + 1
    assert result.n_bars == 12


def test_silence_before_the_masked_bars_counts():
    header = encode(song(1), V)[0][:1]
    kept = np.concatenate([encode(song(1), V)[0][:2], *[header] * (MOST_EMPTY + 1)])
    assert masked_bars(kept, MOST_EMPTY + 1, header, [(V.drums, 0)], V).empty_bars == MOST_EMPTY


# segments


def test_a_long_infill_is_written_in_segments_that_fit():
    piece = song(40)  # 5 rows a bar, one part of four masked: 4 rows are kept, 2 written
    bass = part_ids(piece.parts, V)[1]
    infill = encode_infill(source_of(piece), None, (bass,), V)
    segments = infill_segments(infill, 60, V)
    assert [b for segment in segments for b in segment.bars] == list(range(40))
    for segment in segments:
        assert segment.context.start <= segment.bars.start < segment.bars.stop <= segment.context.stop
        assert 4 * len(segment.context) + 2 * len(segment.bars) <= 60
    assert len(segments) == 8  # 5 bars of 6 rows are half of 60
    assert segments[0].context == range(12)  # the other half is room for 7 bars of 4 rows
    assert segments[3].context == range(12, 23)  # before bars 15..19 there are 5 rows a bar by now


def test_later_segments_read_what_earlier_ones_wrote():
    piece = song(40)
    bass = part_ids(piece.parts, V)[1]
    infill = encode_infill(source_of(piece), None, (bass,), V)
    first, second, *_, last = infill_segments(infill, 60, V)
    note = encode(piece, V)[0][2]
    assert (note[INSTRUMENT], note[INSTANCE]) == bass
    context = segment_bars(infill, second, [(first.bars.stop - 1, note)], V)
    bass_rows = [i for i, r in enumerate(context.before) if (r[INSTRUMENT], r[INSTANCE]) == bass]
    assert len(bass_rows) == 1
    is_header = np.isin(context.before[:, INSTRUMENT], (V.bar, V.masked_bar))
    assert is_header[: bass_rows[0]].sum() - 1 == first.bars.stop - 1 - second.context.start
    written = second.context.start + np.flatnonzero(context.before[is_header, INSTRUMENT] == V.bar)
    assert written.tolist() == list(range(second.context.start, second.bars.start))  # all others are still masked
    assert segment_bars(infill, last, [], V).required_parts == {bass}
    assert segment_bars(infill, last, [(0, note)], V).required_parts == set()
    assert segment_bars(infill, second, [], V).required_parts == set()


def test_a_bar_that_is_longer_than_a_window_is_a_segment():
    infill = encode_infill(source_of(song(3)), range(1, 2), None, V)
    (segment,) = infill_segments(infill, 4, V)
    assert segment.bars == segment.context == range(1, 2)


def test_several_versions_at_once_are_as_each_alone():
    model, piece = with_short_bars(small(SEED)), song(30)
    bass = part_ids(piece.parts, V)[1]
    infill = encode_infill(source_of(piece), None, (bass,), V)
    together = [InfillProgress(random=np.random.default_rng(seed)) for seed in (1, 2)]
    fill_segments(model, infill, together, Sampling())
    assert len(infill_segments(infill, model.config.context, V)) > 2
    for seed, found in zip((1, 2), together, strict=True):
        alone = InfillProgress(random=np.random.default_rng(seed))
        fill_segments(model, infill, [alone], Sampling())
        assert [(b, r.tolist()) for b, r in alone.notes] == [(b, r.tolist()) for b, r in found.notes]


# options


@pytest.mark.parametrize(
    ("text", "bars"), [("9:16", range(8, 16)), (" 1 : 3", range(3)), ("4", range(3, 4)), ("2-2", range(1, 2))]
)
def test_bars_are_counted_as_musicians_count(text, bars):
    assert parse_bars_range(text, 20) == bars


@pytest.mark.parametrize("text", ["0:4", "5:4", "1:21", "", ":", "1:", "a:b", "1:2:3", "-1:2", "9999999:2", "１:２"])
def test_other_bars_are_refused(text):
    with pytest.raises(MeloError, match=r"bars_range .*the file has bars 1 to 20"):
        parse_bars_range(text, 20)


def test_parts_are_named_as_people_name_them():
    piece = song()
    kit, bass, one, two = part_ids(piece.parts, V)
    assert parse_infill_parts("kit", piece, V) == parse_infill_parts("drums", piece, V) == (kit,)
    assert parse_infill_parts("Piano 2", piece, V) == (two,)
    assert parse_infill_parts("piano", piece, V) == (one,)  # the first of two tracks of that name
    assert parse_infill_parts("acoustic grand piano", piece, V) == parse_infill_parts("0", piece, V) == (one, two)
    assert parse_infill_parts("bass, piano 2", piece, V) == (bass, two)
    assert parse_infill_parts("violin", piece, V) == ((V.instrument_of(40, is_drum=False), 0),)


def test_a_part_whose_name_has_commas_or_double_blanks_is_named_so():
    piece = song()
    named = replace(
        piece, parts=(*piece.parts[:2], replace(piece.parts[2], name="Etude, Op.  10,No. 8"), piece.parts[3])
    )
    _, bass, etude, _ = part_ids(named.parts, V)
    assert parse_infill_parts("etude, op. 10, no. 8", named, V) == (etude,)
    assert parse_infill_parts("Etude, Op.  10,No. 8,bass", named, V) == (bass, etude)


@pytest.mark.parametrize("text", ["", "kit,", "bagpipes of war", "129"])
def test_other_parts_are_refused(text):
    with pytest.raises(MeloError, match=r"^parts "):
        parse_infill_parts(text, song(), V)


def test_keeping_nothing_is_refused():
    with pytest.raises(MeloError, match="nothing would be kept"):
        encode_infill(source_of(song()), None, None, V)
