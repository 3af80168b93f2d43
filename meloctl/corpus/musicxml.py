"""Scores in MusicXML: a file → parts of measures, as far as chorales need it: notes, ties, lengths, time signatures."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

from analysis.errors import MeloError

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreNote:
    """A note of a score; times in ticks."""

    onset: int
    """From the start of its measure."""

    duration: int
    pitch: int
    """MIDI pitch."""

    tied: bool
    """It continues the note before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreMeasure:
    """A measure of one part; times in ticks."""

    notes: list[ScoreNote]
    """Without grace notes."""

    length: int
    """To the end of its last note or rest."""

    nominal: int
    """As its time signature has it."""

    denominator: int
    """Of the time signature in force."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorePart:
    """One part of a score."""

    name: str
    measures: list[ScoreMeasure]


def read_score(path: Path, *, ticks_per_quarter: int) -> list[ScorePart]:
    """A MusicXML file (.xml, or compressed .mxl) → its parts, in order.

    Raises:
        MeloError: it cannot be read, or a time in it is no whole number of ticks.
    """
    try:
        return _read_parts(fromstring(_xml(path)), ticks_per_quarter)
    except (OSError, zipfile.BadZipFile, ParseError, LookupError, ValueError, ArithmeticError) as error:
        raise MeloError(f"{path}: no score in MusicXML that can be read: {error}") from error


def _read_parts(score: Element, ticks_per_quarter: int) -> list[ScorePart]:
    names = {part.get("id"): part.findtext("part-name", "").strip() for part in score.iter("score-part")}
    by_finale = score.findtext("identification/encoding/software", "").startswith("Finale")
    return [
        ScorePart(
            name=names[part.get("id")],
            measures=_PartReader(ticks_per_quarter, gaps_are_rests=by_finale).measures(part),
        )
        for part in score.iter("part")
    ]


def _xml(path: Path) -> bytes:
    """The XML of a file; that of a compressed one lies beside META-INF/."""
    if path.suffix != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("xml") and not name.startswith("META-INF/")]
        return archive.read(names[0])


class _PartReader:
    """Reads the measures of one part, keeping what holds until it changes: divisions and time signature."""

    def __init__(self, ticks_per_quarter: int, *, gaps_are_rests: bool) -> None:
        self._ticks_per_quarter = ticks_per_quarter
        self._gaps_are_rests = gaps_are_rests
        self._divisions = 1
        self._beats, self._beat_type = 4, 4

    def measures(self, part: Element) -> list[ScoreMeasure]:
        """The measures of a <part>."""
        found = [list(measure) for measure in part.iterfind("measure")]
        while found and found[-1] and found[-1][-1].tag != "note":
            found[-1].pop()  # a gap that Finale leaves at the end
        return [self._measure(elements) for elements in found]

    def _measure(self, elements: list[Element]) -> ScoreMeasure:
        notes: list[ScoreNote] = []
        rests: list[bool] = []  # whether each fills the bar
        now = end = 0
        for element in elements:
            if element.tag == "attributes":
                self._take_attributes(element)
            elif element.tag == "backup":
                now = max(0, now - self._ticks(element))
            elif element.tag == "forward":
                now += self._ticks(element)
                end = max(end, now if self._gaps_are_rests else 0)
            elif element.tag == "note" and element.find("grace") is None:
                length = self._ticks(element)
                rest = element.find("rest")
                if rest is not None:
                    rests.append(rest.get("measure") == "yes" or self._is_whole_note(length))
                else:
                    now = notes[-1].onset if element.find("chord") is not None else now
                    notes.append(_note(element, now, length))
                now += length
                end = max(end, now)
        nominal = self._ticks_per_quarter * 4 * self._beats // self._beat_type
        stands_empty = not notes and (not end or rests == [True])
        return ScoreMeasure(
            notes=notes, length=nominal if stands_empty else end, nominal=nominal, denominator=self._beat_type
        )

    def _is_whole_note(self, length: int) -> bool:
        """A rest of this length is a whole one or a double one, which alone in a bar stand for a bar of any length."""
        return length in (4 * self._ticks_per_quarter, 8 * self._ticks_per_quarter)

    def _take_attributes(self, attributes: Element) -> None:
        self._divisions = int(attributes.findtext("divisions", self._divisions))
        self._beats = int(attributes.findtext("time/beats", self._beats))
        self._beat_type = int(attributes.findtext("time/beat-type", self._beat_type))

    def _ticks(self, element: Element) -> int:
        """The duration of an element in ticks."""
        duration = element.findtext("duration", "")
        ticks, over = divmod(int(duration) * self._ticks_per_quarter, self._divisions)
        if over:
            raise ValueError(f"{duration}/{self._divisions} of a quarter note are no whole number of ticks")
        return ticks


def _note(note: Element, onset: int, duration: int) -> ScoreNote:
    """The note of a <note> with a <pitch>."""
    step, alter, octave = (note.findtext(f"pitch/{name}", "0") for name in ("step", "alter", "octave"))
    return ScoreNote(
        onset=onset,
        duration=duration,
        pitch=12 * (int(octave) + 1) + _SEMITONES[step] + int(alter),
        tied=any(tie.get("type") == "stop" for tie in note.iterfind("tie")),
    )
