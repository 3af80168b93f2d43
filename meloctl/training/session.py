"""One `meloctl train`: from a plan to a finished run."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from analysis.arrays import Floats
from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from masks.describe import density
from masks.rules.learned import GATES_FILE as GATES
from meloctl.machine import Machine, this_machine
from meloctl.model.attention.gates import work_by_gate
from meloctl.model.checkpoint import load_model
from meloctl.model.meloformer.model import MeloFormer, n_parameters
from meloctl.model.registry import Model, build
from meloctl.progress import ProgressReporter
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.threads import using_threads
from meloctl.training.data import TrainData, load_train_data, piece_name, window_pairs
from meloctl.training.feasibility import Feasibility, FittingRun, check_feasibility, memory_line
from meloctl.training.loss_curve import draw_loss_curve
from meloctl.training.plan import TrainPlan, corpus_size
from meloctl.training.schedule import TrainProgress, best_loss
from meloctl.training.state import ENDED, STATE
from meloctl.training.step_timing import peak_memory_bytes
from meloctl.training.trainer import TrainJob, train
from meloctl.training.validation import ValidationLoss, validation_loss
from meloctl.workspace import Run, RunOutput, Workspace

FILES = ["model.safetensors", "model.json", "metrics.csv", "loss.png", ENDED]


def session_feasibility(space: Workspace, plan: TrainPlan, accelerator: Accelerator) -> Feasibility:
    """Whether a plan is possible on this machine; nothing is built or written. A run that was begun is always possible."""
    begun = any((space.folder(plan.recipe) / name).is_file() for name in (STATE, ENDED))
    if begun or not accelerator.is_main_process:
        return Feasibility()
    run, machine = _fitting_run(plan, accelerator)
    return check_feasibility(run, default_vocabulary(), corpus_size(plan), machine)


def is_sharded(plan: TrainPlan, accelerator: Accelerator) -> bool:
    """Whether the model is sharded over the ranks: as the plan says, or else only the largest one on several GPUs."""
    several = accelerator.num_processes > 1
    if plan.shard is not None:
        return plan.shard and several
    return several and accelerator.device.type == "cuda" and plan.name.size == "large"


def run_session(space: Workspace, plan: TrainPlan, reporter: ProgressReporter, accelerator: Accelerator) -> Run | None:
    """Encode, train, evaluate and draw; a run that was stopped is resumed. All ranks call it together.

    Returns:
        The finished run; None on all ranks but the first.
    """

    def make(folder: Path) -> RunOutput:
        return _make(plan, folder, space.cache, reporter, accelerator)

    if accelerator.is_main_process:
        return space.once(plan.recipe, make)
    make(space.folder(plan.recipe))
    return None


def _make(
    plan: TrainPlan, folder: Path, cache: Path, reporter: ProgressReporter, accelerator: Accelerator
) -> RunOutput:
    """Train, and write the run's files into its folder; the first rank writes."""
    vocabulary = default_vocabulary()
    with accelerator.main_process_first():
        data = load_train_data(cache, plan, vocabulary, reporter)
    began = time.monotonic()
    torch.manual_seed(plan.config.seed)
    model = build(plan.name.architecture, plan.model_config, vocabulary, plan.spec, gated=plan.config.gates)
    model.heads.init_biases(data.baseline.unigram)
    model.header_changes = data.header_changes
    if plan.start:
        plan.start.load_into(model)
    unigram, bigram = data.baseline.bits_per_note(model, data.validation)
    baselines = {"unigram": unigram, "bigram by field": bigram}
    visible, work = None, None
    if spec := plan.spec:
        pairs = window_pairs(data.training, vocabulary)
        visible = density(spec, pairs)
        work = work_by_gate(pairs, exempt=spec.drums == "exempt") if plan.config.gates else None
    for line in _description(plan, data, model, baselines, visible):
        reporter.message(line)
    progress = _train(plan, data, model, work, folder, reporter, accelerator, began=began)
    accelerator.wait_for_everyone()  # for the first one's file
    ended = time.monotonic()
    best, quality = _best_model(folder)
    loss = _final_loss(plan, data, progress, best, quality, accelerator)
    progress.seconds += time.monotonic() - ended
    results = _results(plan, data, model, progress, loss, baselines, visible, accelerator)
    results["step"] = quality.get("step", progress.best_step)
    files = list(FILES)
    if accelerator.is_main_process:
        draw_loss_curve(progress.history, baselines, folder / "loss.png")
        if work is not None and isinstance(best, MeloFormer) and best.gates:
            atomic_write_text(folder / GATES, best.gates.read_out(work).to_text())
            files.append(GATES)
    return RunOutput(files=files, results={"training": results})


def _train(
    plan: TrainPlan,
    data: TrainData,
    model: Model,
    work: Floats | None,
    folder: Path,
    reporter: ProgressReporter,
    accelerator: Accelerator,
    *,
    began: float,
) -> TrainProgress:
    """Train; where memory runs out, raise MeloError with what takes it and what takes less."""
    penalty = None
    if work is not None and isinstance(model, MeloFormer) and (gates := model.gates):
        shares = torch.from_numpy(work).to(accelerator.device)

        def penalty() -> Tensor:
            return plan.config.gate_price * gates.price(shares)

    job = TrainJob(
        model=model,
        architecture=plan.name.architecture,
        training=data.training,
        validation=data.validation,
        config=plan.config,
        folder=folder,
        began=began,
        shard=is_sharded(plan, accelerator),
        penalty=penalty,
        name_of=lambda window: piece_name(plan, data.piece[window]),
    )
    try:
        return train(job, reporter, accelerator)
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
        if not known:
            raise
        raise out_of_memory(plan, accelerator) from error


def _best_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """(model, its quality) that a run which has ended saved.

    Raises:
        MeloError: its files are damaged, and giving the command again would not fix them.
    """
    try:
        return load_model(folder)
    except MeloError as error:
        raise MeloError(
            f"{folder}: training has ended, but its model is damaged; delete {folder} and train again"
        ) from error


def _final_loss(
    plan: TrainPlan,
    data: TrainData,
    progress: TrainProgress,
    best: Model,
    quality: dict[str, Any],
    accelerator: Accelerator,
) -> ValidationLoss:
    """The best model's loss on all validation windows: as it was measured on the way, where that was on all of them."""
    saved_then = (quality.get("step"), quality.get("bits_per_note")) == (progress.best_step, progress.best)
    if saved_then and not progress.final_rows:  # a crash between model and state leaves the model newer
        return best_loss(progress)
    with using_threads(progress.threads):
        return validation_loss(best.to(accelerator.device), data.validation, plan.config.pack_rows, accelerator)


def _fitting_run(plan: TrainPlan, accelerator: Accelerator) -> tuple[FittingRun, Machine]:
    machine = this_machine(plan.name.config.width, processes=accelerator.num_processes)
    shard = is_sharded(plan, accelerator)
    return FittingRun(name=plan.name, spec=plan.spec, config=plan.config, shard=shard), machine


def out_of_memory(plan: TrainPlan, accelerator: Accelerator) -> MeloError:
    """The error of a run that ran out of memory: what takes it, and which options take less."""
    run, machine = _fitting_run(plan, accelerator)
    needed = run.resources(default_vocabulary(), corpus_size(plan), machine)
    less = [
        *([] if plan.config.checkpointing else ["`checkpointing`"]),
        *(["a smaller `pack_rows`"] if plan.config.pack_rows > plan.name.config.context else []),
        *(["a smaller `model`"] if plan.name.size != "tiny" else []),
    ]
    return MeloError(
        f"out of memory with `model {plan.name}`. {memory_line(needed, plan.config, machine)}; "
        f"give {', or '.join(less) or 'the machine more memory'}"
    )


def _description(
    plan: TrainPlan, data: TrainData, model: Model, baselines: dict[str, float], visible: float | None
) -> list[str]:
    """The model, the data and the baselines in words."""
    loss, counts = data.shard.loss, ", ".join(f"{n} {side}" for side, n in data.counts.items())
    moved, resized, merged = (f"{100 * n / loss.notes:.1f} %" for n in (loss.moved, loss.resized, loss.merged))
    lines = [
        f"{plan.name}: {n_parameters(model) / 1e6:.1f}M parameters, windows of up to {plan.name.config.context:,} rows",
        f"{len(data.shard)} pieces: {counts}; {len(data.shard.rows):,} rows",
        f"The grid of 12 steps a quarter moves {moved} of {loss.notes:,} notes, changes the length of {resized} "
        f"and merges {merged}",
    ]
    if (cut := data.left_out).notes:
        lines.append(
            f"{_bars_are(cut.bars)} longer than {plan.name.config.context:,} rows: {cut.notes:,} notes at the end of such "
            "bars are not trained on; a larger model has a longer context"
        )
    if plan.config.gates:
        lines.append("Rows attend to all earlier rows through learnable gates, one per relation and offset")
    elif visible is not None:
        lines.append(f"The mask shows {100 * visible:.0f} % of the pairs of rows that dense causal attention sees")
    if plan.config.infill:
        lines.append(
            f"{100 * plan.config.infill:.0f} % of the windows are infill windows, which meloctl generate --infill needs"
        )
    if isinstance(model, MeloFormer) and model.plans is not None:
        lines.append(
            f"{100 * plan.config.plans:.0f} % of the windows are shown with plans of their bars, {model.plans.bits:.1f} "
            "bits a bar at most, which meloctl generate --like and --text need"
        )
    if plan.name.architecture == "encoder-decoder":
        lines.append("Bits are those of the second half of each window, which is what this model writes")
    beat = ", ".join(f"{name} {bits:.2f}" for name, bits in baselines.items())
    lines.append(f"To beat on validation: {beat} bits a note")
    return lines


def _bars_are(n: int) -> str:
    return "1 bar is" if n == 1 else f"{n:,} bars are"


def _results(
    plan: TrainPlan,
    data: TrainData,
    model: Model,
    progress: TrainProgress,
    loss: ValidationLoss,
    baselines: dict[str, float],
    visible: float | None,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """The "training" of the manifest's results: see docs/formats.md."""
    rows, notes, waiting = (
        float(np.median([entry[name] for entry in progress.history]))
        for name in ("rows_per_second", "notes_per_second", "waiting")
    )
    return {
        "model": str(plan.name),
        "parameters": n_parameters(model),
        "why": progress.why,
        "steps": progress.step,
        "seconds": progress.seconds,
        "minutes": plan.config.minutes,
        "rows_per_second": rows,
        "notes_per_second": notes,
        "waiting": waiting,
        "padding": progress.padding,
        "peak_bytes": peak_memory_bytes(),
        "threads": progress.threads,
        "processes": accelerator.num_processes,
        "bits_per_note": loss.bits_per_note,
        "unigram_bits_per_note": baselines["unigram"],
        "bigram_bits_per_note": baselines["bigram by field"],
        "fields": loss.fields,
        "grid": asdict(data.shard.loss),
        "left_out": asdict(data.left_out),
        "density": visible,
        "pieces": data.counts,
    }
