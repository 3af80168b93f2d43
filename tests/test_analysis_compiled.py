"""Compiled functions: what they give, and where their machine code is kept."""

import errno
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

SOURCE = """
from analysis.compiled import compiled


@compiled
def total(numbers):
    found = 0
    for i in range(len(numbers)):
        found += one(numbers[i])
    return found


@compiled
def one(number):
    return number
"""


def load(path):
    spec = importlib.util.spec_from_file_location("compiled_sample", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_machine_code_is_kept_beside_the_source(tmp_path):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    assert load(path).total(np.array([3, 4, 5])) == 12
    assert list(tmp_path.rglob("*.nbc"))
    again = load(path)
    assert again.total(np.array([3, 4])) == 7
    assert sum(again.total.stats.cache_hits.values()) == 1


def test_a_function_that_was_imported_before_it_was_compiled_is_the_same(tmp_path):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    module = load(path)
    early = module.total
    assert early(np.array([3, 4])) == 7
    assert module.total is early.dispatcher()
    assert early(np.array([3, 5])) == 8


def test_without_a_writable_folder_it_is_compiled_all_the_same(tmp_path, monkeypatch):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # as where no folder can be written
    assert load(path).total(np.array([3, 4, 5])) == 12
    assert not list(tmp_path.rglob("*.nbc"))


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path, monkeypatch, capsys):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    caching = pytest.importorskip("numba.core.caching")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.nbc")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    module = load(path)
    assert module.total(np.array([3, 4, 5])) == 12
    assert module.total(np.array([0.5, 0.25])) == 0.75  # another signature, compiled and not kept either
    said = capsys.readouterr().err
    assert said == "Compiled code is not kept, and is compiled again next time: No space left on device\n"
    assert not list(tmp_path.rglob("*.nbc"))


def test_other_faults_of_the_cache_are_not_hidden(tmp_path, monkeypatch):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    config = pytest.importorskip("numba.core.config")
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "NoSuchLocator")
    with pytest.raises(RuntimeError, match="NoSuchLocator"):
        load(path).total(np.array([3]))


def test_numba_is_imported_when_something_is_called():
    code = (
        "import sys; import analysis.measure_corpus, analysis.pair_loops, analysis.midi; print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
