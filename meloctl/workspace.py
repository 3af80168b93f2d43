"""The workspace: `melo/` with a folder a stage, each run in a folder of its own with a manifest of how it was made.

    melo/stats/  melo/mask/  melo/model/  melo/out/     runs, named LABEL-KEY; latest.json names the newest
    melo/corpus/ melo/cache/                            corpora that we write, rows made once per corpus

A run's key is a hash of the command, its inputs and options. A finished run has a manifest.json, written last; the same
command with the same inputs finds it and redoes nothing.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl import __version__

MANIFEST, LATEST = "manifest.json", "latest.json"

COMMAND_OF_STAGE = {
    "check": "meloctl corpus check FOLDER",
    "stats": "meloctl stats FOLDER",
    "mask": "meloctl derive-mask",
    "model": "meloctl train",
    "plans": "meloctl plans FOLDER",
    "bridge": "meloctl train-bridge",
    "transcriber": "meloctl train-transcriber",
    "out": "meloctl generate",
    "eval": "meloctl evaluate FOLDER",
    "compare": "meloctl compare",
    "report": "meloctl report",
    "play": "meloctl play",
    "transcription": "meloctl transcribe FILE",
}
"""The command that fills each stage."""


class Manifest(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.manifest/2"
):
    """How a finished run was made: its `manifest.json`, written last."""

    noun: ClassVar = "manifest"

    key: str
    """`Recipe.key`."""

    command: str
    """The command's name, as "corpus check"."""

    inputs: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]
    """{package: version} that made it."""

    time: str
    """When it was finished, ISO 8601 with its offset from UTC."""

    files: dict[str, str]
    """{name: `file_hash`} of the files in the run's folder."""

    results: dict[str, Any]
    """What the command prints when it is given again."""


class LatestRun(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run of a stage is the latest: `latest.json`."""

    noun: ClassVar = "pointer to the latest run"

    folder: Annotated[str, Meta(pattern=r"^[^/\\]+$")]
    """The run's folder, beside this file."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What makes a run what it is: a finished run of an equal recipe is not made again."""

    stage: str
    command: str
    inputs: dict[str, Any]
    """What it read, with hashes."""

    options: dict[str, Any]
    """Options that change the result, the seed among them."""

    label: str
    """For people: starts the folder's name."""

    @property
    def key(self) -> str:
        """16 hex digits of the SHA-256 of everything but the label."""
        content = [self.command, self.inputs, self.options, __version__, Manifest.__struct_config__.tag]
        return text_hash(json.dumps(content, sort_keys=True))


@dataclass(frozen=True, kw_only=True)
class RunOutput:
    """What making a run gives: the files that it wrote into its folder, and what its manifest says of them."""

    files: Sequence[str]
    """Names of the files, relative to the run's folder."""

    results: dict[str, Any]
    """JSON values: what the command prints when it is given again."""

    scratch: Sequence[str] = ()
    """Names of subfolders that were needed to resume alone; deleted once the run is finished."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run."""

    folder: Path
    manifest: Manifest = field(repr=False)
    reused: bool = False
    """True where a finished run was there already."""

    def manifest_value(self, section: str, key: str) -> Any:
        """An entry of the manifest's "inputs", "options" or "results". Raises MeloError when it is not there."""
        values: dict[str, Any] = getattr(self.manifest, section)
        if key not in values:
            raise MeloError(
                f"{self.folder / MANIFEST}: damaged, no {key!r} in its {section}; delete {self.folder} and run again"
            )
        return values[key]

    @property
    def time(self) -> str:
        """When it was finished."""
        return self.manifest.time

    @property
    def files(self) -> list[str]:
        """Names of the files that it wrote."""
        return sorted(self.manifest.files)


class Workspace:
    """A folder of runs. Nothing is created before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def cache(self) -> Path:
        """The folder of rows that were made once for a corpus."""
        return self.root / "cache"

    def folder(self, recipe: Recipe) -> Path:
        """Where a recipe's run lies, finished or not."""
        label = "".join(c if c.isalnum() or c in "._-" else "_" for c in recipe.label)[:40].strip("._-") or recipe.stage
        return self.root / recipe.stage / f"{label}-{recipe.key[:8]}"

    def finished(self, recipe: Recipe) -> Run | None:
        """The finished run of exactly this recipe, made the latest of its stage; None when there is none.

        Raises:
            MeloError: there is one, but its files are not what was written: they are neither trusted nor overwritten.
        """
        folder = self.folder(recipe)
        if not (folder / MANIFEST).is_file():
            return None
        run = read_run(folder, made_by=COMMAND_OF_STAGE[recipe.stage])
        if run.manifest.key != recipe.key:
            return None
        for name, written in run.manifest.files.items():
            if not (folder / name).is_file() or file_hash(folder / name) != written:
                raise MeloError(
                    f"{folder / name}: missing, or not as {COMMAND_OF_STAGE[recipe.stage]} wrote it; "
                    f"move what you need out of {folder}, delete it, and run again"
                )
        self._set_latest(recipe.stage, folder)
        return replace(run, reused=True)

    def once(self, recipe: Recipe, make: Callable[[Path], RunOutput]) -> Run:
        """The finished run of a recipe: the one that is there already, else a new one.

        Args:
            recipe: what the run is made of.
            make: writes the run's files into the folder that it is given. Where it raises, no manifest is written, what it
                left in the folder stays (so that it can resume), and empty folders are removed.

        Raises:
            MeloError: another process is making this run, or a finished one is damaged.
        """
        if run := self.finished(recipe):
            return run
        folder, mine = self.folder(recipe), False
        try:
            with self.locked(recipe):
                mine = True
                folder.mkdir(parents=True, exist_ok=True)
                output = make(folder)
                run = self.finish(recipe, files=output.files, results=output.results)
                for name in output.scratch:
                    shutil.rmtree(folder / name, ignore_errors=True)
                return run
        except BaseException:
            if mine:  # else another process is writing there
                self.remove_empty(recipe)
            raise

    def finish(self, recipe: Recipe, *, files: Sequence[str], results: dict[str, Any]) -> Run:
        """Write the manifest of a run whose files are complete, and make it the latest of its stage."""
        folder = self.folder(recipe)
        manifest = Manifest(
            key=recipe.key,
            command=recipe.command,
            inputs=recipe.inputs,
            options=recipe.options,
            versions={
                "meloctl": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "numba", "torch")},
            },
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            files={name: file_hash(folder / name) for name in sorted(files)},
            results=results,
        )
        atomic_write_text(folder / MANIFEST, manifest.to_text())
        self._set_latest(recipe.stage, folder)
        return Run(folder=folder, manifest=manifest)

    @contextmanager
    def locked(self, recipe: Recipe) -> Iterator[None]:
        """Keep out a second command that would make the same run at the same time. Raises MeloError to that one."""
        from filelock import FileLock, Timeout

        folder = self.folder(recipe)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise MeloError(f"{folder}: another meloctl {recipe.command} is writing it; wait for it to end") from error
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def remove_empty(self, recipe: Recipe) -> None:
        """Remove the folders of a run that was not finished, as far as they are empty."""
        folder = self.folder(recipe)
        for empty in (folder, folder.parent, self.root):
            try:
                empty.rmdir()
            except OSError:
                return

    def latest(self, stage: str) -> Run:
        """The latest finished run of a stage. Raises MeloError that names the command to run first."""
        pointer = self.root / stage / LATEST
        if not pointer.is_file():
            raise MeloError(
                f"nothing in {self.root / stage} yet; run first: {COMMAND_OF_STAGE[stage]} "
                "(or name another workspace with `work`)"
            )
        folder = pointer.with_name(LatestRun.read(pointer).folder)
        if not (folder / MANIFEST).is_file():
            raise MeloError(f"{pointer}: names no finished run; run again: {COMMAND_OF_STAGE[stage]}")
        return read_run(folder, made_by=COMMAND_OF_STAGE[stage])

    def _set_latest(self, stage: str, folder: Path) -> None:
        atomic_write_text(self.root / stage / LATEST, LatestRun(folder=folder.name).to_text())


def read_run(folder: Path, *, made_by: str) -> Run:
    """A finished run by its folder; its files are not looked at.

    Args:
        folder: that holds its manifest.
        made_by: the command that makes such runs, for errors.

    Raises:
        MeloError: no manifest, a damaged one, or one of another version of meloctl.
    """
    path = folder / MANIFEST
    try:
        return Run(folder=folder, manifest=Manifest.read(path))
    except MeloError as error:
        raise MeloError(f"{error}; make such a run again: {made_by}") from error


def manifest_beside(path: Path, *, command: str) -> Manifest | None:
    """The manifest of the run of a command in the folder of a file that it wrote and nobody changed; else None."""
    beside = path.with_name(MANIFEST)
    if not beside.is_file():
        return None
    try:
        manifest = Manifest.read(beside)
    except MeloError:  # other programs have files of this name too
        return None
    written = manifest.files.get(path.name)
    return manifest if manifest.command == command and written is not None and written == file_hash(path) else None


def text_hash(text: str) -> str:
    """16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """16 hex digits of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
