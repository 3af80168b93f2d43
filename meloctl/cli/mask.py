"""meloctl derive-mask: from measured similarity to an attention mask, with reasons."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, report, workspace, wrote


def derive_mask(
    table: Annotated[
        Path | None,
        typer.Option("--table", help="A table of offsets (default: the latest of meloctl stats).", show_default=False),
    ] = None,
    far: Annotated[int, typer.Option("--far", help="How many far offsets to show across parts.")] = 1,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Derive an attention mask from measured similarity, with a reason for each choice.

    Example: meloctl derive-mask
    """
    from analysis.atomic import write_text
    from analysis.curves import read_curves
    from analysis.errors import MeloError
    from masks.derive import derive_mask as derive
    from masks.describe import in_words, reach
    from masks.picture import draw_mask
    from masks.spec import MaskSpec, spec_text
    from meloctl import __version__
    from meloctl.workspace import Recipe

    if not 0 <= far <= 32:
        raise MeloError(f"--far {far}: give how many far offsets to show, 0 to 32")
    space = workspace(work)
    path = table or space.latest("stats").folder / "offsets.json"
    curves = read_curves(path)
    name = table.stem if table else path.parent.name
    recipe = Recipe(
        stage="mask",
        command="derive-mask",
        inputs={"table": str(path.resolve()), "numbers": curves.table_hash},
        options={"rule": "seed", "far": far},
        label=name.rsplit("-", 1)[0] if not table else name,
    )
    run = space.finished(recipe)
    folder = space.folder(recipe)
    if not run:
        spec = derive(curves, n_far=far, version=__version__, corpus=name)
        write_text(folder / "mask.json", spec_text(spec))
        draw_mask(spec, folder / "mask.png")
        files = ["mask.json", "mask.png"]
        run = space.finish(recipe, files=files, results={"mask": spec.to_json()})
        said = wrote(folder, files)
    else:
        said = f"Unchanged since {run.time}, nothing redone: {folder}/"
    spec = MaskSpec.from_json(run.told("results", "mask"))
    one, two = reach(spec, 1), reach(spec, 2)
    lines = [
        in_words(spec),
        *(f"  {reason}" for reason in spec.reasons),
        f"Of offsets 0 to 32, a row sees {len(one['same'])} in its own part and {len(one['cross'])} in others; "
        f"through two layers it hears {len(two['same'])} and {len(two['cross'])}, without summaries.",
        said,
        "Next: meloctl train",
    ]
    report(lines, spec.to_json(), as_json=as_json)
