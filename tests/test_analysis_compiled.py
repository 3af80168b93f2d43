"""Compiled functions: what they give, and where their machine code is kept."""

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
        found += numbers[i]
    return found
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
    again = load(path).total
    assert again(np.array([3, 4])) == 7
    assert sum(again.stats.cache_hits.values()) == 1


def test_without_a_writable_folder_it_is_compiled_all_the_same(tmp_path, monkeypatch):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # as where no folder can be written
    assert load(path).total(np.array([3, 4, 5])) == 12
    assert not list(tmp_path.rglob("*.nbc"))


def test_other_faults_of_the_cache_are_not_hidden(tmp_path, monkeypatch):
    path = tmp_path / "compiled_sample.py"
    path.write_text(SOURCE)
    config = pytest.importorskip("numba.core.config")
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "NoSuchLocator")
    with pytest.raises(RuntimeError, match="NoSuchLocator"):
        load(path)


def test_numba_is_imported_only_where_something_is_compiled():
    code = "import sys; import analysis.compiled, analysis.offsets, masks.spec; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
