"""The tables of the transcriber: every cell once, results that go on, and means that can be reckoned."""

import json
import sys

from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import transcriber_tables as tables


def row(cell, seed, *values):
    scores = {parts: dict(zip(tables.SCORES, values, strict=True)) for parts in ("1", "2", "3", "4")}
    return {"key": tables.key_of(cell, seed, 9), "scores": scores}


def test_what_tables_share_is_trained_once():
    runs = tables.runs()
    assert len(runs) == len(set(runs)) == 26
    assert runs[0] == (0, tables.Cell())
    assert len({tables.key_of(cell, seed, 9) for seed, cell in runs}) == 26


def test_a_line_that_was_cut_short_is_done_again(tmp_path):
    out = tmp_path / "cells.jsonl"
    assert tables.finished(out) == {}
    whole = row(tables.Cell(), 0, 0.8, 0.5, 0.6)
    out.write_text(json.dumps(whole) + "\n" + json.dumps(row(tables.Cell(), 1, 0.8, 0.5, 0.6))[:40])
    assert tables.finished(out) == {whole["key"]: whole}


def test_a_table_has_the_mean_of_the_seeds_and_half_their_difference():
    rows = [row(tables.Cell(), 0, 0.8, 0.5, 0.6), row(tables.Cell(), 1, 0.9, 0.5, 0.7)]
    memory, loss, sound = tables.tables({r["key"]: r for r in rows}, 9)
    assert memory.splitlines()[2:] == ["| none | 0.850 ± 0.050 | 0.500 ± 0.000 | 0.650 ± 0.050 | 2 |"]
    assert loss.splitlines()[2].startswith("| InfoNCE over notes | 0.850")
    assert sound.splitlines()[2].startswith("| all | 0.850")
    assert len(sound.splitlines()) == 3


def test_one_seed_has_no_spread():
    only = row(tables.Cell(memory="flow"), 1, 0.8, 0.5, 0.6)
    memory = tables.tables({only["key"]: only}, 9)[0]
    assert memory.splitlines()[2:] == ["| flow | 0.800 | 0.500 | 0.600 | 1 |"]
