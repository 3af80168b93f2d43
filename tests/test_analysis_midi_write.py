"""Pieces as MIDI files: ports, order in a tick, and where the tracks end, as a plain reader finds them."""

from dataclasses import replace

import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from plain_midi_write import plain_midi_bytes
from plain_player import play

from analysis.midi import parse_midi
from analysis.midi_write import midi_bytes
from analysis.piece import Part


def test_the_sixteenth_pitched_part_and_the_second_kit_begin_a_second_port():
    # 20 pitched parts and drums of two kits: 15 channels of port 0, then port 1; the kits on channel 10 of either
    parts = tuple(Part(program=n % 3, is_drum=n in (4, 9)) for n in range(22))
    file = play(midi_bytes(piece_of([(n, 0, 12, 60) for n in range(22)], parts=parts)))
    places = [(note.port, note.channel) for note in file.notes]
    pitched = [place for n, place in enumerate(places) if n not in (4, 9)]
    assert [places[4], places[9]] == [(0, 9), (1, 9)]
    assert pitched == [(0, c) for c in range(16) if c != 9] + [(1, c) for c in range(5)]
    assert [(p.program, p.is_drum) for p in file.parts] == [(p.program, p.is_drum) for p in parts]


def test_every_track_ends_where_the_piece_does_or_behind_its_last_note():
    piece = piece_of([(0, 0, 12, 60), (1, 0, 100, 60)])
    for end, ends in ((0, [0, 12, 100]), (96, [96, 96, 100]), (480, [480] * 3)):
        assert [track.end_tick for track in play(midi_bytes(replace(piece, end_tick=end))).file.tracks] == ends


def test_notes_that_touch_at_one_tick_keep_their_lengths():
    # one key: a note ends at 24, one of no length stands there, and another begins
    notes = [(0, 0, 24, 60), (0, 24, 0, 60), (0, 24, 12, 60)]
    file = play(midi_bytes(piece_of(notes)))
    assert [(n.onset, n.end) for n in file.notes] == [(0, 24), (24, 24), (24, 36)]


@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(0, 40000), st.integers(0, 300), st.integers(0, 127)), min_size=1
    ),
    st.lists(st.sampled_from([0, 5, 127, "kit", "Ünï"]), min_size=20, max_size=20),
    st.integers(0, 1 << 28),
    st.floats(4, 60000),
)
def test_the_bytes_are_those_of_a_midi_library(notes, parts, end, tempo):
    kinds = [
        Part(
            program=3 * i if kind == "kit" else kind if isinstance(kind, int) else 1,
            is_drum=kind == "kit",
            name=str(kind),
        )
        for i, kind in enumerate(parts)
    ]
    piece = replace(piece_of(notes, parts=tuple(kinds)), end_tick=end)
    piece = replace(piece, tempo=piece.tempo * 0 + tempo)
    assert midi_bytes(piece) == plain_midi_bytes(piece)


@pytest.mark.parametrize("name", ["band", "pop909"])
def test_real_files_are_written_as_by_a_midi_library(real, name):
    for path in real(name)[:6]:
        piece = parse_midi(path.read_bytes())
        assert midi_bytes(piece) == plain_midi_bytes(piece)
