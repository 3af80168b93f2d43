"""meloctl derive-mask: measured similarity → attention mask, with reasons. meloctl mask: compare masks, or draw one."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, command, following, importing, outcome, progress, report, workspace

app = typer.Typer(help="Compare masks, or draw one.", no_args_is_help=True, rich_markup_mode=None)

Table = Annotated[
    Path | None,
    typer.Option("--table", help="An offsets.json file (default: the latest of meloctl stats).", show_default=False),
]
Corpus = Annotated[
    Path | None,
    typer.Option(
        "--corpus",
        help="MIDI on which the density of masks is measured (default: the corpus of the table).",
        show_default=False,
    ),
]
Drums = Annotated[
    str | None,
    typer.Option(
        "--drums",
        help="masked: drums are parts like any other; exempt: drums and other parts attend to each other at every offset "
        "(default: masked).",
        show_default=False,
    ),
]

Far = Annotated[
    int | None,
    typer.Option("--far", help="Rule seed: number of far offsets shown across parts (default: 1).", show_default=False),
]
Share = Annotated[
    float | None,
    typer.Option(
        "--share",
        help="Rule budget: density of the mask, as a share of dense causal attention, 0 to 1 (default: 0.3).",
        show_default=False,
    ),
]
Bars = Annotated[
    int | None,
    typer.Option("--bars", help="Rule window, which needs it: number of earlier bars shown.", show_default=False),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Rule random: random seed of the offsets (default: 0).", show_default=False)
]
FromModel = Annotated[
    Path | None,
    typer.Option(
        "--from-model",
        help="Derive the mask from the gates that a run of meloctl train --gates learned, instead of by a rule; its folder.",
        show_default=False,
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like",
        help="Rule random: a mask file whose density to match (default: the seed rule's mask).",
        show_default=False,
    ),
]


def derive_mask(
    table: Table = None,
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule",
            help="seed, budget, museformer, window, causal or random (default: seed).",
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
    """Derive an attention mask from measured similarity, with a reason for each choice, or from the gates of a model.

    Example: meloctl derive-mask

    Example: meloctl derive-mask --rule budget --share 0.3

    Example: meloctl derive-mask --from-model melo/model/tiny-1a2b3c4d
    """
    with importing():
        from meloctl.masking.rules import RuleOptions
        from meloctl.masking.session import DeriveOptions, derive_mask_run, mask_lines, mask_of_run

    rule_options = RuleOptions(far=far, share=share, bars=bars, seed=seed, like=like, drums=drums, corpus=corpus)
    options = DeriveOptions(rule=rule, table=table, from_model=from_model, rule_options=rule_options)
    with progress() as reporter:
        run = derive_mask_run(workspace(work), options, progress=reporter)
    spec = mask_of_run(run)
    lines = [
        *mask_lines(spec),
        outcome(run),
        following("train", work=work),
        f"To look at it: {command('mask show', work=work)}; beside other rules: {command('mask compare', work=work)}; "
        f"all in one page: {command('report', work=work)}",
    ]
    report(lines, spec.to_json(), as_json=as_json)


@app.callback()
def _group() -> None:
    """Compare masks, or draw one."""


@app.command()
def compare(
    masks: Annotated[
        list[Path] | None,
        typer.Argument(help="Mask files to compare with the masks of all rules (default: none).", show_default=False),
    ] = None,
    table: Table = None,
    corpus: Corpus = None,
    pieces: Annotated[int, typer.Option("--pieces", help="Number of pieces to sample from the corpus.")] = 20,
    drums: Drums = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Compare the masks of all rules on pieces of the corpus.

    The masks of budget, window and random have the density of the seed rule's mask; random is the mean of five.

    Example: meloctl mask compare

    Example: meloctl mask compare melo/mask/*/mask.json --pieces 50
    """
    from meloctl.masking.session import MaskCompareOptions, compare_on_corpus, latest_table

    options = MaskCompareOptions(
        masks=tuple(masks or ()),
        table=table or latest_table(workspace(work)),
        corpus=corpus,
        pieces=pieces,
        drums=drums,
    )
    with progress() as reporter:
        comparison = compare_on_corpus(options, progress=reporter)
    report(comparison.lines(), comparison.to_json(), as_json=as_json)


@app.command()
def show(
    mask: Annotated[
        Path | None,
        typer.Argument(help="A mask file (default: the latest of meloctl derive-mask).", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Where to write the picture, a .png file (default: in the workspace).", show_default=False
        ),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Draw a mask, and describe it in words.

    Example: meloctl mask show --out mask.png
    """
    from analysis.errors import MeloError
    from masks.describe import describe_mask
    from masks.mask_picture import draw_mask
    from masks.spec import MaskSpec

    if out and (out.suffix.lower() != ".png" or out.is_dir()):
        raise MeloError("give a file whose name ends in .png", field="out", given=out)
    space = workspace(work)
    path = mask or space.latest("mask").folder / "mask.json"
    spec = MaskSpec.read(path)
    name = path.parent.name if path.name == "mask.json" and path.parent.name else path.stem
    picture = out or space.root / "mask" / f"{name}.png"
    draw_mask(spec, picture)
    lines = [f"{path}:", describe_mask(spec), *(f"  {reason}" for reason in spec.reasons), f"Wrote {picture}"]
    report(lines, {"path": str(picture), "words": describe_mask(spec), "mask": spec.to_json()}, as_json=as_json)
