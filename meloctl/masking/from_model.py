"""The gates that a training run learned, as a mask: `meloctl derive-mask --from-model`."""

from pathlib import Path

from msgspec.structs import replace

from analysis.errors import MeloError
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
        reason = "no such folder; give a run of meloctl train --gates, as melo/model/NAME"
        raise MeloError(reason, field="from_model", given=run)
    path = run / GATES_FILE
    if not path.is_file() and (run / MANIFEST).is_file():
        raise MeloError(
            "a run without gates; a mask is learned by: meloctl train --gates", field="from_model", given=run
        )
    if not path.is_file():
        reason = "not a finished run; give the same meloctl train --gates again to go on"
        raise MeloError(reason, field="from_model", given=run)
    return LearnedGates.read(path)


def learned_recipe(run: Path) -> Recipe:
    """The recipe of a training run's mask."""
    return Recipe(
        stage="mask",
        command="derive-mask",
        inputs={"model": run.resolve().name, "gates": file_hash(run / GATES_FILE)},
        options={"rule": "learned"},
        label=f"{run.resolve().name}-learned",
    )


def learned_spec(gates: LearnedGates, run: Path) -> MaskSpec:
    """The mask that a training run's gates ended as, with the run's name and the version in its `source`."""
    spec = learned_mask(gates)
    return replace(spec, source={**spec.source, "model": run.resolve().name, "meloctl": __version__})
