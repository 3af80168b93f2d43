"""Ranges: the pitches that each General MIDI program and the drums can play.

Policy: the widest of what General MIDI 2 recommends (specification 1.2, appendix A: "recommended key range") and what a good
player reaches on the instrument, its larger and smaller relatives that go by the same program among them (sounding ranges, as
they are commonly known; no one book is followed). Synthesizers have a piano's keys. What General MIDI 2 gives no range, such
as sound effects, may have any pitch; drums have the keys that it names (appendix B). Every range holds an octave or
more, so that each has notes of any key. docs/decisions.md says how much real music lies outside.
"""

import numpy as np

from analysis.arrays import Bools
from meloctl.rows.vocabulary import Vocabulary

DRUM_KEYS = (27, 87)
"""From high Q to open surdo."""

RANGES: tuple[tuple[int, int, int, int], ...] = (
    # first and last program, lowest and highest pitch
    (0, 5, 21, 108),  # pianos, electric pianos
    (6, 6, 29, 89),  # harpsichord
    (7, 7, 27, 96),  # clavinet
    (8, 8, 48, 108),  # celesta
    (9, 9, 60, 108),  # glockenspiel
    (10, 10, 48, 96),  # music box
    (11, 11, 41, 89),  # vibraphone
    (12, 12, 36, 96),  # marimba
    (13, 13, 53, 108),  # xylophone
    (14, 14, 48, 84),  # tubular bells, carillon
    (15, 15, 36, 93),  # dulcimer, cimbalom
    (16, 19, 21, 108),  # organs
    (20, 20, 29, 101),  # reed organ
    (21, 21, 28, 101),  # accordion
    (22, 22, 48, 98),  # harmonica
    (23, 23, 36, 95),  # tango accordion
    (24, 25, 31, 88),  # acoustic guitars, in low tunings too
    (26, 31, 28, 91),  # electric guitars, those of eight strings too
    (32, 37, 23, 67),  # basses of five strings
    (38, 39, 21, 84),  # synth basses
    (40, 40, 55, 103),  # violin
    (41, 41, 48, 91),  # viola
    (42, 42, 36, 84),  # cello
    (43, 43, 23, 67),  # contrabass
    (44, 45, 23, 103),  # tremolo and pizzicato strings
    (46, 46, 23, 104),  # orchestral harp
    (47, 47, 36, 60),  # timpani
    (48, 49, 23, 103),  # string ensembles
    (50, 51, 21, 108),  # synth strings
    (52, 53, 36, 84),  # choirs, from basses to sopranos
    (54, 54, 36, 96),  # synth voice
    (55, 55, 24, 96),  # orchestra hit
    (56, 56, 54, 94),  # trumpet
    (57, 57, 34, 77),  # trombone
    (58, 58, 26, 67),  # tuba
    (59, 59, 54, 88),  # muted trumpet
    (60, 60, 34, 80),  # french horn
    (61, 61, 26, 96),  # brass section, from tuba to trumpet
    (62, 63, 21, 108),  # synth brass
    (64, 64, 54, 91),  # soprano sax
    (65, 65, 49, 85),  # alto sax
    (66, 66, 42, 80),  # tenor sax
    (67, 67, 36, 73),  # baritone sax
    (68, 68, 58, 93),  # oboe
    (69, 69, 52, 84),  # english horn
    (70, 70, 34, 76),  # bassoon
    (71, 71, 49, 94),  # clarinet
    (72, 72, 74, 108),  # piccolo
    (73, 73, 55, 98),  # flutes
    (74, 74, 53, 98),  # recorders
    (75, 75, 55, 96),  # pan flute
    (76, 76, 48, 103),  # blown bottle
    (77, 77, 50, 93),  # shakuhachi
    (78, 78, 48, 108),  # whistle
    (79, 79, 57, 96),  # ocarina
    (80, 103, 21, 108),  # leads, pads, effects
    (104, 104, 48, 84),  # sitar
    (105, 105, 48, 88),  # banjo
    (106, 106, 50, 84),  # shamisen
    (107, 107, 37, 96),  # kotos
    (108, 108, 48, 88),  # kalimba
    (109, 109, 36, 90),  # bagpipe
    (110, 110, 55, 103),  # fiddle
    (111, 111, 48, 84),  # shanai
    (112, 112, 60, 108),  # tinkle bell
    (113, 113, 48, 84),  # agogo
    (114, 114, 40, 91),  # steel drums
    (115, 127, 0, 127),  # struck things and noises
)


def range_of(program: int, *, is_drum: bool = False) -> tuple[int, int]:
    """(lowest, highest) MIDI pitch of a program 0..127, or of the drums."""
    if is_drum:
        return DRUM_KEYS
    return next((low, high) for first, last, low, high in RANGES if first <= program <= last)


def pitches_in_range(vocabulary: Vocabulary) -> Bools:
    """(instruments, 128) which pitches each instrument of the vocabulary can play; none for headers and ends."""
    within = np.zeros((len(vocabulary.instruments), 128), dtype=np.bool_)
    for instrument in range(vocabulary.drums, vocabulary.end):
        program, is_drum = vocabulary.program_of(instrument)
        low, high = range_of(program, is_drum=is_drum)
        within[instrument, low : high + 1] = True
    return within
