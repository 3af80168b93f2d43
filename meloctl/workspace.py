"""The workspace: `melo/` with a folder a stage, each run in a folder of its own with a manifest of how it was made.

    melo/stats/  melo/mask/  melo/model/  melo/out/     runs, named LABEL-KEY; latest.json names the newest
    melo/corpus/ melo/cache/                            corpora that we write, rows made once per corpus

A run's key is a hash of the command, its inputs and options. A finished run has a manifest.json, written last; the same
command with the same inputs finds it and redoes nothing.
"""

import hashlib
import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from analysis.atomic import write_text
from analysis.curves import read_json
from analysis.errors import MeloError
from meloctl import __version__

FORMAT = "meloctl.manifest/1"
MANIFEST, LATEST = "manifest.json", "latest.json"

BEFORE = {
    "stats": "meloctl stats FOLDER",
    "mask": "meloctl derive-mask",
    "model": "meloctl train",
    "out": "meloctl generate",
}
"""The command that fills each stage."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What makes a run what it is: two equal recipes give the same files."""

    stage: str
    command: str
    inputs: dict[str, Any]
    """What it read, with hashes."""

    options: dict[str, Any]
    """What it was told, the seed among them."""

    label: str
    """For people: starts the folder's name."""

    @property
    def key(self) -> str:
        """16 hex digits of the SHA-256 of everything but the label."""
        content = [self.command, self.inputs, self.options, __version__]
        return text_hash(json.dumps(content, sort_keys=True))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run."""

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def results(self) -> dict[str, Any]:
        """The facts that the command reported."""
        return dict(self.manifest["results"])


class Workspace:
    """A folder of runs. Nothing is created before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, recipe: Recipe) -> Path:
        """Where a recipe's run lies, finished or not."""
        label = "".join(c if c.isalnum() or c in "._-" else "_" for c in recipe.label)[:40].strip("._-") or recipe.stage
        return self.root / recipe.stage / f"{label}-{recipe.key[:8]}"

    def finished(self, recipe: Recipe) -> Run | None:
        """The finished run of exactly this recipe, made the latest of its stage; None when there is none."""
        folder = self.folder(recipe)
        if not (folder / MANIFEST).is_file():
            return None
        run = self._read(folder)
        if run.manifest["key"] != recipe.key or not all((folder / name).is_file() for name in run.manifest["files"]):
            return None
        self._point(recipe.stage, folder)
        return run

    def finish(self, recipe: Recipe, *, files: list[str], results: dict[str, Any]) -> Run:
        """Write the manifest of a run whose files are complete, and make it the latest of its stage."""
        folder = self.folder(recipe)
        manifest = {
            "format": FORMAT,
            "key": recipe.key,
            "command": recipe.command,
            "inputs": recipe.inputs,
            "options": recipe.options,
            "versions": {
                "meloctl": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "symusic", "torch")},
            },
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": sorted(files),
            "results": results,
        }
        write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        self._point(recipe.stage, folder)
        return Run(folder=folder, manifest=manifest)

    def latest(self, stage: str) -> Run:
        """The latest finished run of a stage. Raises MeloError that names the command to run first."""
        pointer = self.root / stage / LATEST
        if not pointer.is_file():
            raise MeloError(
                f"nothing in {self.root / stage} yet; run first: {BEFORE[stage]} (or name another workspace with --work)"
            )
        data = read_json(pointer, what="pointer to the latest run")
        name = data.get("folder") if isinstance(data, dict) else None
        if not isinstance(name, str) or "/" in name or not (self.root / stage / name / MANIFEST).is_file():
            raise MeloError(f"{pointer}: names no finished run; run again: {BEFORE[stage]}")
        return self._read(self.root / stage / name)

    def _point(self, stage: str, folder: Path) -> None:
        write_text(self.root / stage / LATEST, json.dumps({"folder": folder.name}) + "\n")

    def _read(self, folder: Path) -> Run:
        data = read_json(folder / MANIFEST, what="manifest")
        kinds = {"key": str, "inputs": dict, "options": dict, "files": list, "results": dict}
        if (
            not isinstance(data, dict)
            or data.get("format") != FORMAT
            or not all(isinstance(data.get(k), t) for k, t in kinds.items())
        ):
            raise MeloError(f"{folder / MANIFEST}: not a manifest of this version; delete {folder} and run again")
        return Run(folder=folder, manifest=data)


def text_hash(text: str) -> str:
    """16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """16 hex digits of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
