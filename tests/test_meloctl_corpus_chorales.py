"""Bach's chorales: scores by hand, and music21's own way of joining ties, byte for byte."""

import pytest

from analysis.midi_write import midi_bytes
from meloctl.corpus.chorales import chorale_paths, read_chorale, write_chorales

TRICKY = [
    "bwv1.6",  # more than four parts, and a pickup
    "bwv66.6",  # gaps for rests, and one at the end
    "bwv67.4",  # not compressed
    "bwv69.6",
    "bwv123.6",  # 3/2
    "bwv171.6",  # no choir
    "bwv248.9-1",  # chords
    "bwv248.23-2",  # voices, bars split by repeats
    "bwv299",  # a grace note
    "bwv362",  # a tie that ends on another note
    "bwv430",  # a note tied on both sides
    "bwv846",  # no chorale
]


def score(*measures, parts=1):
    """A MusicXML file of equal parts; lengths are in quarter notes."""
    listed = "".join(f'<score-part id="P{i}"><part-name>Part {i}</part-name></score-part>' for i in range(parts))
    body = "".join(f"<measure>{measure}</measure>" for measure in measures)
    return (
        f"<score-partwise><part-list>{listed}</part-list>"
        + "".join(f'<part id="P{i}">{body}</part>' for i in range(parts))
        + "</score-partwise>"
    )


def note(pitch, length, more=""):
    return f"<note>{more}<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch><duration>{length}</duration></note>"


def rest(length):
    return f"<note><rest/><duration>{length}</duration></note>"


TRIPLE = "<attributes><divisions>1</divisions><time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
STOP = '<tie type="stop"/>'


@pytest.mark.parametrize("name", TRICKY)
def test_a_score_is_what_music21_makes_of_it(name):
    from plain_chorales import chorale

    (path,) = (path for path in chorale_paths() if path.stem == name)
    ours, theirs = read_chorale(path), chorale(path)
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert midi_bytes(ours) == midi_bytes(theirs)


@pytest.mark.slow
def test_every_score_is_what_music21_makes_of_it():
    from plain_chorales import chorale

    for path in chorale_paths():
        ours, theirs = read_chorale(path), chorale(path)
        assert (ours and midi_bytes(ours)) == (theirs and midi_bytes(theirs)), path


def test_a_tie_joins_what_touches_and_has_one_pitch(tmp_path):
    path = tmp_path / "score.xml"
    bars = [TRIPLE + note("C4", 3), note("C4", 1, STOP) + note("D4", 1, STOP) + rest(1), note("D4", 3, STOP)]
    path.write_text(score(*bars, parts=4))
    notes = read_chorale(path).notes
    mine = notes.take(notes.part == 2)
    assert mine.onset_tick.tolist() == [0, 1920, 2880]
    assert mine.duration_tick.tolist() == [1920, 480, 1440]
    assert mine.pitch.tolist() == [60, 62, 62]


def test_equal_scores_are_written_once(tmp_path):
    paths = [tmp_path / "a.xml", tmp_path / "b.xml", tmp_path / "c.xml"]
    for path, pitch in zip(paths, ("C4", "C4", "D4"), strict=True):
        path.write_text(score(TRIPLE + note(pitch, 3), parts=4))
    assert write_chorales(tmp_path / "out", paths=paths) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mid", "c.mid"]


def test_a_signature_counts_in_its_own_measure_too(tmp_path):
    path = tmp_path / "a.xml"
    halves = TRIPLE.replace("<beat-type>4", "<beat-type>2")
    path.write_text(score(halves + note("C4", 6), note("D4", 6), parts=4))
    bars = read_chorale(path).bars
    assert (bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist()) == ([0], [3], [2])
