"""Pieces as MIDI files: ports, order in a tick, and where the tracks end, as a plain reader finds them."""

from dataclasses import replace

from conftest import piece_of
from plain_player import play

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
