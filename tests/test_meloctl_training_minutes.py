"""The time budget is kept, by a clock that the test drives: on quiet and slower machines, with slow evaluations, after a kill."""

import math

import pytest
import torch
from train_small import DATA, Recorder, config, fresh, run

from meloctl.training import step_timing, trainer
from meloctl.training.schedule import TrainProgress, learning_rate, note_best, stop_reason
from meloctl.training.time_plan import EVALUATION_SHARE, plan_run, replan
from meloctl.training.validation import ValidationLoss, rows_of

LOSS = ValidationLoss(bits_per_note=1.0, fields={})


class Machine:
    """A pretended machine: a clock, and the seconds that steps and evaluations take by it."""

    def __init__(self, a_step=0.4, a_row=5e-5, load=lambda seconds: 1.0):
        self.now, self.a_step, self.a_row, self.load = 0.0, a_step, a_row, load

    def work(self, seconds):
        """Pass the time of work that takes so long on a quiet machine."""
        for part in (*[0.05] * int(seconds / 0.05), seconds % 0.05):
            self.now += part * self.load(self.now)

    def train(self, minutes, rows, *, epochs=1_000_000, losses=None, patience=1000):
        """(progress, seconds with the evaluation at the end, learning rates) of a run without a model."""
        settings = config(minutes=minutes, epochs=epochs, evaluations=30, learning_rate=1.0, patience=patience)
        self.work(3 * self.a_step + 2048 * self.a_row)
        slowness = self.load(self.now)
        progress = plan_run(
            settings,
            packs_per_epoch=20,
            validation_rows=rows,
            seconds=self.now,
            step_seconds=self.a_step * slowness,
            row_seconds=self.a_row * slowness,
        )
        return self.go_on(progress, settings, losses)

    def go_on(self, progress, settings, losses=None, until=math.inf):
        rates = []
        while not progress.why and self.now < until:
            rates.append(learning_rate(progress, settings))
            self.work(self.a_step)
            progress.add_step(1.0, 1, seconds=self.now)
            replan(progress, settings)
            if progress.step >= min(progress.next_evaluation, progress.steps):
                self.work(progress.validation_rows * self.a_row)
                note_best(progress, next(losses) if losses else LOSS)
                progress.add_evaluation(progress.validation_rows, seconds=self.now)
                replan(progress, settings)
                progress.why = stop_reason(progress, settings)
        if progress.why:
            self.work(progress.final_rows * self.a_row)
        return progress, self.now, rates


def slower_from(second, times):
    return lambda now: times if now >= second else 1.0


LOADS = {
    "quiet": slower_from(0, 1.0),
    "busy": slower_from(0, 5.0),
    "5 times slower in the middle": slower_from(90, 5.0),
    "5 times slower at the end": slower_from(150, 5.0),
    "5 times faster in the middle": lambda now: 5.0 if now < 90 else 1.0,
    "uneven": lambda now: 1 + 2 * (math.sin(now) > 0.3),
    "twice as slow while it was rehearsed": lambda now: 2.0 if now < 5 else 1.0,
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("rows", [9_000, 60_000])
def test_minutes_are_kept_on_any_machine(load, rows):
    progress, seconds, _ = Machine(load=load).train(3.0, rows)
    assert abs(seconds - 180) <= 0.05 * 180
    assert progress.why == "3 minutes are over"
    assert progress.step == progress.steps < progress.max_steps
    assert progress.done == pytest.approx(1.0, abs=0.15)  # less than 1 where it slows down at the very end


@pytest.mark.parametrize("minutes", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("a_row", [1e-6, 5e-5, 2e-4])
def test_minutes_are_kept_however_slow_evaluations_are(minutes, a_row):
    """A row at 0.2 ms is as slow to evaluate as to train on; the bug that was reported had such evaluations."""
    progress, seconds, _ = Machine(a_step=0.1, a_row=a_row).train(minutes, 20_000)
    assert abs(seconds - 60 * minutes) <= 0.05 * 60 * minutes
    a_last = progress.validation_rows * a_row  # the one after the last step comes in any case
    assert progress.evaluation_seconds <= EVALUATION_SHARE * 60 * minutes + 1.1 * a_last
    if a_last < EVALUATION_SHARE * 60 * minutes / 30:
        assert 27 <= progress.evaluations_since_best + 1 <= 31  # as many as are asked for: 30


def test_evaluations_on_the_way_take_fewer_windows_where_time_is_short():
    enough, _, _ = Machine(a_row=1e-6).train(10.0, 100_000)
    short, _, _ = Machine(a_row=5e-4).train(10.0, 100_000)
    assert (enough.validation_every, enough.final_rows) == (1, 0)  # the best evaluation's figure is the final one
    # a share of 36 s by 30 evaluations: 1.2 s, in which 2,400 rows are evaluated; 8,192 are wanted
    assert (short.validation_every, short.final_rows) == (13, 100_000)


def test_the_learning_rate_never_jumps_and_ends_where_the_time_does():
    for load in LOADS.values():
        progress, _, rates = Machine(load=load).train(3.0, 9_000)
        top = rates.index(max(rates))
        assert max(rates) > 0.99
        assert all(a <= b for a, b in zip(rates[:top], rates[1:top], strict=False))
        assert all(a >= b for a, b in zip(rates[top:], rates[top + 1 :], strict=False))
        assert rates[-1] == pytest.approx(0.1, abs=0.03)
        falls = [a - b for a, b in zip(rates[top:], rates[top + 1 :], strict=False)]
        assert max(falls) < 0.06, falls
        assert len(rates) == progress.step


def test_all_epochs_that_fit_are_planned_by_the_settings_alone():
    plans = []
    for load in (LOADS["quiet"], LOADS["uneven"], LOADS["twice as slow while it was rehearsed"]):
        progress, seconds, rates = Machine(load=load).train(30.0, 9_000, epochs=6)
        assert progress.why == "all 6 epochs are done"
        assert seconds < 1800
        plans.append((progress.step, rates))
    assert plans[0] == plans[1] == plans[2]
    assert plans[0][0] == 60  # 6 epochs of 20 packs, 2 a step


def test_patience_is_said_and_what_it_leaves_unused():
    losses = (ValidationLoss(bits_per_note=float(n), fields={}) for n in range(1000))
    progress, seconds, _ = Machine().train(3.0, 9_000, losses=losses, patience=6)
    assert progress.why == f"no better for {progress.evaluations_since_best} evaluations"
    assert seconds < 0.9 * 180


def test_time_before_a_kill_counts():
    settings = config(minutes=3.0, epochs=1_000_000, evaluations=30, patience=1000)
    machine = Machine()
    progress = plan_run(
        settings, packs_per_epoch=20, validation_rows=9_000, seconds=2.0, step_seconds=0.4, row_seconds=5e-5
    )
    machine.now = 2.0
    machine.go_on(progress, settings, until=100.0)
    assert not progress.why
    machine.load = slower_from(0, 2.0)  # it goes on beside other programs
    ended, seconds, _ = machine.go_on(progress, settings)
    assert ended.why == "3 minutes are over"
    assert abs(seconds - 180) <= 0.05 * 180


def test_a_run_whose_last_evaluation_takes_longer_than_half_the_time_still_trains():
    progress, seconds, _ = Machine(a_row=5e-3).train(1.0, 20_000)
    assert progress.step >= 20
    assert seconds > 100  # 20,000 rows by 5 ms: it ends late, and its estimate says so


# the trainer itself, on the pretended machine


@pytest.fixture
def machine(monkeypatch):
    """Steps and evaluations of real, small runs advance the pretended clock."""
    made = Machine(a_step=0.25, a_row=1e-3)

    def slowed(function, seconds):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            made.work(seconds(*args))
            return result

        return call

    step, evaluation = (lambda *_: made.a_step), (lambda _, chosen, *__: rows_of(chosen) * made.a_row)
    monkeypatch.setattr(trainer, "optimizer_step", slowed(trainer.optimizer_step, step))
    monkeypatch.setattr(step_timing, "optimizer_step", slowed(step_timing.optimizer_step, step))
    for module in (trainer, step_timing):
        monkeypatch.setattr(module, "validation_loss", slowed(module.validation_loss, evaluation))
    return made


ENDLESS = {"packs": 1, "epochs": 100_000, "evaluations": 10, "minutes": 0.5, "patience": 99}


@pytest.mark.parametrize(
    "load", [slower_from(0, 1.0), slower_from(15, 5.0)], ids=["quiet", "5 times slower in the middle"]
)
def test_the_trainer_keeps_its_minutes(tmp_path, machine, load):
    machine.load = load
    progress = run(tmp_path, Recorder(), clock=lambda: machine.now, **ENDLESS)
    assert progress.why == "0.5 minutes are over"
    assert abs(machine.now - 30) <= 0.05 * 30
    assert progress.seconds == pytest.approx(machine.now)
    assert all(entry["seconds"] + entry["seconds_left"] == pytest.approx(30, abs=1.5) for entry in progress.history)


def test_time_before_a_stop_counts_in_the_trainer(tmp_path, machine):
    first, second = Recorder(stop_after=40), Recorder()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first, clock=lambda: machine.now, save_seconds=0.0, **ENDLESS)
    stopped = machine.now
    machine.now += 1000.0  # hours later
    progress = run(tmp_path, second, clock=lambda: machine.now, **ENDLESS)
    assert progress.why == "0.5 minutes are over"
    assert (
        abs(stopped + machine.now - (stopped + 1000.0) - 30) <= 0.05 * 30 + machine.a_step
    )  # the step that was not saved
    assert second.estimate.done == 39


def test_time_before_training_counts_where_the_session_says_when_it_began(tmp_path, machine):
    machine.now = 10.0
    run(tmp_path, Recorder(), clock=lambda: machine.now, began=4.0, **ENDLESS)
    assert abs(machine.now - 34) <= 0.05 * 30


def test_the_evaluations_of_a_run_take_the_same_windows(tmp_path, machine, monkeypatch):
    taken, measure = [], trainer.validation_loss

    def remembered(model, chosen, *rest):
        taken.append(list(chosen))
        return measure(model, chosen, *rest)

    monkeypatch.setattr(trainer, "validation_loss", remembered)
    monkeypatch.setattr("meloctl.training.time_plan._WANTED_ROWS", 100)
    progress = run(tmp_path, Recorder(), model=fresh(), clock=lambda: machine.now, **{**ENDLESS, "minutes": 0.1})
    assert progress.validation_every > 1
    assert progress.final_rows == rows_of(DATA[1])
    assert len(taken) > 1
    assert all(chosen == list(DATA[1][:: progress.validation_every]) for chosen in taken)
    assert progress.validation_rows == pytest.approx(rows_of(taken[0]), rel=0.5)


# threads, on the pretended machine


@pytest.fixture
def two_cores(machine, monkeypatch):
    """A step takes a quarter of a second on one thread and less on two; from second 12 on, beside other programs, far longer."""
    times = {1: lambda now: 0.25, 2: lambda now: 1.5 if now > 12 else 0.15}

    monkeypatch.setattr(machine, "work", lambda seconds: setattr(machine, "now", machine.now + seconds))
    monkeypatch.setattr(
        type(machine),
        "a_step",
        property(lambda self: times[torch.get_num_threads()](self.now), lambda *_: None),
        raising=False,
    )
    monkeypatch.setattr("meloctl.training.step_threads.thread_limit", lambda _: 2)
    return machine


def test_the_number_of_threads_follows_the_load_and_is_recorded(tmp_path, two_cores):
    before, reporter = torch.get_num_threads(), Recorder()
    progress = run(tmp_path, reporter, clock=lambda: two_cores.now, **ENDLESS)
    assert reporter.estimate.threads == 2
    assert abs(two_cores.now - 30) <= 0.05 * 30
    assert [entry["threads"] for entry in progress.history][:2] == [2, 2]
    assert progress.history[-1]["threads"] == progress.threads == 1
    (said,) = [line for line in reporter.messages if "thread instead of" in line]
    assert ": 1 thread instead of 2, " in said
    assert torch.get_num_threads() == before


def test_a_resumed_run_begins_with_its_number_of_threads(tmp_path, two_cores):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Recorder(stop_after=30), clock=lambda: two_cores.now, save_seconds=0.0, **ENDLESS)
    again = Recorder()
    run(tmp_path, again, clock=lambda: two_cores.now, **ENDLESS)
    assert again.estimate.threads == 2


def test_a_number_that_is_given_is_kept(tmp_path, two_cores):
    reporter = Recorder()
    progress = run(tmp_path, reporter, clock=lambda: two_cores.now, threads=2, **{**ENDLESS, "minutes": 0.4})
    assert {entry["threads"] for entry in progress.history} == {2}
    assert not any("instead of" in line for line in reporter.messages)


def test_progress_knows_the_recent_speed():
    progress = TrainProgress(steps=10, max_steps=10, step_seconds=1.0, row_steps=0.01)
    progress.add_step(1.0, 1, seconds=2.0)
    assert progress.step_seconds == pytest.approx(1.15)  # 15 % of the way from 1 to 2
    assert progress.done == pytest.approx(0.1)
    assert progress.evaluation_time(200) == pytest.approx(200 * 0.01 * 1.15)
    progress.add_evaluation(100, seconds=2.0 + 100 * 0.03 * 1.15)  # 0.03 steps a row; half of the way from 0.01
    assert progress.evaluation_time(200) == pytest.approx(200 * 0.02 * 1.15)
    assert progress.evaluation_seconds == pytest.approx(3.45)
    assert (progress.evaluated_at, progress.evaluated_step) == (progress.seconds, 1)
