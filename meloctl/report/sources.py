"""The files of finished runs that a report is written from, found in the workspace or named; all optional but the table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.offset_table_file import Curves, OffsetTableFile, curves_of
from analysis.offsets import RELATIONS
from analysis.similarity import PC_JACCARD
from masks.spec import MaskSpec
from meloctl.report.report_table import ReportTable, table_view
from meloctl.workspace import LATEST, MANIFEST, Run, Workspace, file_hash

TABLE_FILE = "offsets.json"
_BESIDE = ("families.csv", "pieces.parquet", "skipped.csv")
_MEASURE = PC_JACCARD.name
"""The similarity that masks are derived from."""


@dataclass(frozen=True, kw_only=True)
class ReportSources:
    """Files of a report, the smaller ones read; what was not found is None."""

    table: ReportTable
    table_path: Path
    curves: Curves | None
    """The numbers that a mask is derived from; None where the table lacks one of the relations."""

    stats_files: dict[str, Path]
    """{name: path} of the files that `meloctl stats` wrote beside the table."""

    manifest: dict[str, Any] | None
    """Manifest of the run that wrote the table."""

    mask: MaskSpec | None
    mask_path: Path | None
    mask_manifest: dict[str, Any] | None
    check_path: Path | None
    notes: tuple[str, ...]
    """Warnings: files that were changed, a mask that belongs to another table."""

    @property
    def name(self) -> str:
        """The name of the corpus, or of the table's file."""
        return Path(self.table.corpus).name if self.table.corpus else self.table_path.stem

    def inputs(self) -> dict[str, Any]:
        """Every file that is read, with its hash, for the report's own manifest."""
        read = {"table": self.table_path, **self.stats_files, "mask": self.mask_path, "check": self.check_path}
        paths = {name: path for name, path in read.items() if path}
        manifests = {"stats manifest": self.manifest, "mask manifest": self.mask_manifest}
        return {
            **{name: {"path": str(path.resolve()), "hash": file_hash(path)} for name, path in paths.items()},
            **{name: manifest.get("key") for name, manifest in manifests.items() if manifest},
            "notes": list(self.notes),
        }


def find_sources(space: Workspace, *, stats: Path | None, mask: Path | None) -> ReportSources:
    """Find the files of a report.

    Args:
        stats: a folder that `meloctl stats` wrote or a table file; None is the latest run.
        mask: a mask file; None is the latest mask, if it was derived from the same numbers.

    Raises:
        MeloError: no table, or one of the files is damaged.
    """
    path = _table_path(space, stats)
    file = OffsetTableFile.read(path)
    table = table_view(file, where=str(path))
    complete = all(table.curve(_MEASURE, relation) for relation in RELATIONS)
    curves = curves_of(file, where=str(path), measure=_MEASURE) if complete else None
    by_stats = path.name == TABLE_FILE
    stats_files = {n: path.parent / n for n in _BESIDE if by_stats and (path.parent / n).is_file()}
    manifest = _manifest(path.parent) if by_stats else None
    notes = list(_changed(manifest, path.parent))
    mask_path, note = (mask, None) if mask else _latest_mask(space, curves)
    spec = MaskSpec.read(mask_path) if mask_path else None
    if spec and curves and spec.source.get("table") not in (None, curves.table_hash):
        note = f"The mask {mask_path} was derived from other numbers than this table's."
    return ReportSources(
        table=table,
        table_path=path,
        curves=curves,
        stats_files=stats_files,
        manifest=manifest,
        mask=spec,
        mask_path=mask_path,
        mask_manifest=_manifest(mask_path.parent) if mask_path and mask_path.name == "mask.json" else None,
        check_path=_check_path(space, table),
        notes=(*notes, *([note] if note else [])),
    )


def _table_path(space: Workspace, stats: Path | None) -> Path:
    if stats is None:
        return space.latest("stats").folder / TABLE_FILE
    if not stats.is_dir():
        return stats
    if not (stats / TABLE_FILE).is_file():
        raise MeloError(f"{stats}: no {TABLE_FILE} in it; give a folder that meloctl stats wrote, or a table file")
    return stats / TABLE_FILE


def _latest(space: Workspace, stage: str) -> Run | None:
    return space.latest(stage) if (space.root / stage / LATEST).is_file() else None


def _latest_mask(space: Workspace, curves: Curves | None) -> tuple[Path | None, str | None]:
    """The latest mask, and why it is not taken if it is not."""
    run = _latest(space, "mask")
    if run is None or curves is None:
        return None, None
    path = run.folder / "mask.json"
    if MaskSpec.read(path).source.get("table") == curves.table_hash:
        return path, None
    return None, f"The latest mask, {path}, was derived from other numbers, so it is left out; --mask {path} shows it."


def _check_path(space: Workspace, table: ReportTable) -> Path | None:
    """The latest corpus check, if it is of the same files."""
    run = _latest(space, "check")
    if run is None or table.fingerprint is None or run.manifest.inputs.get("fingerprint") != table.fingerprint:
        return None
    path = run.folder / "check.json"
    return path if path.is_file() else None


def _manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    if not path.is_file():
        return None
    data = read_json(path, what="manifest")
    if not isinstance(data, dict) or not all(isinstance(data.get(k), dict) for k in ("options", "versions", "files")):
        raise MeloError(f"{path}: not a manifest of this version; delete {folder} and run again")
    return data


def _changed(manifest: dict[str, Any] | None, folder: Path) -> Iterator[str]:
    if manifest is None:
        return
    for name, written in manifest["files"].items():
        path = folder / name
        if name in (TABLE_FILE, *_BESIDE) and not (path.is_file() and file_hash(path) == written):
            yield f"{path} is not as meloctl stats wrote it; this report shows what is there now."
