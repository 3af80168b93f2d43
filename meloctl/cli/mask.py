"""meloctl derive-mask: from measured similarity to an attention mask, with reasons. meloctl mask: masks compared and drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meloctl.cli.common import Json, Work, command, following, progress, report, workspace, wrote

if TYPE_CHECKING:
    from meloctl.masking.rules import Derivation
    from meloctl.workspace import Run, Workspace

app = typer.Typer(help="Masks side by side, and drawn.", no_args_is_help=True, rich_markup_mode=None)

Table = Annotated[
    Path | None,
    typer.Option("--table", help="A table of offsets (default: the latest of meloctl stats).", show_default=False),
]
Corpus = Annotated[
    Path | None,
    typer.Option(
        "--corpus", help="MIDI in which rows are counted (default: what the table was measured on).", show_default=False
    ),
]
Drums = Annotated[
    str | None,
    typer.Option(
        "--drums",
        help="masked, or exempt: drums and other parts see each other at every earlier bar (default: masked).",
        show_default=False,
    ),
]

Far = Annotated[
    int | None,
    typer.Option("--far", help="seed: how many far offsets to show across parts (default: 1).", show_default=False),
]
Share = Annotated[
    float | None,
    typer.Option("--share", help="budget: share of dense causal work to spend (default: 0.3).", show_default=False),
]
Bars = Annotated[int | None, typer.Option("--bars", help="window: how many earlier bars to see.", show_default=False)]
Seed = Annotated[int | None, typer.Option("--seed", help="random: of the draw (default: 0).", show_default=False)]
FromModel = Annotated[
    Path | None,
    typer.Option(
        "--from-model",
        help="Read out the gates of a run of meloctl train --gates, by its folder, instead of a rule.",
        show_default=False,
    ),
]
Like = Annotated[
    Path | None,
    typer.Option("--like", help="random: a mask whose cost to meet (default: the seed rule's).", show_default=False),
]


def derive_mask(
    table: Table = None,
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule",
            help="seed (the research diary's; the default), budget, museformer, window, causal or random.",
            show_default=False,
        ),
    ] = None,
    from_model: FromModel = None,
    far: Far = None,
    share: Share = None,
    bars: Bars = None,
    seed: Seed = None,
    like: Like = None,
    drums: Drums = None,
    corpus: Corpus = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Derive an attention mask from measured similarity, with a reason for each choice; or read out what a model learned.

    Example: meloctl derive-mask

    Example: meloctl derive-mask --rule budget --share 0.3

    Example: meloctl derive-mask --from-model melo/model/tiny-1a2b3c4d
    """
    from analysis.errors import MeloError
    from masks.describe import describe_mask, reach
    from masks.spec import MaskSpec
    from meloctl.masking.rules import RuleOptions, plan_derivation

    space = workspace(work)
    told = RuleOptions(far=far, share=share, bars=bars, seed=seed, like=like, drums=drums, corpus=corpus)
    if from_model is None:
        path = table or space.latest("stats").folder / "offsets.json"
        run, said = _derived(space, plan_derivation(rule or "seed", told, path, named=table is not None))
    elif rule or table or told != RuleOptions():
        raise MeloError(
            "--from-model reads out what a model learned: it takes no rule, no table and no option of a rule"
        )
    else:
        run, said = _read_out(space, from_model)
    spec = MaskSpec.from_json(run.manifest_value("results", "mask"))
    one, two = reach(spec, 1), reach(spec, 2)
    heard = (
        f"Of offsets 0 to 32, a row sees {len(one['same'])} in its own part and {len(one['cross'])} in others; "
        f"through two layers it hears {len(two['same'])} and {len(two['cross'])}, without summaries."
    )
    lines = [
        describe_mask(spec),
        *(f"  {reason}" for reason in spec.reasons),
        heard,
        said,
        following("train", work=work),
        f"To look at it: {command('mask show', work=work)}; beside other rules: {command('mask compare', work=work)}; "
        f"all in one page: {command('report', work=work)}",
    ]
    report(lines, spec.to_json(), as_json=as_json)


def _derived(space: "Workspace", derivation: "Derivation") -> tuple["Run", str]:
    """The finished run of a rule, made if it is not there yet, and what to say of it."""
    from analysis.atomic_write import atomic_write_text
    from masks.mask_picture import draw_mask
    from masks.spec import spec_text

    if run := space.finished(derivation.recipe):
        return run, f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    folder, spec = space.folder(derivation.recipe), derivation.make()
    atomic_write_text(folder / "mask.json", spec_text(spec))
    draw_mask(spec, folder / "mask.png")
    files = ["mask.json", "mask.png"]
    run = space.finish(derivation.recipe, files=files, results={"mask": spec.to_json()})
    return run, wrote(folder, files)


def _read_out(space: "Workspace", model: Path) -> tuple["Run", str]:
    """The same for the gates of a model, with a picture of prior against learned."""
    from analysis.atomic_write import atomic_write_text
    from masks.mask_picture import draw_gates, draw_mask
    from masks.spec import spec_text
    from meloctl.masking.from_model import learned_recipe, learned_spec, read_gates

    gates, recipe = read_gates(model), learned_recipe(model)
    if run := space.finished(recipe):
        return run, f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    folder, spec = space.folder(recipe), learned_spec(gates, model)
    atomic_write_text(folder / "mask.json", spec_text(spec))
    draw_mask(spec, folder / "mask.png")
    draw_gates(gates, folder / "gates.png")
    files = ["mask.json", "mask.png", "gates.png"]
    run = space.finish(recipe, files=files, results={"mask": spec.to_json(), "gates": gates.to_json()})
    return run, wrote(folder, files)


@app.callback()
def _group() -> None:
    """Masks side by side, and drawn."""


@app.command()
def compare(
    masks: Annotated[
        list[Path] | None, typer.Argument(help="Mask files to compare with the rules.", show_default=False)
    ] = None,
    table: Table = None,
    corpus: Corpus = None,
    pieces: Annotated[int, typer.Option("--pieces", help="How many pieces of the corpus to take, by lot.")] = 20,
    drums: Drums = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Compare the masks of all rules on pieces of the corpus.

    Those of budget, window and random are made to cost what the seed rule's costs. random is the mean of five draws.

    Example: meloctl mask compare

    Example: meloctl mask compare melo/mask/*/mask.json --pieces 50
    """
    import numpy as np

    from analysis.errors import MeloError
    from analysis.offset_table_file import read_curves
    from masks.cost.compare_masks import compare_masks, conclusion, rules_to_compare, table_lines
    from masks.spec import read_spec
    from meloctl.masking.rules import check_drums, costed_corpus

    if not 1 <= pieces <= 10_000:
        raise MeloError(f"--pieces {pieces}: give how many pieces to take, 1 to 10000")
    given = {str(path): [read_spec(path)] for path in masks or []}
    exempt = check_drums(drums)
    path = table or workspace(work).latest("stats").folder / "offsets.json"
    curves = read_curves(path)
    counted = costed_corpus(path, corpus)
    rows = counted.read(pieces)
    rules = rules_to_compare(curves, rows, random=np.random.default_rng(0), drums=exempt)
    everything = {**rules, **given}
    with progress() as reporter:
        reporter.stage("comparing", sum(map(len, everything.values())))
        standings = compare_masks(everything, curves, rows, on_mask=reporter.advance)
    said = conclusion(standings)
    heading = f"{len(rows)} of {len(counted.paths)} pieces of {counted.corpus}, similarity {curves.measure} from {path}"
    report(
        [heading, *table_lines(standings), said],
        {
            "corpus": str(counted.corpus),
            "pieces": len(rows),
            "table": curves.table_hash,
            "measure": curves.measure,
            "masks": [{**s.to_json(), "specs": [m.to_json() for m in everything[s.name]]} for s in standings],
            "conclusion": said,
        },
        as_json=as_json,
    )


@app.command()
def show(
    mask: Annotated[
        Path | None,
        typer.Argument(help="A mask file (default: the latest of meloctl derive-mask).", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The picture, a .png file (default: in the workspace).", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Draw a mask, and say in words what it shows.

    Example: meloctl mask show --out mask.png
    """
    from analysis.errors import MeloError
    from masks.describe import describe_mask
    from masks.mask_picture import draw_mask
    from masks.spec import read_spec

    if out and (out.suffix.lower() != ".png" or out.is_dir()):
        raise MeloError(f"--out {out}: give a file whose name ends in .png")
    space = workspace(work)
    path = mask or space.latest("mask").folder / "mask.json"
    spec = read_spec(path)
    name = path.parent.name if path.name == "mask.json" and path.parent.name else path.stem
    picture = out or space.root / "mask" / f"{name}.png"
    draw_mask(spec, picture)
    lines = [f"{path}:", describe_mask(spec), *(f"  {reason}" for reason in spec.reasons), f"Wrote {picture}"]
    report(lines, {"path": str(picture), "words": describe_mask(spec), "mask": spec.to_json()}, as_json=as_json)
