"""The cores of a process: those that it is bound to, and what its control groups leave of them."""

import os

import pytest

from analysis.cores import usable_cores


def test_without_groups_it_is_those_that_the_process_is_bound_to(tmp_path):
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cores(tmp_path) == bound


@pytest.mark.parametrize(
    ("inner", "outer", "cores"),
    [
        ("max 100000", "max 100000", 64),
        ("150000 100000", "max 100000", 2),
        ("800000 100000", "300000 100000", 3),
        ("5000 100000", "x", 1),
    ],
)
def test_the_least_quota_of_its_groups_counts(tmp_path, monkeypatch, inner, outer, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user/job\n")
    group = tmp_path / "sys/fs/cgroup/user/job"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(f"{inner}\n")
    (group.parent / "cpu.max").write_text(f"{outer}\n")
    assert usable_cores(tmp_path) == cores
