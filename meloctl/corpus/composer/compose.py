"""A band that composes: pieces whose form is known exactly, for tests of what is measured and for who has no corpus.

Four parts (drums, bass, chords, lead), one key, functional harmony. What recurs, and after how many bars, is planted: sections of
the same letter bring the same material, inside a section it recurs every `phrase` bars, and nothing shorter recurs.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.grid import STEPS_PER_QUARTER
from analysis.json_spec import read_json
from analysis.midi_write import write_midi
from analysis.piece import Bars, Notes, Part, Piece
from meloctl.corpus.composer.harmony import BandKey
from meloctl.corpus.composer.material import Band
from meloctl.corpus.composer.perform import with_dynamics
from meloctl.corpus.composer.rhythm import METERS, feel_of, pick
from meloctl.corpus.composer.takes import best_take

TICKS_PER_QUARTER = 480
SECTION = 8
"""Least bars of a section; it is as long as the first multiple of the phrase from here on."""

MOST_PIECES = 100_000
MOST_SECTIONS = 32
MOST_PHRASE = 31
ORIGIN = "ORIGIN.json"

COMPOSER = 1
"""Raise it when the same seed gives other notes than before."""

_CHORDS = {
    # style: programs and their names
    "block": {0: "Piano", 4: "Electric piano", 16: "Organ"},
    "strum": {24: "Nylon guitar", 25: "Steel guitar", 27: "Electric guitar"},
    "broken": {0: "Piano", 24: "Nylon guitar", 26: "Jazz guitar"},
    "pad": {48: "Strings", 49: "Slow strings", 16: "Organ", 19: "Church organ"},
}
_BASSES = {32: "Acoustic bass", 33: "Fingered bass", 34: "Picked bass", 35: "Fretless bass", 38: "Synth bass"}
_LEADS = {
    11: "Vibraphone", 21: "Accordion", 22: "Harmonica", 40: "Violin", 53: "Voice", 56: "Trumpet", 65: "Alto sax",
    66: "Tenor sax", 71: "Clarinet", 73: "Flute", 80: "Square lead",
}  # fmt: skip


def section_bars(phrase: int) -> int:
    """Bars of a section: the least multiple of the phrase that is 8 or more; 8 for phrase 0."""
    return -(-SECTION // phrase) * phrase if phrase else SECTION


def planted_share(form: str, phrase: int, offset: int) -> float:
    """Share of the pairs of bars `offset` ≥ 1 apart that are the same material; 0 where the piece is no longer than that.

    Counts what is composed; a fill or the last bar differs a little. This is the truth that a measured curve must follow.
    """
    section = section_bars(phrase)
    bars = [(x, b % phrase) if phrase else (x, b) for x in form for b in range(section)]
    pairs = list(zip(bars[offset:], bars, strict=False))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0


def check_options(form: str, phrase: int, meter: tuple[int, int]) -> None:
    """Raise MeloError for options that no piece has, or of which one would be without effect."""
    if not 1 <= len(form) <= MOST_SECTIONS or not all("A" <= x <= "Z" for x in form):
        raise MeloError(f"form {form[:40]!r}: give 1 to {MOST_SECTIONS} letters A-Z, one a section, as in --form AABA")
    if phrase != 0 and not 2 <= phrase <= MOST_PHRASE:
        raise MeloError(
            f"phrase {phrase}: give the bars after which a section's material recurs, 2 to {MOST_PHRASE}, or 0 for never"
        )
    if meter not in METERS:
        known = ", ".join(f"{n}/{d}" for n, d in METERS)
        raise MeloError(f"meter {meter[0]}/{meter[1]}: the band plays {known}; give one of them with --meter")
    repeats = len(set(form)) < len(form)
    if phrase == 0 and repeats:
        raise MeloError(
            f"form {form} repeats a letter, but with phrase 0 nothing recurs: give each section a letter of its own, "
            f"as in --form ABCD, or another phrase"
        )
    if phrase >= SECTION and not repeats:
        raise MeloError(
            f"phrase {phrase} fills a section, so it recurs only where a letter does, and form {form} repeats none: "
            f"give a form as AABA, or --phrase 4"
        )


def compose_piece(
    rng: np.random.Generator, *, form: str = "AABA", phrase: int = 4, meter: tuple[int, int] = (4, 4)
) -> Piece:
    """A piece for drums, bass, chords and lead, in this order.

    Args:
        form: a letter a section; the same letter is the same material, another letter new material in the same key.
        phrase: bars after which a section's material recurs; 0 for a piece in which nothing does.
        meter: time signature, one of METERS.

    Returns:
        len(form) × section_bars(phrase) bars, every onset on the grid of 12 steps a quarter, no empty bar in any part.

    Raises:
        MeloError: see check_options.
    """
    check_options(form, phrase, meter)
    band, parts, tempo = _band(rng, meter)
    section = section_bars(phrase)
    played = with_dynamics(rng, best_take(rng, band, form=form, phrase=phrase, section=section), form=form)
    ticks = TICKS_PER_QUARTER // STEPS_PER_QUARTER
    onset, duration, pitch, velocity, part = zip(
        *(
            ((b * band.feel.steps + h.step) * ticks, h.length * ticks, h.pitch, h.velocity, index)
            for b, bar in enumerate(played)
            for index, hits in enumerate(bar)
            for h in hits
        ),
        strict=True,
    )
    return Piece(
        parts=parts,
        notes=Notes.of(onset, duration, pitch, velocity, part),
        bars=Bars.of([(0, *meter)], TICKS_PER_QUARTER),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([float(tempo)]),
        end_tick=len(played) * band.feel.steps * ticks,
    )


def _band(rng: np.random.Generator, meter: tuple[int, int]) -> tuple[Band, tuple[Part, ...], int]:
    """Who plays, in which key and feel, and the tempo in quarter notes a minute."""
    swing = meter != (6, 8) and rng.random() < 0.35
    style = pick(rng, {"block": 3.0, "strum": 1.0 if swing else 3.0, "broken": 1.0 if swing else 2.0, "pad": 2.0})
    chords, bass, lead = (pick(rng, dict.fromkeys(table, 1.0)) for table in (_CHORDS[style], _BASSES, _LEADS))
    band = Band(
        key=BandKey(tonic=int(rng.integers(12)), minor=bool(rng.random() < 0.4)),
        feel=feel_of(meter, swing=swing),
        sevenths=bool(rng.random() < (0.8 if swing else 0.2)),
        comping=style,
        walking=meter != (6, 8) and bool(rng.random() < (0.6 if swing else 0.1)),
        lead_centre=int(rng.integers(66, 72)),
    )
    parts = (
        Part(program=0, is_drum=True, name="Drums"),
        Part(program=bass, is_drum=False, name=_BASSES[bass]),
        Part(program=chords, is_drum=False, name=_CHORDS[style][chords]),
        Part(program=lead, is_drum=False, name=_LEADS[lead]),
    )
    return band, parts, int(rng.integers(96, 161) if swing else rng.integers(70, 151))


def compose_corpus(
    folder: Path,
    *,
    pieces: int,
    seed: int,
    form: str = "AABA",
    phrase: int = 4,
    meter: tuple[int, int] = (4, 4),
    on_file: Callable[[], None] = lambda: None,
) -> bool:
    """Write FOLDER/00000.mid and so on, and ORIGIN.json with the options; True when written, False when all was there.

    File i depends on the seed, i, and the form, phrase and meter, never on how many are written. Files of an earlier corpus
    of this kind are replaced, those it had more are removed.

    Raises:
        MeloError: see is_composed.
    """
    if is_composed(folder, pieces=pieces, seed=seed, form=form, phrase=phrase, meter=meter):
        return False
    about = _about(seed, form, phrase, meter)
    _write_origin(folder, about | {"pieces": 0})  # so that a run that is stopped is not taken for done
    names = _names(pieces)
    for path in folder.glob("*.mid"):
        if path.name not in names:
            path.unlink()
    for i, name in enumerate(names):
        piece = compose_piece(np.random.default_rng([seed, i]), form=form, phrase=phrase, meter=meter)
        write_midi(piece, folder / name)
        on_file()
    _write_origin(folder, about | {"pieces": pieces})
    return True


def is_composed(folder: Path, *, pieces: int, seed: int, form: str, phrase: int, meter: tuple[int, int]) -> bool:
    """Whether a folder holds exactly this corpus already.

    Raises:
        MeloError: see check_options; pieces or seed out of range; the folder holds MIDI files that are not of this kind.
    """
    check_options(form, phrase, meter)
    if not 1 <= pieces <= MOST_PIECES:
        raise MeloError(f"pieces {pieces}: give a number from 1 to {MOST_PIECES}")
    if not 0 <= seed < 1 << 63:
        raise MeloError(f"seed {seed}: give a number from 0 to 2^63 - 1")
    origin = folder / ORIGIN
    before = read_json(origin, what="corpus origin") if origin.is_file() else None
    about = _about(seed, form, phrase, meter)
    ours = isinstance(before, dict) and before.get("source") == about["source"]
    found = sorted(p.name for p in folder.glob("*.mid"))
    foreign = [n for n in found if not (ours and _OUR_NAME.fullmatch(n))]
    if foreign:
        raise MeloError(
            f"{folder}: holds MIDI files of another origin, such as {foreign[0]}; name an empty or a new folder"
        )
    return before == about | {"pieces": pieces} and found == list(_names(pieces))


_OUR_NAME = re.compile(r"[0-9]{5}\.mid")


def _names(pieces: int) -> dict[str, None]:
    """Names of files in order; five digits hold MOST_PIECES."""
    return dict.fromkeys(f"{i:05d}.mid" for i in range(pieces))


def _about(seed: int, form: str, phrase: int, meter: tuple[int, int]) -> dict[str, int | str]:
    """What the files depend on. NumPy is in it because a generator's numbers may change between its versions."""
    return {
        "source": "meloctl corpus compose",
        "composer": COMPOSER,
        "numpy": np.__version__,
        "seed": seed,
        "form": form,
        "phrase": phrase,
        "meter": f"{meter[0]}/{meter[1]}",
        "bars": len(form) * section_bars(phrase),
    }


def _write_origin(folder: Path, about: dict[str, int | str]) -> None:
    atomic_write_text(folder / ORIGIN, json.dumps(about, indent=1) + "\n")
