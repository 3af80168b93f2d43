"""Constraints hold: instruments, meter, tempo, bars; and what an interrupt leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SEED, V, always, row_writers, small

from analysis.errors import MeloError
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.generation.constraints import MOST_EMPTY, Constraints, check_bars
from meloctl.generation.options import GenerateOptions, Sampling
from meloctl.generation.parse_options import parse_instruments, parse_meter, parse_tempo
from meloctl.generation.sampler import generate
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.meloformer.kv_cache import KVSegment
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    NOTE_FIELDS,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
)


def generated(model, count=1, seed=0, on_bar=lambda: None, top_p=1.0, **constraints):
    """Rows of each piece."""
    writers = row_writers(Constraints(**constraints), range(seed, seed + count))
    generate(model, writers, Sampling(top_p=top_p), on_bar=on_bar)
    return [writers.rows(i) for i in range(count)]


def names(text):
    """The instruments of --instruments, as a person reads them, in order."""
    return [f"{V.instruments[i]}/{n}" for i, n in parse_instruments(text, V)]


def test_instruments_by_name_family_and_number():
    assert names("violin, Violin,42") == ["program 40/0", "program 40/1", "program 42/0"]
    assert names("piano,bass,drums") == ["drums/0", "program 32/0", "program 0/0"]
    assert names("string ensemble 1") == ["program 48/0"]
    assert names("127") == ["program 127/0"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give names or programs with commas between"),
        ("piano,,drums", "give names or programs with commas between"),
        ("violni", "did you mean violin"),
        ("128", "no such instrument"),
        ("-1", "no such instrument"),
        ("²", "no such instrument"),
        ("grand piano", "did you mean acoustic grand piano or electric grand piano"),
        ("drums,drums", "drums 2 times"),
        (",".join(["piano"] * 16), "16 parts"),
        (",".join(["piano"] * 65), "give names"),
    ],
)
def test_unknown_instruments_are_refused(text, says):
    with pytest.raises(MeloError, match=says):
        parse_instruments(text, V)


def test_meter_and_tempo_by_name():
    assert V.time_signatures[parse_meter("7/8", V)] == "7/8"
    assert V.tempos[parse_tempo(120, V)] == 120
    assert abs(V.tempos[parse_tempo(97.3, V)] / 97.3 - 1) < 0.015
    for bad in ("4", "17/4", "4/3", "four"):
        with pytest.raises(MeloError, match="give a time signature"):
            parse_meter(bad, V)
    for bad in (0.0, 1e9, float("nan")):
        with pytest.raises(MeloError, match="give quarter notes a minute"):
            parse_tempo(bad, V)


@settings(max_examples=12)
@given(
    st.sampled_from(["drums", "violin,violin,viola,cello", "piano,bass,drums", "127,0,drums,14,14,14,14"]),
    st.sampled_from([None, "3/4", "7/8"]),
    st.integers(1, 7),
    st.integers(0, 10**6),
)
def test_all_constraints_hold_and_no_other_part_plays(instruments, meter, bars, seed):
    constraints = {
        "bars": bars,
        "parts": parse_instruments(instruments, V),
        "time_signature": None if meter is None else parse_meter(meter, V),
        "tempo": parse_tempo(90, V),
    }
    for rows in generated(small(SEED, layers=1), count=2, seed=seed, **constraints):
        assert check_rows(rows, V) == []
        header = rows[:, INSTRUMENT] == V.bar
        note = ~header & (rows[:, INSTRUMENT] != V.end)
        assert header.sum() == bars == decode(rows, V).n_bars
        assert {(i, n) for i, n in rows[note][:, [INSTRUMENT, INSTANCE]].tolist()} == set(constraints["parts"])
        assert set(rows[header, TEMPO].tolist()) == {constraints["tempo"]}
        if meter:
            assert set(rows[header, TIME_SIGNATURE].tolist()) == {constraints["time_signature"]}


def test_parts_that_a_model_does_not_want_enter_by_the_middle():
    # the model wants the last of its instruments alone; the two others come in the first bar of the second half, in their order
    parts = parse_instruments("violin,cello,helicopter", V)
    model = always(small(SEED), parts[-1][0])
    rows = generated(model, bars=6, parts=parts)[0]
    opened = np.cumsum(rows[:, INSTRUMENT] == V.bar)
    first = {part: int(opened[rows[:, INSTRUMENT] == part[0]][0]) for part in parts}
    assert first == {parts[0]: 3, parts[1]: 3, parts[2]: 1}


def test_no_more_empty_bars_than_stated_follow_each_other():
    # it wants to close every bar at once
    rows = generated(always(small(SEED), V.bar), bars=23)[0]
    notes = np.diff(np.append(np.flatnonzero(rows[:, INSTRUMENT] == V.bar), len(rows) - 1)) - 1
    empty = "".join("." if n == 0 else "x" for n in notes)
    assert empty == ("." * MOST_EMPTY + "x") * 4 + "." * (23 - 4 * (MOST_EMPTY + 1) - 1) + "x"


def test_bars_of_a_prompt_count_towards_the_most_bars():
    check_bars(9_998, prompt_bars=2)
    with pytest.raises(MeloError, match="bars 9999: give a whole number of bars, 1 to 9998"):
        check_bars(9_999, prompt_bars=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep_bars": 4}, "--keep-bars: says how much of a prompt to keep; give the prompt too: --prompt FILE"),
        ({"parts": "bass"}, "--parts: says what of a file to replace; give the file too: --infill FILE"),
        ({"infill": Path("a.mid")}, "--infill: say what to replace: --bars-range 9:16, --parts bass, or both"),
        ({"infill": Path("a.mid"), "parts": "bass", "tempo": 90.0}, "--tempo: does not go with --infill"),
        ({"count": 0}, "--count 0: give how many pieces to write, 1 to 1000"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, says):
    with pytest.raises(MeloError) as refused:
        GenerateOptions(**options)
    assert refused.value.for_command_line().startswith(says)


def test_pieces_side_by_side_are_those_written_alone():
    model = small(SEED)  # float64, so that products of other shapes draw the same
    together = generated(model, count=3, seed=5, bars=4)
    for i, rows in enumerate(together):
        assert np.array_equal(rows, generated(model, seed=5 + i, bars=4)[0])


def test_an_interrupt_leaves_the_complete_bars():
    writers, closed = row_writers(Constraints(bars=9), [3]), []

    def on_bar():
        closed.append(1)
        if len(closed) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(small(SEED), writers, Sampling(top_p=1.0), on_bar=on_bar)
    rows = writers.complete_bars(0)
    assert check_rows(rows, V) == []
    assert decode(rows, V).n_bars == (rows[:, INSTRUMENT] == V.bar).sum() <= 4
    whole = generated(small(SEED), seed=3, bars=9)[0]
    assert np.array_equal(rows[:-1], whole[: len(rows) - 1])


def test_nothing_complete_is_an_end_row_alone():
    end = np.full(len(FIELDS), ABSENT)
    end[INSTRUMENT] = V.end
    assert row_writers(Constraints(bars=2)).complete_bars(0).tolist() == [end.tolist()]


def bar_of(*, parts, notes):
    """A header row (1, 8), and so many note rows of each part."""
    header = torch.full((1, len(FIELDS)), ABSENT)
    header[0, [INSTRUMENT, TIME_SIGNATURE, TEMPO]] = torch.tensor([V.bar, 0, 0])
    rows = []
    for part in parts:
        for position in range(notes):
            row = torch.full((1, len(FIELDS)), ABSENT)
            row[0, list(NOTE_FIELDS)] = 0
            row[0, [INSTRUMENT, POSITION, PITCH]] = torch.tensor([part, position, 60])
            rows.append(row)
    return header, rows


def kept(spec, bars):
    """(rows, summaries) that are remembered after so many bars of two parts, three notes each."""
    decoder = MeloFormerDecoder(small(spec, layers=1))
    header, notes = bar_of(parts=(5, 9), notes=3)
    for _ in range(bars):
        decoder.step(header)
        for note in notes:
            decoder.step(note)
    piece = decoder.pieces[0]
    piece.close_cell()
    return sum(map(len, piece.segments.values())), len(piece.summaries2), decoder.nbytes


def test_what_no_later_row_may_see_is_forgotten():
    # 7 rows a bar; bars 0 to 4 back are seen, so the open bar and four more are kept
    rows, summaries, _ = kept(MaskSpec(same=(1, 4), near=2, far=(), summaries=False), 30)
    assert (rows, summaries) == (7 * 5, 0)
    rows, summaries, _ = kept(MaskSpec(same=(1,), near=0, far=(3,), summaries=True), 30)
    assert (rows, summaries) == (7 * 4, 29)
    assert kept(MaskSpec(same="full", near=0, far=(), summaries=False), 30)[0] == 7 * 30


@pytest.mark.parametrize("ahead", [0, 1, 40])
def test_a_segment_takes_little_more_than_it_holds(ahead):
    segment, moves = KVSegment(torch.zeros(3, 2, 1, 0, 5)), 0
    for n in range(1, 2000):
        before = segment.kv
        segment.ensure_room(ahead, 1)
        segment.kv[:, :, :, segment.end] = n
        segment.end += 1
        moves += segment.kv is not before
        assert segment.nbytes <= 3 * 2 * 5 * 4 * (1.25 * (n + ahead) + 16)
    assert segment.kv[0, 0, 0, segment.first : segment.end, 0].tolist() == list(range(1, 2000))
    assert moves < 40


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        (MaskSpec(same="full", near=2, far=(4,), summaries=True), 2.6),
        (MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False), 2.5),  # twice: a cell sees all there is
        (MaskSpec(same=(1, 2), near=2, far=(), summaries=False), 2.9),
    ],
)
def test_memory_is_little_more_than_what_is_held(spec, most):
    decoder, held = MeloFormerDecoder(small(spec, layers=1)), []
    header, notes = bar_of(parts=range(3, 10), notes=4)
    for _ in range(60):
        held.append(decoder.nbytes)
        decoder.step(header)
        assert decoder.most_bytes == max(held)
        for note in notes:
            decoder.step(note)
    (piece,) = decoder.pieces
    piece.close_cell()
    n = sum(map(len, piece.segments.values())) + len(piece.summaries2) + len(piece.summaries)
    assert n >= 29 * 3
    assert decoder.nbytes / (n * 2 * 12 * 8) <= most  # keys and values of 12 doubles


def test_memory_is_bounded_by_what_the_mask_shows():
    spec = MaskSpec(same=(1, 2, 4), near=2, far=(4,), summaries=False)
    assert kept(spec, 400)[2] <= 1.5 * kept(spec, 60)[2]
