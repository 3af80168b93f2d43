"""Finished training runs: which are compared, what each recorded, and whether they can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from analysis.errors import MeloError
from analysis.json_spec import read_json
from masks.describe import describe_mask
from meloctl.evaluation.held_out import TrainedOn, trained_on
from meloctl.model.checkpoint import ModelDescription, read_description
from meloctl.model.registry import ARCHITECTURES
from meloctl.workspace import MANIFEST, Workspace, file_hash

STAGE, WEIGHTS = "model", "model.safetensors"

MOST_RUNS = len(ascii_uppercase)
"""A letter for each."""


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A finished run of `meloctl train`."""

    letter: str
    """Names it in tables and charts; the first is A."""

    folder: Path
    about: ModelDescription
    """Its model.json."""

    on: TrainedOn
    """Its corpus."""

    inputs: dict[str, Any]
    """Of its manifest."""

    options: dict[str, Any]
    """Of its manifest."""

    recorded: dict[str, Any]
    """Results of training in its manifest; empty where there are none."""

    weights: str
    """Hash of its weights."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    def recorded_number(self, name: str) -> float | None:
        """A number among the results of training; None where it is missing."""
        value = self.recorded.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def mask(self) -> str:
        """Its mask in words."""
        if self.about.gated:
            return "every earlier row, through learned gates"
        return (
            describe_mask(self.about.spec) if self.about.spec else f"no mask: {ARCHITECTURES[self.about.architecture]}"
        )

    @property
    def density(self) -> float | None:
        """Share of the pairs of dense causal attention that its mask shows, 0..1; 1 with gates, None without a mask."""
        return 1.0 if self.about.gated else self.recorded_number("density")

    @property
    def recipe(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs and options of training, without the seed."""
        return self.inputs, {k: v for k, v in self.options.items() if k != "seed"}


def find_runs(space: Workspace, given: Sequence[Path]) -> list[TrainedRun]:
    """The given runs, by folder or name in the workspace; all finished runs of the workspace where none is given.

    Raises:
        MeloError: fewer than two runs, or too many; one that is no finished run, is given twice, or was trained on another
            corpus.
    """
    folders = [_folder(space, name) for name in given] if given else finished_runs(space)
    if len(folders) < 2:
        found = f"{space.root / STAGE} holds {'one' if folders else 'none'}" if not given else "one was given"
        raise MeloError(
            f"two finished runs of meloctl train or more are needed, and {found}; name them: meloctl compare RUN RUN"
        )
    if len(folders) > MOST_RUNS:
        raise MeloError(f"{len(folders)} runs; at most {MOST_RUNS} can be compared: name those that matter")
    for i, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:i]]:
            raise MeloError(f"{folder}: given twice; name each run once")
    runs = [_read(folder, letter) for folder, letter in zip(folders, ascii_uppercase, strict=False)]
    for run in runs[1:]:
        if why := mismatch(runs[0], run):
            raise MeloError(
                f"{why}; only runs on one corpus can be compared, with the same files, read alike, and rows: name such runs"
            )
    return runs


def finished_runs(space: Workspace) -> list[Path]:
    """The folders of all finished training runs of a workspace, the oldest first."""
    found = [path.parent for path in (space.root / STAGE).glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda folder: (str(_manifest(folder).get("time")), folder.name))


def mismatch(first: TrainedRun, other: TrainedRun) -> str | None:
    """Why two runs cannot be compared; None where they can."""
    for key, what in (("fingerprint", "files"), ("rows", "rows format")):
        values = [run.inputs.get(key) for run in (first, other)]
        if values[0] == values[1]:
            continue
        if key == "fingerprint":
            if first.on.corpus != other.on.corpus:
                return f"{first.name} was trained on {first.on.corpus}, {other.name} on {other.on.corpus}"
            return f"files in {first.on.corpus} changed between {first.name} and {other.name}"
        one, two = (value or "the files' own" for value in values)
        return f"{first.name} was trained with the {what} {one}, {other.name} with {two}"
    readings = [run.on.reading for run in (first, other)]
    if readings[0] != readings[1]:
        one, two = (r.words() for r in readings)
        return f"{first.name} was trained with {one}, {other.name} with {two}"
    if first.about.vocabulary != other.about.vocabulary:
        return f"{first.name} and {other.name} have different vocabularies"
    return None


def _folder(space: Workspace, given: Path) -> Path:
    """The folder of a run, from its path or its name in the workspace."""
    for folder in (given, space.root / STAGE / given):
        if (folder / MANIFEST).is_file():
            return folder
        if (folder / WEIGHTS).is_file():
            raise MeloError(f"{folder}: not finished; give the same meloctl train again, and it goes on")
    names = ", ".join(folder.name for folder in finished_runs(space)) or "none"
    raise MeloError(
        f"{given}: no run of meloctl train, neither a folder nor a name in {space.root / STAGE} (there: {names})"
    )


def _manifest(folder: Path) -> dict[str, Any]:
    data = read_json(folder / MANIFEST, what="manifest")
    return data if isinstance(data, dict) else {}


def _read(folder: Path, letter: str) -> TrainedRun:
    on, manifest = trained_on(folder), _manifest(folder)
    results = manifest.get("results")
    recorded = results.get("training") if isinstance(results, dict) else None
    if not (folder / WEIGHTS).is_file():
        raise MeloError(f"{folder}: no {WEIGHTS} in it; give a finished run of meloctl train")
    return TrainedRun(
        letter=letter,
        folder=folder,
        about=read_description(folder),
        on=on,
        inputs=manifest["inputs"],
        options=manifest["options"],
        recorded=recorded if isinstance(recorded, dict) else {},
        weights=file_hash(folder / WEIGHTS),
    )
