"""A corpus as rows, encoded once for the same files, reading and vocabulary, and kept in a cache folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from analysis.corpus import ReadFile, read_files
from analysis.reading import READER, Reading
from meloctl import __version__
from meloctl.dataset.store import FORMAT, Shard, make_shard, read_shard
from meloctl.progress import ProgressReporter
from meloctl.rows.vocabulary import Vocabulary
from meloctl.workspace import text_hash


def corpus_rows(
    cache: Path,
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    reporter: ProgressReporter,
    *,
    corpus: str,
    fingerprint: str,
    reading: Reading,
) -> Shard:
    """The rows of a corpus: read from the cache, or encoded and added to it. Two processes that need them encode them once.

    Args:
        cache: folder, made where it does not exist.
        paths: the corpus's files.
        corpus: its name, so that two corpora of equal files have rows of their own.
        fingerprint: of the files, see `analysis.corpus.fingerprint`.
        reading: how they are read.

    Raises:
        MeloError: no file could be read, or the cached rows are damaged.
    """
    key = text_hash(
        json.dumps([FORMAT, __version__, READER, corpus, fingerprint, reading.to_json(), vocabulary.to_json()])
    )
    stem = cache / f"rows-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(stem.with_suffix(".lock")):  # another command that needs them meanwhile waits, and reads them
        if stem.with_suffix(".json").is_file():
            return read_shard(stem)
        reporter.stage("encoding", len(paths))
        return make_shard(paths, vocabulary, stem, reading=reading, on_file=reporter.advance)


def encoded_files(paths: Sequence[Path], shard: Shard, reading: Reading) -> list[Path]:
    """The file of each piece of a shard, among those that it was made of. Files are read again where some of them could not be:
    rows keep no names.

    Args:
        paths: of the corpus.
        shard: from `corpus_rows`.
        reading: as there.
    """
    if len(paths) == len(shard):
        return list(paths)
    return [read.path for read in read_files(paths, reading=reading) if isinstance(read, ReadFile)]
