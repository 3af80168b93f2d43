"""The number of threads is chosen by the time of steps, on pretended machines whose times are known."""

import pytest
import torch

from analysis.errors import MeloError
from meloctl import threads
from meloctl.threads import ThreadTuner, check_threads, new_tuner, thread_counts, thread_limit, using_threads


def test_one_some_and_all_threads_are_tried():
    assert [thread_counts(n) for n in (1, 2, 4, 8, 64)] == [[1], [1, 2], [1, 2, 4], [1, 3, 4, 8], [1, 8, 32, 64]]


def steps(tuner, count, seconds):
    """Take steps on a machine on which a step of 10 rows takes seconds(threads): the numbers of threads that were taken."""
    taken = []
    for _ in range(count):
        taken.append(tuner.count)
        tuner.add_step(seconds(tuner.count), 10)
    return taken


def test_the_fastest_number_is_taken():
    tuner = ThreadTuner([1, 2, 4])
    assert steps(tuner, 12, lambda n: {1: 3.0, 2: 1.0, 4: 2.0}[n]) == [1, 1, 2, 2, 4, 4] * 2
    assert not tuner.is_trying
    assert (tuner.best, tuner.count) == (2, 2)
    assert tuner.row_seconds(4) == 0.2


def test_the_first_step_after_a_change_does_not_count():
    tuner, before = ThreadTuner([1, 2]), []

    def seconds(n):
        before.append(n)
        return (1.0 if n == 2 else 1.3) + 5 * (before[-2:-1] != [n])

    steps(tuner, 8, seconds)
    assert (tuner.best, tuner.row_seconds(2)) == (2, 0.1)


def test_a_little_faster_is_no_reason_to_change():
    tuner = ThreadTuner([1, 2], best=1)
    steps(tuner, 5 + 8, lambda n: 1.0 if n == 1 else 0.97)
    assert tuner.best == 1


@pytest.mark.parametrize(
    ("quiet", "busy"), [({1: 2.0, 2: 1.0}, {1: 4.0, 2: 90.0}), ({1: 2.0, 2: 1.1}, {1: 2.0, 2: 1.6})]
)
def test_load_that_comes_and_goes_is_followed(quiet, busy):
    tuner = ThreadTuner([1, 2])
    steps(tuner, 30, quiet.__getitem__)
    assert tuner.best == 2
    taken = steps(tuner, 60, busy.__getitem__)
    assert tuner.best == min(busy, key=busy.get)
    assert taken[0] == 2
    steps(tuner, 60, quiet.__getitem__)
    assert tuner.best == 2


def test_what_was_hopeless_is_tried_again_only_when_the_machine_changes():
    tuner = ThreadTuner([1, 2])
    steps(tuner, 8, {1: 5.0, 2: 1.0}.__getitem__)
    assert steps(tuner, 1000, {1: 5.0, 2: 1.0}.__getitem__) == [2] * 1000
    assert 1 in steps(tuner, 20, {1: 5.0, 2: 9.0}.__getitem__)


def test_what_was_nearly_as_fast_is_tried_now_and_then():
    tuner = ThreadTuner([1, 2])
    steps(tuner, 8, {1: 1.2, 2: 1.0}.__getitem__)
    taken = steps(tuner, 1000, {1: 1.2, 2: 1.0}.__getitem__)
    assert 0 < taken.count(1) <= 40  # four of some hundred steps


def test_longer_steps_of_more_rows_are_no_change():
    tuner = ThreadTuner([1, 2])
    steps(tuner, 8, {1: 5.0, 2: 1.0}.__getitem__)
    for n in range(300):
        assert tuner.count == 2
        tuner.add_step(1.0 + n / 100, 10 + n // 10)  # a tenth of a second a row, whatever it has


def test_one_number_is_never_measured():
    tuner = ThreadTuner([3])
    assert (tuner.best, tuner.is_trying) == (3, False)
    assert steps(tuner, 300, lambda _: 1.0) == [3] * 300


def test_a_run_that_goes_on_begins_with_what_it_had():
    tuner = ThreadTuner([1, 2, 4], best=2)
    assert steps(tuner, 20, {1: 1.0, 2: 2.0, 4: 3.0}.__getitem__)[:7] == [2] * 5 + [1, 1]
    assert tuner.best == 1
    assert ThreadTuner([1, 2, 4], best=3).best == 4  # another machine


def test_a_block_has_its_threads():
    before = torch.get_num_threads()
    with using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_limit_is_shared_by_processes_and_bound_by_openmp(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12)
    assert [thread_limit(n) for n in (1, 2, 5, 24)] == [12, 6, 2, 1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert thread_limit() == 4


def test_threads_that_no_machine_has_are_refused():
    for given in (0, 1 << 20):
        with pytest.raises(MeloError, match="give a number of threads, 1 to"):
            check_threads(given)
    check_threads(None)
    check_threads(1)


def test_a_timed_step_has_the_threads_of_the_tuner_and_its_time_is_taken_in():
    tuner, seen = new_tuner(2), []
    with tuner.timed(10):
        seen.append(torch.get_num_threads())
    assert seen == [2]
    tuner = ThreadTuner([1, 2])
    for _ in range(8):
        with tuner.timed(10):
            seen.append(torch.get_num_threads())
    assert seen[1:] == [1, 1, 2, 2, 1, 1, 2, 2]
    assert not tuner.is_trying
    assert tuner.row_seconds(1) > 0
