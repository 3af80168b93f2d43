"""What `meloctl derive-mask --from-model` does: the gates that a training run learned, as a mask."""

from dataclasses import replace
from pathlib import Path

from analysis.errors import MeloError
from analysis.json_file import read_json
from masks.rules.learned import GATES_FILE, LearnedGates, learned_mask
from masks.spec import MaskSpec
from meloctl import __version__
from meloctl.workspace import MANIFEST, Recipe, file_hash


def read_gates(run: Path) -> LearnedGates:
    """The gates of a training run, by its folder.

    Raises:
        MeloError: no such folder, a run that is not finished or had no gates, a damaged file.
    """
    if not run.is_dir():
        raise MeloError(f"--from-model {run}: no such folder; give a run of meloctl train --gates, as melo/model/NAME")
    path = run / GATES_FILE
    if not path.is_file() and (run / MANIFEST).is_file():
        raise MeloError(f"--from-model {run}: a run without gates; a mask is learned by: meloctl train --gates")
    if not path.is_file():
        raise MeloError(f"--from-model {run}: not a finished run; give the same meloctl train --gates again to go on")
    return LearnedGates.from_json(read_json(path, what="gates"), where=str(path))


def learned_recipe(run: Path) -> Recipe:
    """What makes the mask of a run what it is."""
    return Recipe(
        stage="mask",
        command="derive-mask",
        inputs={"model": run.resolve().name, "gates": file_hash(run / GATES_FILE)},
        options={"rule": "learned"},
        label=f"{run.resolve().name}-learned",
    )


def learned_spec(gates: LearnedGates, run: Path) -> MaskSpec:
    """The mask, with where it comes from."""
    spec = learned_mask(gates)
    return replace(spec, source={**spec.source, "model": run.resolve().name, "meloctl": __version__})
