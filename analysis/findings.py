"""What the facts of pieces mean for training: each finding with the pieces that it concerns and what to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.accents import SCATTERED
from analysis.piece_check import (
    DENSE_BAR,
    FEW_NOTES,
    LONG_SECONDS,
    MOST_PARTS,
    OFF_GRID,
    SHORT_BARS,
    PieceCheck,
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A property of some files that a user should know before training."""

    name: str
    """For programs."""

    files: tuple[int, ...]
    """Numbers of the pieces."""

    fix: bool
    """It hurts training and should be fixed before; otherwise it is good to know."""

    missing: bool = False
    """Music of these files is not read, so they are not usable as they are."""

    phrase: str
    """For the summary, after a count of files: "with bars of one beat"."""

    what: str
    """What it means, in one line."""

    advice: str
    """What to do."""


_EXAMPLES = 3
"""Files whose bar lines a finding describes."""

_Where = Callable[[Callable[[PieceCheck], bool]], tuple[int, ...]]


def piece_findings(pieces: Sequence[PieceCheck]) -> list[Finding]:
    """Findings about a corpus, those that concern no piece left out."""

    def where(holds: Callable[[PieceCheck], bool]) -> tuple[int, ...]:
        return tuple(i for i, piece in enumerate(pieces) if holds(piece))

    found = [
        _one_beat_bars(pieces, where),
        _bars_beside(pieces, where),
        *_of_timing(where),
        *_of_size(where),
        *_of_parts(where),
        *_of_metre(where),
    ]
    return [f for f in found if f.files]


def meter_to_pass(pieces: Sequence[PieceCheck]) -> str | None:
    """What to give --meter, "4/4" or "3/4", where most pieces have bars of one beat; None elsewhere.

    The option overrides the time signatures of all files, so it is no cure for a few.
    """
    accents = [p.metre.accents for p in pieces if p.metre.one_beat]
    if 2 * len(accents) <= len(pieces):
        return None
    return "3/4" if accents.count(3) > accents.count(4) else "4/4"


def _one_beat_bars(pieces: Sequence[PieceCheck], where: _Where) -> Finding:
    files = where(lambda p: p.metre.one_beat)
    accents = [pieces[i].metre.accents for i in files]
    meter = meter_to_pass(pieces)
    return Finding(
        name="one-beat-bars",
        files=files,
        fix=True,
        phrase="with bars of one beat" + (f": pass --meter {meter}" if meter else ""),
        what="bars of one beat, so offsets count beats; by their accents "
        f"{accents.count(4)} are in twos or fours, {accents.count(3)} in threes, {accents.count(0)} unclear",
        advice=f"pass --meter {meter}; it overrides every file, so keep those of another metre (accents in check.csv) elsewhere"
        if meter
        else "put them in a folder of their own and pass --meter 4/4 or 3/4 there; it overrides every file",
    )


def _bars_beside(pieces: Sequence[PieceCheck], where: _Where) -> Finding:
    files = where(lambda p: bool(p.metre.beside))
    stretches = [pieces[i].metre.beside[0] for i in files[:_EXAMPLES]]
    examples = ", ".join(f"{abs(s.shift):.3g} from bar {s.first_bar + 1} on" for s in stretches)
    return Finding(
        name="bars-beside-accents",
        files=files,
        fix=True,
        phrase="with bar lines beside the accents: pass --fix-bars",
        what=f"bar lines so many quarters beside the accents: {examples}" + (" …" if len(files) > _EXAMPLES else ""),
        advice="pass --fix-bars to stats, which train follows; every stretch is in check.csv (bars_beside)",
    )


def _of_timing(where: _Where) -> list[Finding]:
    return [
        Finding(
            name="beside-the-beat",
            files=where(lambda p: p.timing.shift > 0),
            fix=True,
            phrase="beside their own beats",
            what="the notes keep a steady beat beside the file's, so bar lines fall between their beats",
            advice="pass --fix-bars where bars_beside (check.csv) has them, else move all notes by `shift` quarters in an editor",
        ),
        Finding(
            name="played-freely",
            files=where(lambda p: p.timing.scattered >= SCATTERED),
            fix=True,
            phrase="played without a click",
            what="onsets lie anywhere in the beat: bars and positions mean little",
            advice="leave them out, or track the beat and quantise them",
        ),
        Finding(
            name="off-grid",
            files=where(
                lambda p: p.timing.off_grid >= OFF_GRID and p.timing.shift == 0 and p.timing.scattered < SCATTERED
            ),
            fix=False,
            phrase="off the grid",
            what=f"over {OFF_GRID:.0%} of the notes lie between the 12 steps of a quarter: 32nds, swing, small delays",
            advice="nothing: each note moves by at most 1/24 of a quarter",
        ),
    ]


def _of_metre(where: _Where) -> list[Finding]:
    return [
        Finding(
            name="doubtful-metre",
            files=where(_doubtful_metre),
            fix=False,
            phrase="perhaps in another metre",
            what="accents every third beat in bars of two or four, or every second in bars of three (1 in 100 by mistake)",
            advice="listen to them; put those that are wrong in a folder of their own and pass --meter there",
        ),
        Finding(
            name="no-metre",
            files=where(lambda p: not p.metre.stated),
            fix=False,
            phrase="without a time signature",
            what="no time signature in the file: bars of 4/4 are taken",
            advice="put those of another metre in a folder of their own and pass --meter there",
        ),
        Finding(
            name="short-bars",
            files=where(lambda p: not p.metre.one_beat and (p.metre.pickup or p.metre.short_bars > 0)),
            fix=False,
            phrase="with pickups or split bars",
            what="pickups, or bars cut in two (repeats, changes of signature): each half counts as a bar of its own",
            advice="nothing, when they are few a piece (pickup and short_bars in check.csv)",
        ),
        Finding(
            name="no-tempo",
            files=where(lambda p: not p.timing.tempo_stated),
            fix=False,
            phrase="without a tempo",
            what="no tempo in the file: 120 quarters a minute are taken",
            advice="set it in the file if speed matters",
        ),
    ]


def _of_parts(where: _Where) -> list[Finding]:
    return [
        Finding(
            name="hidden-drums",
            files=where(lambda p: p.instruments.hidden_drums > 0),
            fix=True,
            phrase="with drums that are read as pitches",
            what="a part named like drums that no channel, bank or message makes drums, so they are read as pitches",
            advice="put the part on channel 10, unless it is pitched (a timpani, a marimba)",
        ),
        Finding(
            name="many-parts",
            files=where(lambda p: p.instruments.parts > MOST_PARTS),
            fix=False,
            phrase=f"of more than {MOST_PARTS} parts",
            what=f"more than {MOST_PARTS} parts: MIDI has {MOST_PARTS} channels, and generated pieces keep to them",
            advice="nothing, or join doubled parts",
        ),
        Finding(
            name="sparse-parts",
            files=where(lambda p: p.instruments.sparse > 0),
            fix=False,
            phrase="with nearly silent parts",
            what=f"a part of fewer than {FEW_NOTES} notes",
            advice="nothing, or delete the part",
        ),
    ]


def _of_size(where: _Where) -> list[Finding]:
    return [
        Finding(
            name="long",
            files=where(lambda p: p.seconds > LONG_SECONDS),
            fix=True,
            phrase="of over half an hour",
            what="over half an hour: a whole album in one file, or one note far off the end",
            advice="cut them into pieces",
        ),
        Finding(
            name="short",
            files=where(lambda p: p.bars < SHORT_BARS),
            fix=False,
            phrase=f"of fewer than {SHORT_BARS} bars",
            what=f"fewer than {SHORT_BARS} bars: little that could return",
            advice="nothing when they are few; leave out jingles and loops",
        ),
        Finding(
            name="dense",
            files=where(lambda p: p.busiest_bar > DENSE_BAR),
            fix=False,
            phrase="with an extremely dense bar",
            what=f"over {DENSE_BAR} notes in one bar: few such bars fit the context",
            advice="look for doubled tracks, or for a bar that is really many",
        ),
    ]


def _doubtful_metre(piece: PieceCheck) -> bool:
    """One simple metre throughout, of two, three or four quarters, that the accents speak against."""
    metre = piece.metre
    against = {"4/4": 3, "2/4": 3, "2/2": 3, "3/4": 4}.get(metre.commonest)
    return metre.changes == 0 and against == metre.accents
