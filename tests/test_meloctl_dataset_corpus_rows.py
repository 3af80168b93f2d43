"""The rows of a corpus are encoded once for the same files, time signature and vocabulary."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import note, smf

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.reading import AS_IT_STANDS, Reading
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.progress import SilentReporter
from meloctl.rows.vocabulary import default_vocabulary

V = default_vocabulary()


class Stages(SilentReporter):
    """A reporter that remembers the stages and counts the steps."""

    def __init__(self):
        self.stages, self.steps = [], 0

    def stage(self, name, steps, *, done=0):
        self.stages.append((name, steps))

    def advance(self, steps=1, *, status=""):
        self.steps += steps


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.mid").write_bytes(smf(note(40 + i, 480), note(60, 480)))
    return folder


def rows_of(corpus, *, reading=AS_IT_STANDS, name=None, vocabulary=V):
    """The shard, and whether it was encoded now."""
    reporter, paths = Stages(), find_files(corpus)
    about = {"corpus": name or str(corpus), "fingerprint": fingerprint(paths, corpus), "reading": reading}
    shard = corpus_rows(corpus.parent / "melo" / "cache", paths, vocabulary, reporter, **about)
    assert reporter.stages in ([], [("encoding", len(paths))])
    assert reporter.steps == (len(paths) if reporter.stages else 0)
    return shard, bool(reporter.stages)


def test_rows_are_encoded_once(corpus):
    first, encoded = rows_of(corpus)
    assert encoded
    again, encoded = rows_of(corpus)
    assert not encoded
    assert np.array_equal(first.rows, again.rows)
    assert first.split == again.split


def test_other_files_names_readings_and_vocabularies_have_rows_of_their_own(corpus):
    rows_of(corpus)
    for reading in (Reading(meter=(3, 4)), Reading(pedal=True), Reading(fix_bars=True)):
        assert rows_of(corpus, reading=reading)[1]
    assert rows_of(corpus, name="another")[1]
    assert rows_of(corpus, vocabulary=replace(V, tempos=V.tempos[:-1]))[1]
    (corpus / "5.mid").write_bytes(smf(note(70, 480)))
    assert rows_of(corpus)[1]
    assert not rows_of(corpus, reading=Reading(meter=None))[1]


def test_a_corpus_without_readable_files_leaves_no_rows(corpus):
    for path in corpus.glob("*.mid"):
        path.write_text("no")
    for _ in range(2):
        with pytest.raises(MeloError, match="none of the 5 files could be read"):
            rows_of(corpus)
    assert not list((corpus.parent / "melo" / "cache").glob("*.json"))
