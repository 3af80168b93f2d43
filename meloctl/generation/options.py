"""What `meloctl generate` was asked for, checked: from nothing, on from a prompt, or into a gap of a piece."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.piece import Piece
from meloctl.generation.continuation import Prompt, prompt_of
from meloctl.generation.infill import Infill, infill_of
from meloctl.generation.parse_infill import bars_of, gap_parts_of
from meloctl.generation.parse_options import parts_of, tempo_of, time_signature_of
from meloctl.generation.piece_writer import MOST_BARS, MOST_PARTS, MOST_PITCHED, Constraints
from meloctl.generation.sampler import Sampling
from meloctl.model.checkpoint import read_about
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.parts import part_fields
from meloctl.rows.vocabulary import Vocabulary, default_vocabulary
from meloctl.score.key import Key, key_of
from meloctl.score.soundfont import find_soundfont
from meloctl.workspace import Recipe, Workspace, file_hash

BARS = 32
"""New bars, where nothing else is asked for."""

MOST_PIECES = 1000
SOUNDS = ("wav", "flac", "none")
"""What a piece's sound may be written as."""


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """The options of `meloctl generate`; None where nothing was said."""

    bars: int | None = None
    seed: int = 0
    count: int = 1
    instruments: str | None = None
    meter: str | None = None
    tempo: float | None = None
    key: str | None = None
    prompt: Path | None = None
    """A MIDI file whose first bars are kept; the new bars come behind them."""

    keep_bars: int | None = None
    """How many of them; None keeps all."""

    infill: Path | None = None
    """A MIDI file of which something is written anew."""

    bars_range: str | None = None
    """These bars of it; None for all."""

    parts: str | None = None
    """These parts of it; None for all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PiecePlan:
    """Pieces to be written."""

    recipe: Recipe
    model_folder: Path
    source: Constraints | Infill
    """What each piece should be: of new bars, or of a piece with a gap."""

    prompt: Prompt | None
    """What it goes on from; None from nothing, or into a gap."""

    key: Key | None
    sampling: Sampling
    seeds: range
    sound: str
    """One of SOUNDS."""

    soundfont: Path | None
    """What to render with; None where there is no sound."""

    notes: tuple[str, ...]
    """What the user should know."""

    @property
    def new_bars(self) -> int:
        """To be written of each piece, as rows count them."""
        if isinstance(self.source, Infill):
            return len(self.source.row_bars)
        return self.source.bars - (self.prompt.row_bars if self.prompt else 0)


def plan_piece(space: Workspace, asked: GenerateOptions, sampling: Sampling, *, sound: str) -> PiecePlan:
    """What `meloctl generate` will do; nothing is written.

    Raises:
        MeloError: something asked for is out of range or contradicts something else, there is no model yet, it cannot do what is
            asked for, or there is no soundfont.
    """
    if not 0 <= asked.seed < 1 << 63:
        raise MeloError(f"--seed {asked.seed}: give a whole number, 0 or more")
    if sound not in SOUNDS:
        raise MeloError(f"--sound {sound[:20]!r}: give wav, flac or none")
    if not 1 <= asked.count <= MOST_PIECES:
        raise MeloError(f"--count {asked.count}: give how many pieces to write, 1 to {MOST_PIECES}")
    vocabulary = default_vocabulary()
    key = None if asked.key is None else key_of(asked.key)
    infill = _infill(asked, vocabulary)
    prompt = _prompt(asked, vocabulary)
    wish = None if infill else _wish(asked, prompt.row_bars if prompt else 0, key, vocabulary)
    model = space.latest("model").folder
    if infill and not read_about(model).infill:
        raise MeloError(
            f"--infill: {model} was not trained to fill gaps; train a model that was: meloctl train, without --infill 0"
        )
    asked = asked if infill else replace(asked, bars=asked.bars or BARS)
    return PiecePlan(
        recipe=_recipe(asked, sampling, sound, model),
        model_folder=model,
        source=infill or wish,  # type: ignore[arg-type]
        prompt=prompt,
        key=key,
        sampling=sampling,
        seeds=range(asked.seed, asked.seed + asked.count),
        sound=sound,
        soundfont=find_soundfont() if sound != "none" else None,
        notes=_notes(infill, vocabulary) if infill else (),
    )


def _recipe(asked: GenerateOptions, sampling: Sampling, sound: str, model: Path) -> Recipe:
    files = {"prompt": asked.prompt, "infill": asked.infill}
    told: dict[str, Any] = {name: str(path) if path else None for name, path in files.items()}
    pieces = f"-{asked.count}pieces" if asked.count > 1 else ""
    what = f"infill-{asked.infill.stem[:40]}" if asked.infill else f"{asked.bars}bars"
    return Recipe(
        stage="out",
        command="generate",
        inputs={
            "model": model.name,
            "weights": file_hash(model / "model.safetensors"),
            **{name: file_hash(path) for name, path in files.items() if path},
        },
        options={**asdict(asked), **told, **asdict(sampling), "sound": sound},
        label=f"{model.name}-seed{asked.seed}-{what}{pieces}",
    )


def _infill(asked: GenerateOptions, vocabulary: Vocabulary) -> Infill | None:
    if asked.infill is None:
        for option, said in (("--bars-range", asked.bars_range), ("--parts", asked.parts)):
            if said is not None:
                raise MeloError(f"{option} says what of a piece is written anew; give the piece too: --infill FILE")
        return None
    others = {"bars": asked.bars, "instruments": asked.instruments, "meter": asked.meter, "tempo": asked.tempo}
    for option, value in {**others, "prompt": asked.prompt, "keep-bars": asked.keep_bars}.items():
        if value is not None:
            raise MeloError(
                f"--{option} does not go with --infill, which keeps the bars of its file as they are; leave it out"
            )
    if asked.bars_range is None and asked.parts is None:
        raise MeloError("--infill: say what is to be written anew: --bars-range 9:16, --parts bass, or both")
    piece = _read(asked.infill, "--infill")
    infill = infill_of(
        piece,
        None if asked.bars_range is None else bars_of(asked.bars_range, piece.n_bars),
        None if asked.parts is None else gap_parts_of(asked.parts, piece, vocabulary),
        vocabulary,
    )
    every = {*zip(*(x.tolist() for x in part_fields(piece.parts, vocabulary)), strict=True), *infill.parts}
    _check_parts([instrument == vocabulary.drums for instrument, _ in every], asked.infill)
    return infill


def _prompt(asked: GenerateOptions, vocabulary: Vocabulary) -> Prompt | None:
    if asked.prompt is None:
        if asked.keep_bars is not None:
            raise MeloError("--keep-bars says how much of a prompt is kept; give the prompt too: --prompt FILE")
        return None
    prompt = prompt_of(_read(asked.prompt, "--prompt"), asked.keep_bars, vocabulary)
    _check_parts([part.is_drum for part in prompt.piece.parts], asked.prompt)
    return prompt


def _read(path: Path, option: str) -> Piece:
    try:
        return read_midi(path)
    except MeloError as error:
        raise MeloError(f"{option} {path}: {error}") from error


def _check_parts(drums: list[bool], path: Path) -> None:
    """Raises MeloError for more parts, or more pitched ones, than MIDI has channels for."""
    if len(drums) > MOST_PARTS or drums.count(False) > MOST_PITCHED:
        raise MeloError(f"{path}: {len(drums)} parts; MIDI has room for {MOST_PITCHED} and drums: give fewer")


def _wish(asked: GenerateOptions, given: int, key: Key | None, vocabulary: Vocabulary) -> Constraints:
    """What the whole piece should be, with the bars of a prompt, as rows count them."""
    bars = BARS if asked.bars is None else asked.bars
    if not 1 <= bars <= MOST_BARS - given:
        raise MeloError(f"--bars {bars}: give a whole number of bars, 1 to {MOST_BARS - given}")
    return Constraints(
        bars=given + bars,
        parts=None if asked.instruments is None else parts_of(asked.instruments, vocabulary),
        time_signature=None if asked.meter is None else time_signature_of(asked.meter, vocabulary),
        tempo=None if asked.tempo is None else tempo_of(asked.tempo, vocabulary),
        key=key,
    )


def _notes(infill: Infill, vocabulary: Vocabulary) -> tuple[str, ...]:
    """That parts are new to the piece."""
    having = set(zip(*(x.tolist() for x in part_fields(infill.piece.parts, vocabulary)), strict=True))
    new = [instrument_name(*vocabulary.program_of(i)) for i, n in infill.parts if (i, n) not in having]
    return (
        (f"The file has no {', no '.join(new)}: added as {'a new part' if len(new) == 1 else 'new parts'}",)
        if new
        else ()
    )
