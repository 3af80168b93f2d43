"""Bach's chorales: scores by hand, and music21's own reading of them, byte for byte."""

import zipfile

import pytest

from analysis.errors import MeloError
from analysis.midi_write import midi_bytes
from meloctl.corpus.chorales import chorale_paths, read_chorale, write_chorales
from meloctl.corpus.musicxml import read_score

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


def score(*measures, parts=1, software=""):
    """A MusicXML file of equal parts; lengths are in quarter notes."""
    listed = "".join(f'<score-part id="P{i}"><part-name>Part {i}</part-name></score-part>' for i in range(parts))
    body = "".join(f"<measure>{measure}</measure>" for measure in measures)
    return (
        f"<score-partwise><identification><encoding><software>{software}</software></encoding></identification>"
        f"<part-list>{listed}</part-list>"
        + "".join(f'<part id="P{i}">{body}</part>' for i in range(parts))
        + "</score-partwise>"
    )


def note(pitch, length, more=""):
    return f"<note>{more}<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch><duration>{length}</duration></note>"


def rest(length, attributes=""):
    return f"<note><rest {attributes}/><duration>{length}</duration></note>"


def gap(length, tag="forward"):
    return f"<{tag}><duration>{length}</duration></{tag}>"


def measures_of(tmp_path, *measures, software=""):
    path = tmp_path / "score.xml"
    path.write_text(score(*measures, software=software))
    (part,) = read_score(path, ticks_per_quarter=12)
    return part.measures


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


def test_measures_last_to_their_last_note_or_rest(tmp_path):
    measures = measures_of(
        tmp_path,
        TRIPLE + note("C4", 1),  # a pickup
        note("C4", 2) + rest(1),
        rest(4),  # a whole rest alone is a bar of any length
        rest(1, 'measure="yes"'),
        "",
        note("E4", 1) + gap(2),
    )
    assert [m.length for m in measures] == [12, 36, 36, 36, 36, 12]
    assert [m.nominal for m in measures] == [36] * 6


def test_finale_writes_rests_as_gaps_but_for_the_last(tmp_path):
    bars = [TRIPLE + note("C4", 1) + gap(2), note("C4", 1) + gap(2) + "<barline/>"]
    assert [m.length for m in measures_of(tmp_path, *bars, software="Finale 2014")] == [36, 12]
    assert [m.length for m in measures_of(tmp_path, *bars, software="MuseScore")] == [12, 12]


def test_voices_chords_accidentals_and_grace_notes(tmp_path):
    sharp = note("F5", 1).replace("<octave>", "<alter>1</alter><octave>")
    (measure,) = measures_of(
        tmp_path,
        TRIPLE
        + note("C4", 2)
        + note("E4", 2, "<chord/>")
        + "<note><grace/></note>"
        + sharp
        + gap(3, "backup")
        + note("A2", 3),
    )
    assert [(n.onset, n.duration, n.pitch) for n in measure.notes] == [
        (0, 24, 60),
        (0, 24, 64),
        (24, 12, 78),
        (0, 36, 45),
    ]
    assert measure.length == 36


def test_a_tie_joins_what_touches_and_has_one_pitch(tmp_path):
    path = tmp_path / "score.xml"
    bars = [TRIPLE + note("C4", 3), note("C4", 1, STOP) + note("D4", 1, STOP) + rest(1), note("D4", 3, STOP)]
    path.write_text(score(*bars, parts=4))
    notes = read_chorale(path).notes
    mine = notes.take(notes.part == 2)
    assert mine.onset_tick.tolist() == [0, 1920, 2880]
    assert mine.duration_tick.tolist() == [1920, 480, 1440]
    assert mine.pitch.tolist() == [60, 62, 62]


def test_a_compressed_score_is_the_same_score(tmp_path):
    plain, packed = tmp_path / "a.xml", tmp_path / "a.mxl"
    plain.write_text(score(TRIPLE + note("C4", 3), parts=4))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", "application/vnd.recordare.musicxml")
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("a.musicxml", plain.read_text())
    assert midi_bytes(read_chorale(packed)) == midi_bytes(read_chorale(plain))


def test_equal_scores_are_written_once(tmp_path):
    paths = [tmp_path / "a.xml", tmp_path / "b.xml", tmp_path / "c.xml"]
    for path, pitch in zip(paths, ("C4", "C4", "D4"), strict=True):
        path.write_text(score(TRIPLE + note(pitch, 3), parts=4))
    assert write_chorales(tmp_path / "out", paths=paths) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mid", "c.mid"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<score-partwise>", "no score in MusicXML that can be read"),
        (score(TRIPLE.replace(">1<", ">7<", 1) + note("C4", 1)), "1/7 of a quarter note"),
        (score(TRIPLE + note("H4", 1)), "no score in MusicXML that can be read"),
        (score(TRIPLE + note("C4", "long")), "no score in MusicXML that can be read"),
    ],
)
def test_what_is_no_score_is_said(tmp_path, text, message):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(MeloError, match=message):
        read_score(path, ticks_per_quarter=12)
