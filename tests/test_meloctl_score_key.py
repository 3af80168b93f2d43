"""Keys by name, and music in a key: new notes keep to it, and an independent estimate of the key agrees."""

import numpy as np
import pytest
import torch
from conftest import piece_of
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_key import KEYS, estimated_key
from small_models import SEED, V, row_writers, small
from written_pieces import out_of_range, write_rows

from analysis.errors import MeloError
from analysis.midi import parse_source
from analysis.midi_write import midi_bytes
from analysis.piece import Part
from meloctl.generation.constraints import Constraints
from meloctl.generation.continuation import encode_prompt
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.options import Sampling
from meloctl.generation.parse_options import parse_instruments
from meloctl.generation.row_sampling import weigh_by_key
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import DURATION, INSTRUMENT, PITCH, POSITION
from meloctl.score.key import Key, parse_key


@pytest.mark.parametrize(
    ("text", "tonic", "minor"),
    [
        ("C major", 0, False),
        ("a minor", 9, True),
        ("F# minor", 6, True),
        ("Bb", 10, False),
        ("Am", 9, True),
        ("ebm", 3, True),
        ("EbM", 3, False),
        (" e-flat  Major ", 3, False),
        ("C♯ Moll", 1, True),
        ("g dur", 7, False),
        ("bb minor", 10, True),
        ("b minor", 11, True),
        ("bmin", 11, True),
        ("Cb", 11, False),
        ("B#m", 0, True),
        ("D大调", 2, False),
        ("f小调", 5, True),
    ],
)
def test_keys_by_name(text, tonic, minor):
    assert parse_key(text) == Key(tonic=tonic, minor=minor)


@pytest.mark.parametrize("text", ["", "H", "C dorian", "C##", "major", "Cm7", "A B", "7", "c" * 1000])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(MeloError, match="no such key; give a letter from A to G, # or b, and major or minor"):
        parse_key(text)


@pytest.mark.parametrize(("text", "name"), [("c", "C"), ("bb", "Bb"), ("f#", "F#")])
def test_a_small_letter_alone_could_be_either(text, name):
    with pytest.raises(MeloError, match=f"major or minor. give {name} for the major key or {name}m for the minor one"):
        parse_key(text)


def test_the_pitches_of_a_key():
    def classes(pitches):
        return np.flatnonzero(pitches[60:72]).tolist()

    assert classes(parse_key("C").scale) == [0, 2, 4, 5, 7, 9, 11]
    assert classes(parse_key("Am").scale) == [0, 2, 4, 5, 6, 7, 8, 9, 11]  # F# and G# beside F and G
    assert classes(parse_key("D").chord) == [2, 6, 9]
    assert classes(parse_key("Bbm").chord) == [1, 5, 10]


def test_pitch_classes_that_sound_too_little_become_likelier():
    key = parse_key("G")

    def pitch_weights(quarters):
        weights = np.ones(128)
        weigh_by_key(key.shares, quarters, weights)
        return weights

    assert pitch_weights(np.zeros(12))[key.scale] == pytest.approx(1)  # no note yet
    assert pitch_weights(np.zeros(12))[60 + 8] == 0  # G sharp
    weights = pitch_weights(np.eye(12)[0] * 40)  # forty quarters of C alone
    assert weights[60] < 0.1 < 1 < weights[67]
    assert weights[48] == weights[60]


@settings(max_examples=40)
@given(
    st.sampled_from(KEYS),
    st.sampled_from([None, "violin,violin,piccolo", "drums,piano,timpani", "timpani", "127,66"]),
    st.sampled_from(["last", "any"]),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_notes_keep_to_the_key_and_there_is_always_a_way_on(key, instruments, extreme, bars, seed):
    random = np.random.default_rng(seed)

    def choose(field, allowed, row):
        if field == INSTRUMENT and random.random() < 0.05:
            return allowed[0]
        return allowed[-1] if extreme == "last" and field in (PITCH, POSITION) else random.choice(allowed)

    parts = None if instruments is None else parse_instruments(instruments, V)
    rows = write_rows(Constraints(bars=bars, parts=parts, key=key), choose)
    assert check_rows(rows, V) == []
    assert out_of_range(rows) == []
    bar = np.cumsum(rows[:, INSTRUMENT] == V.bar)
    for row, b in zip(rows, bar, strict=True):
        if row[PITCH] >= 0 and row[INSTRUMENT] != V.drums:
            assert (key.chord if b in (1, bars) else key.scale)[row[PITCH]]


def pieces_in(keys, bars=12):
    """Quarter notes by a model that knows nothing of pitch, in four voices; one piece for each key, None for none."""
    parts, model = parse_instruments("violin,violin,viola,cello", V), small(SEED, layers=1)
    for head in model.heads.heads:
        torch.nn.init.zeros_(head.outer.weight)
        torch.nn.init.zeros_(head.outer.bias)
    with torch.no_grad():
        model.heads.heads[INSTRUMENT].outer.bias[[i for i, _ in parts]] = 1.5
        model.heads.heads[DURATION].outer.bias[V.durations.index(12)] = 1e4
    pieces = [bars_behind(None, Constraints(bars=bars, parts=parts, key=key), V) for key in keys]
    writers = RowWriters(pieces, [np.random.default_rng(i) for i in range(len(keys))])
    generate(model, writers, Sampling(top_p=1.0))
    return [decode(writers.rows(i), V) for i in range(len(keys))]


def test_the_key_is_estimated_from_a_scale_and_a_chord():
    scale = [0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0]
    assert estimated_key(piece_of([(0, 12 * i, 12, 62 + s) for i, s in enumerate(scale)])) == parse_key("D")
    assert estimated_key(piece_of([(0, 0, 12, 57), (0, 0, 12, 60), (0, 0, 12, 64)])) == parse_key("Am")


def test_the_estimated_key_of_a_piece_is_that_of_its_constraints():
    estimates = [estimated_key(piece) for piece in pieces_in(KEYS)]
    assert sum(a == b for a, b in zip(estimates, KEYS, strict=True)) >= 22  # of 24
    by_chance = [estimated_key(piece) for piece in pieces_in([None] * len(KEYS))]
    assert sum(a == b for a, b in zip(by_chance, KEYS, strict=True)) <= 6


def test_behind_a_prompt_the_key_holds_for_new_notes():
    piece = piece_of([(0, 12 * i, 12, 61) for i in range(8)], parts=(Part(program=40, is_drum=False),))
    prompt = encode_prompt(parse_source(midi_bytes(piece)), None, V)
    key = parse_key("C")
    writers = row_writers(Constraints(bars=3, key=key), prompt=prompt.rows)
    assert not writers.pieces["quarters"].any()
    generate(small(SEED, layers=1), writers, Sampling(top_p=1.0))
    rows = writers.rows(0)
    assert np.array_equal(rows[: len(prompt.rows)], prompt.rows)
    new = rows[len(prompt.rows) :]
    pitched = new[(new[:, PITCH] >= 0) & (new[:, INSTRUMENT] != V.drums)]
    assert len(pitched) > 3
    assert key.scale[pitched[:, PITCH]].all()
    first = new[np.cumsum(new[:, INSTRUMENT] == V.bar) == 1]
    assert key.chord[first[(first[:, PITCH] >= 0) & (first[:, INSTRUMENT] != V.drums), PITCH]].all()
