"""Planted truth: composed bands whose period is known go through files, statistics and the test of peaks."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import piece_of

from analysis.chunked_map import Workers
from analysis.measure_corpus import MeasureChunk, measure_corpus
from analysis.midi_write import write_midi
from analysis.significance import Evidence, evidence_of
from meloctl.corpus.composer.compose import compose_corpus


def composed_evidence(folder: Path, *, pieces: int, seed: int, phrase: int) -> Evidence:
    form = "AABA" if phrase else "ABCD"
    compose_corpus(folder / "midi", pieces=pieces, seed=seed, form=form, phrase=phrase)
    paths = sorted(map(str, (folder / "midi").glob("*.mid")))
    assert len(paths) == pieces
    return evidence_of_files(folder, seed=seed)


def evidence_of_files(folder: Path, *, seed: int) -> Evidence:
    paths = sorted(map(str, (folder / "midi").glob("*.mid")))
    task = MeasureChunk.of(len(paths), seed=seed)
    return evidence_of(measure_corpus(paths, task, folder / "chunks", key="k", workers=Workers(processes=0)))


@pytest.mark.parametrize("phrase", [4, 6, 8, 0])
def test_the_period_of_a_composed_corpus_is_found(tmp_path, phrase):
    evidence = composed_evidence(tmp_path, pieces=16, seed=phrase, phrase=phrase)
    for measure in ("pc-jaccard", "pc-cosine", "onset-jaccard"):
        assert evidence.period(measure, "same") == (phrase or None), measure
    real = {p.offset for p in evidence.peaks if p.real and p.relation == "same" and p.measure == "pc-jaccard"}
    assert all(k % phrase == 0 for k in real) if phrase else not real


def random_bars(folder: Path, *, pieces: int, seed: int) -> None:
    """Pieces of three parts whose bars are drawn one by one from a few of each part's own: alike, but in no order."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(pieces):
        kinds = [[rng.choice(12, 3, replace=False) + 48 + 12 * part for _ in range(6)] for part in range(3)]
        steps = [[np.sort(rng.choice(48, 3, replace=False)) for _ in range(6)] for part in range(3)]
        notes = []
        for bar in range(int(rng.integers(24, 64))):
            for part in range(3):
                kind = int(rng.integers(6))
                bars = zip(steps[part][kind].tolist(), kinds[part][kind].tolist(), strict=True)
                notes += [(part, 48 * bar + step, 3, pitch) for step, pitch in bars]
        write_midi(piece_of(notes), folder / f"{i}.mid")


def false_periods(kind: str, folder: str, seed: int) -> list[tuple[str, str]]:
    """Curves of a corpus without a period in which one is found."""
    here = Path(folder) / str(seed)
    if kind == "random":
        random_bars(here / "midi", pieces=12, seed=seed)
        evidence = evidence_of_files(here, seed=seed)
    else:
        evidence = composed_evidence(here, pieces=12, seed=seed, phrase=0)
    return [(m, r) for m in evidence.measures for r in ("same", "cross") if evidence.period(m, r) is not None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["composed", "random"])
def test_a_hundred_corpora_without_a_period_show_none_beyond_the_level(tmp_path, kind):
    """At a level of 1 % a curve shows a false period in about one corpus of a hundred; five would be one chance in 300."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(partial(false_periods, kind, str(tmp_path)), range(1_000, 1_100)))
    curves = {(m, r): sum((m, r) in f for f in found) for f in found for m, r in f}
    print(kind, curves)
    assert all(n <= 4 for n in curves.values()), curves


@pytest.mark.slow
@pytest.mark.parametrize("phrase", [4, 6, 8])
@pytest.mark.parametrize("seed", [11, 12, 13, 14, 15])
def test_the_period_is_found_each_time(tmp_path, phrase, seed):
    evidence = composed_evidence(tmp_path, pieces=24, seed=seed, phrase=phrase)
    assert evidence.period("pc-jaccard", "same") == phrase
