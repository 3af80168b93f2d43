"""The corpus on whose pieces masks are costed: the one that a table of offsets was measured on, or another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.reading import AS_IT_STANDS, Reading
from masks.cost.row_pairs import PieceRows
from masks.cost.sample import read_piece_rows, sample_files
from meloctl.progress import ProgressReporter
from meloctl.workspace import MANIFEST


@dataclass(frozen=True, kw_only=True)
class CostedCorpus:
    """Files of a corpus, and how they are read."""

    corpus: Path
    paths: list[Path]
    fingerprint: str
    """Hash of the files' names and contents."""

    reading: Reading
    """How they are read."""

    def read(self, max_pieces: int, *, progress: ProgressReporter) -> list[PieceRows]:
        """Rows per cell of at most `max_pieces` of its pieces, sampled by the hash of their names."""
        paths = sample_files(self.paths, self.corpus, max_pieces)
        progress.stage("counting rows", len(paths))
        return read_piece_rows(paths, reading=self.reading, on_file=progress.advance)

    def to_json(self) -> dict[str, Any]:
        """Inputs of a recipe."""
        return {"corpus": str(self.corpus), "fingerprint": self.fingerprint, **self.reading.to_json()}


def costed_corpus(table: Path, corpus: Path | None) -> CostedCorpus:
    """The corpus that `corpus` names, else the one that the manifest beside a table of offsets names.

    Args:
        table: file of offsets.
        corpus: folder of MIDI, one MIDI file, or a list of paths; None for the manifest's.

    Raises:
        MeloError: neither names one, or it is gone.
    """
    measured, reading = _measured_corpus(table.parent / MANIFEST)
    if corpus is None and measured is None:
        raise MeloError(f"{table}: does not say on which corpus it was measured; name a folder of MIDI with `corpus`")
    found = corpus or Path(str(measured))
    if corpus is None and not found.exists():
        raise MeloError(
            f"{found}: the corpus that was measured is gone, and rows are counted in it; name one with `corpus`"
        )
    paths = find_files(found)
    same = measured is not None and found.resolve() == Path(measured).resolve()
    return CostedCorpus(
        corpus=found.resolve(),
        paths=paths,
        fingerprint=fingerprint(paths, found),
        reading=reading if same else AS_IT_STANDS,
    )


def _measured_corpus(manifest: Path) -> tuple[str | None, Reading]:
    """The corpus and the reading of a manifest of `meloctl stats`; None where it does not say."""
    data = read_json(manifest, what="manifest") if manifest.is_file() else {}
    inputs, options = (data.get(k) if isinstance(data, dict) else None for k in ("inputs", "options"))
    corpus = inputs.get("corpus") if isinstance(inputs, dict) else None
    reading = Reading.from_json(options if isinstance(options, dict) else {}, where=str(manifest))
    return corpus if isinstance(corpus, str) else None, reading
