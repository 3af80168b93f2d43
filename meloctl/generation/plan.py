"""What `meloctl generate` will do: options → a plan, with the prompt or the infill that its files hold."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from analysis.errors import MeloError
from analysis.midi import MidiSource, read_source
from analysis.reading import READER
from meloctl.formatting import capitalised, count
from meloctl.generation.constraints import Constraints, check_bars
from meloctl.generation.continuation import Prompt, encode_prompt
from meloctl.generation.edit_messages import container_messages, kept_messages
from meloctl.generation.infill import Infill, encode_infill
from meloctl.generation.new_bars import count_bars
from meloctl.generation.options import GenerateOptions, Sampling
from meloctl.generation.parse_options import parse_bars_range, parse_constraints, parse_infill_parts
from meloctl.generation.steering import AskedMusic, SteeredBars, Steering, asked_music, like_music
from meloctl.model.checkpoint import read_description
from meloctl.plans.planned_model import check_planned
from meloctl.rows.codec import Rows, encode
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.parts import PartId, part_ids
from meloctl.rows.vocabulary import Vocabulary, default_vocabulary
from meloctl.score.editing import with_new_parts
from meloctl.score.note_channels import check_new_parts
from meloctl.score.soundfont import find_soundfont
from meloctl.threads import DECODING_THREADS
from meloctl.weights.default_weights import CARD, chosen_model, is_default, model_label
from meloctl.workspace import Recipe, Workspace, file_hash


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerationPlan:
    """Pieces to be generated."""

    recipe: Recipe
    model_folder: Path
    model_name: str
    """For people."""

    source: Prompt | Infill | None
    """What the new notes join: a prompt before them, a piece around them, or nothing."""

    constraints: Constraints
    """What new bars must be; of an infill only the key."""

    steering: Steering | None
    """What the new bars should be like, if that is said."""

    sampling: Sampling
    seeds: range
    sound: str
    """One of SOUNDS."""

    soundfont: Path | None
    """What to render with; None where there is no sound."""

    messages: tuple[str, ...]
    """What the user should know."""

    threads: int = DECODING_THREADS
    """That read prompts and write rows."""

    @property
    def steered(self) -> SteeredBars:
        """The new bars of each piece."""
        return _new_bars(self.source, self.constraints)

    @property
    def new_bars(self) -> int:
        """Bars to be written of all pieces, as rows count them."""
        return self.steered.bars * len(self.seeds)


def plan_generation(space: Workspace, options: GenerateOptions) -> GenerationPlan:
    """What `meloctl generate` will do; nothing is written.

    Raises:
        MeloError: an option names nothing or is out of range, a file cannot be used, there is no model yet or it cannot do
            infill, or there is no soundfont.
    """
    vocabulary = default_vocabulary()
    like = None if options.like is None else _read_like(options.like, vocabulary)
    if like is not None and options.infill is None and options.bars is None:
        options = replace(options, bars=count_bars(like, vocabulary))
    constraints = parse_constraints(options, vocabulary)
    source = _read_source(options, constraints, vocabulary)
    if isinstance(source, Prompt):
        check_bars(constraints.bars, source.row_bars)
    model = chosen_model(space, options.model)
    if options.infill and not read_description(model).infill:
        raise MeloError(
            f"{model} was not trained with infill; train one that is: meloctl train, without `infill 0`", field="infill"
        )
    where, weights = _new_bars(source, constraints), file_hash(model / "model.safetensors")
    steering = _steering(space, options, model, weights, like, where, vocabulary)
    return GenerationPlan(
        recipe=_recipe(options, model, weights, steering),
        model_folder=model,
        model_name=model_label(model),
        source=source,
        constraints=constraints,
        steering=steering,
        threads=options.threads or DECODING_THREADS,
        sampling=options.sampling,
        seeds=range(options.seed, options.seed + options.count),
        sound=options.sound,
        soundfont=find_soundfont() if options.sound != "none" else None,
        messages=(
            *_model_messages(space, options, model),
            *_messages(source, vocabulary),
            *_steering_messages(steering, where, vocabulary),
        ),
    )


def _new_bars(source: Prompt | Infill | None, constraints: Constraints) -> SteeredBars:
    """The new bars, as rows count them."""
    if isinstance(source, Infill):
        return SteeredBars(first=source.row_bars.start, bars=len(source.row_bars), piece_bars=len(source.bar_tick) - 1)
    before = source.row_bars if source else 0
    return SteeredBars(first=before, bars=constraints.bars, piece_bars=before + constraints.bars)


def _read_like(path: Path, vocabulary: Vocabulary) -> Rows:
    """(L, F) rows of the file that new bars are to be like."""
    source = _read("like", path)
    return encode(source.piece, vocabulary)[0]


def _steering(
    space: Workspace,
    options: GenerateOptions,
    model: Path,
    weights: str,
    like: Rows | None,
    where: SteeredBars,
    vocabulary: Vocabulary,
) -> Steering | None:
    """What steers the new bars. Raises MeloError where the model has no plans, and as `asked_music` says."""
    if options.like is None and not options.text:
        return None
    check_planned(read_description(model), model, field="text" if options.text else "like")
    if options.like is not None and like is not None:
        from_bar = where.first if options.infill else 0
        return like_music(options.like.name, like, vocabulary, from_bar=from_bar)
    return asked_music(
        space,
        options.text,
        where,
        model_weights=weights,
        encoder=options.encoder,
        strength=1.0 if options.text_strength is None else options.text_strength,
    )


def _steering_messages(steering: Steering | None, where: SteeredBars, vocabulary: Vocabulary) -> tuple[str, ...]:
    """What was understood of texts; and which bars have a plan, where a piece is longer or shorter than what is written."""
    if isinstance(steering, AskedMusic):
        return tuple(capitalised(line) for line in steering.course.lines)
    if steering is None:
        return ()
    bars = count_bars(steering.rows, vocabulary)
    if bars < where.bars:
        return (f"{steering.file} ends after {count(bars, 'bar')} of the {where.bars} to write; those behind are free",)
    return (f"{steering.file} has {bars - where.bars:,} more, left out",) if bars > where.bars else ()


def _read_source(options: GenerateOptions, constraints: Constraints, vocabulary: Vocabulary) -> Prompt | Infill | None:
    """What new notes join, read from the file that the options name."""
    if options.prompt is not None:
        source = _read("prompt", options.prompt)
        with _naming("prompt", options.prompt):
            prompt = encode_prompt(source, options.keep_bars, vocabulary)
            _check_channels(source, constraints.parts or (), vocabulary)
        return prompt
    if options.infill is None:
        return None
    source = _read("infill", options.infill)
    bars = None if options.bars_range is None else parse_bars_range(options.bars_range, source.piece.n_bars)
    parts = None if options.parts is None else parse_infill_parts(options.parts, source.piece, vocabulary)
    with _naming("infill", options.infill):
        infill = encode_infill(source, bars, parts, vocabulary)
        _check_channels(source, infill.parts, vocabulary)
    return infill


def _read(option: str, path: Path) -> MidiSource:
    with _naming(option, path):
        return read_source(path)


@contextmanager
def _naming(option: str, path: Path) -> Iterator[None]:
    """Errors about a file name the option and the file, unless they name an option already."""
    try:
        yield
    except MeloError as error:
        if error.field is not None:
            raise
        raise MeloError(str(error), field=option, given=path) from error


def _check_channels(source: MidiSource, ids: Sequence[PartId], vocabulary: Vocabulary) -> None:
    """Raises MeloError where new parts of `ids` have no free channel in a file."""
    parts, _ = with_new_parts(source.piece.parts, ids, vocabulary)
    check_new_parts(source, parts[len(source.piece.parts) :])


def _recipe(options: GenerateOptions, model: Path, weights: str, steering: Steering | None) -> Recipe:
    files = {"prompt": options.prompt, "infill": options.infill, "like": options.like}
    given = asdict(options if options.infill else replace(options, bars=options.new_bars))
    del given["model"]  # its weights are an input
    sampling, paths = given.pop("sampling"), {name: str(path) if path else None for name, path in files.items()}
    pieces = f"-{options.count}pieces" if options.count > 1 else ""
    what = f"infill-{options.infill.stem[:40]}" if options.infill else f"{options.new_bars}bars"
    return Recipe(
        stage="out",
        command="generate",
        inputs={
            "model": model_label(model),
            "weights": weights,
            "reader": READER,
            **{name: file_hash(path) for name, path in files.items() if path},
            **({} if steering is None else steering.inputs()),
        },
        options={**given, **sampling, **paths},
        label=f"{model_label(model)}-seed{options.seed}-{what}{pieces}",
    )


def _model_messages(space: Workspace, options: GenerateOptions, model: Path) -> tuple[str, ...]:
    """That the weights that come with meloctl stand in for a model of the workspace."""
    if options.model is not None or not is_default(model):
        return ()
    what = f"writing with the weights that came with meloctl, {model_label(model)}"
    return (f"No model in {space.root}/ yet: {what}; card: {model / CARD}",)


def _messages(source: Prompt | Infill | None, vocabulary: Vocabulary) -> tuple[str, ...]:
    """What the user should know of the file that new notes join."""
    if source is None:
        return ()
    wrapper, bars = source.kept.source.wrapper, source.bars if isinstance(source, Prompt) else None
    new = _new_part_messages(source, vocabulary) if isinstance(source, Infill) else ()
    return (*container_messages(wrapper), *kept_messages(source.kept, bars), *new)


def _new_part_messages(infill: Infill, vocabulary: Vocabulary) -> tuple[str, ...]:
    """That parts are new to the piece."""
    ids = set(part_ids(infill.piece.parts, vocabulary))
    new = [instrument_name(*vocabulary.program_of(part[0])) for part in infill.parts if part not in ids]
    if not new:
        return ()
    return (f"The file has no {', no '.join(new)}: added as {'a new part' if len(new) == 1 else 'new parts'}",)
