"""The check of a corpus before training: facts of each file, copies, and findings with what to do about them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.corpus import SkippedFile, group_of, merged_groups, split_groups
from analysis.errors import MeloError
from analysis.findings import Finding, piece_findings
from analysis.midi import read_source
from analysis.near_duplicates import Sketch, clusters, near_duplicates, sketch
from analysis.piece_check import PieceCheck, check_source
from analysis.reading import AS_IT_STANDS, Reading
from analysis.reading_findings import reading_findings
from meloctl.formatting import count, percent
from meloctl.rows.codec import GridLoss, encode
from meloctl.rows.vocabulary import Vocabulary, default_vocabulary

OFTEN_MERGED = 0.05
"""Share of a piece's notes that fall on others of their part from which the piece is named."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What is kept of one file: about two kilobytes."""

    path: Path
    name: str
    """The same for files with exactly the same notes."""

    piece: PieceCheck
    sketch: Sketch = field(repr=False)
    grid: GridLoss
    """What the grid of the rows would do to it."""

    rows: int
    """Rows that it would be."""


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Files that are one song."""

    files: tuple[int, ...]
    """Numbers of the files, ascending, two or more."""

    exact: bool
    """All hold exactly the same notes."""

    similarity: float
    """The least of each file's greatest similarity to another of them, 0 to 1; 1 for exact copies."""


@dataclass(frozen=True, kw_only=True)
class CorpusCheck:
    """The check of a corpus. Every file is in `files` or in `skipped`."""

    files: tuple[FileFacts, ...]
    skipped: tuple[SkippedFile, ...]
    copies: tuple[Copies, ...]
    """In the order of their first files."""

    split: tuple[str, ...]
    """Side of each file: "train", "validation" or "test"."""

    findings: tuple[Finding, ...]
    """Those that concern a file."""

    @property
    def incomplete(self) -> frozenset[int]:
        """Numbers of the files of which music is missing."""
        return frozenset(i for finding in self.findings if finding.missing for i in finding.files)


def check_file(path: Path, vocabulary: Vocabulary, *, reading: Reading = AS_IT_STANDS) -> FileFacts | SkippedFile:
    """The facts of one file, or why it cannot be read; no other file plays a part."""
    try:
        source = read_source(path, reading=reading)
    except MeloError as error:
        return SkippedFile(path=path, reason=str(error))
    piece = source.piece
    rows, grid = encode(piece, vocabulary)
    return FileFacts(
        path=path,
        name=group_of(piece),
        piece=check_source(source, meter_given=reading.meter is not None),
        sketch=sketch(piece),
        grid=grid,
        rows=len(rows),
    )


def check_files(
    paths: Sequence[Path], *, reading: Reading = AS_IT_STANDS, on_file: Callable[[], None] = lambda: None
) -> list[FileFacts | SkippedFile]:
    """`check_file` of every path, in order; `on_file` is called after each."""
    vocabulary = default_vocabulary()
    found = []
    for path in paths:
        found.append(check_file(path, vocabulary, reading=reading))
        on_file()
    return found


def assess_files(found: Iterable[FileFacts | SkippedFile]) -> CorpusCheck:
    """A corpus from the facts of its files."""
    read: list[FileFacts] = []
    skipped: list[SkippedFile] = []
    for facts in found:
        if isinstance(facts, SkippedFile):
            skipped.append(facts)
        else:
            read.append(facts)
    copies, cluster = _copies(read)
    groups = merged_groups([f.sketch.key or f.name for f in read], cluster)
    pieces = [f.piece for f in read]
    findings = [*reading_findings(pieces), *_of_copies(read, copies), *piece_findings(pieces), _merging(read)]
    return CorpusCheck(
        files=tuple(read),
        skipped=tuple(skipped),
        copies=copies,
        split=tuple(split_groups(groups)),
        findings=tuple(f for f in findings if f.files),
    )


def _copies(files: Sequence[FileFacts]) -> tuple[tuple[Copies, ...], list[int]]:
    """Groups of two or more files that are one song, and each file's cluster."""
    names = [f.name for f in files]
    links = near_duplicates([f.sketch for f in files])
    cluster = clusters(links, names).tolist()
    best = np.zeros(len(files))
    np.maximum.at(best, links.first, links.similarity)
    np.maximum.at(best, links.second, links.similarity)
    twins: dict[str, int] = {}
    members: dict[int, list[int]] = {}
    for number, (name, label) in enumerate(zip(names, cluster, strict=True)):
        twins[name] = twins.get(name, 0) + 1
        members.setdefault(label, []).append(number)
    found = tuple(
        Copies(
            files=tuple(group),
            exact=len({names[i] for i in group}) == 1,
            similarity=min(1.0 if twins[names[i]] > 1 else float(best[i]) for i in group),
        )
        for group in members.values()
        if len(group) > 1
    )
    return found, cluster


def _of_copies(files: Sequence[FileFacts], copies: Sequence[Copies]) -> list[Finding]:
    first = {f.name: i for i, f in reversed(list(enumerate(files)))}
    near = [c for c in copies if not c.exact]
    return [
        Finding(
            name="exact-copies",
            files=tuple(i for i, f in enumerate(files) if first[f.name] != i),
            fix=True,
            phrase="with the notes of another",
            what="exactly the notes of an earlier file, so that song counts twice in statistics and training",
            advice="leave them out; the groups are in check.json",
        ),
        Finding(
            name="near-copies",
            files=tuple(i for c in near for i in c.files),
            fix=True,
            phrase=f"near copies of one another (in {count(len(near), 'group')})",
            what="one song in another key, tempo, arrangement or cut, named group by group",
            advice="training keeps each group on one side of the split; leave out what should not count twice (check.json)",
        ),
    ]


def _merging(files: Sequence[FileFacts]) -> Finding:
    return Finding(
        name="merged",
        files=tuple(i for i, f in enumerate(files) if f.grid.merged > OFTEN_MERGED * f.grid.notes),
        fix=False,
        phrase="that lose notes to the grid",
        what=f"over {percent(OFTEN_MERGED)} of the notes fall on another of their part, same step and pitch, and become one",
        advice="nothing: doubled or very fast notes",
    )
