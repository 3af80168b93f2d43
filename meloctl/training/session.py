"""One `meloctl train`: from the workspace's latest corpus and mask to a finished run."""

from contextlib import AbstractContextManager, nullcontext
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
from meloctl.machine import this_machine
from meloctl.model.attention.gates import work_by_gate
from meloctl.model.checkpoint import load_model
from meloctl.model.meloformer.model import MeloFormer, n_parameters
from meloctl.model.registry import Model, build
from meloctl.progress import ProgressReporter
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.training.data import TrainData, data_of, piece_name, watched, window_pairs
from meloctl.training.feasibility import Feasibility, FittingRun, memory_line, outlook
from meloctl.training.loss_curve import draw_loss_curve
from meloctl.training.options import TrainPlan, music_of
from meloctl.training.schedule import TrainProgress
from meloctl.training.state import ENDED, STATE
from meloctl.training.step_timing import peak_memory
from meloctl.training.trainer import TrainJob, train
from meloctl.training.validation import ValidationLoss, evaluate
from meloctl.workspace import Run, Workspace

FILES = ["model.safetensors", "model.json", "metrics.csv", "loss.png", ENDED]


def outlook_of(space: Workspace, session: TrainPlan, accelerator: Accelerator) -> Feasibility:
    """Is a session too much for this machine? Nothing is built or written; a run that was begun is not asked again."""
    begun = any((space.folder(session.recipe) / name).is_file() for name in (STATE, ENDED))
    if begun or not accelerator.is_main_process:
        return Feasibility()
    machine = this_machine(session.name.config.width, processes=accelerator.num_processes)
    wish = FittingRun(name=session.name, spec=session.spec, config=session.config, shard=sharded(session, accelerator))
    return outlook(wish, default_vocabulary(), music_of(session), machine)


def sharded(session: TrainPlan, accelerator: Accelerator) -> bool:
    """Is the model laid in pieces on all processes? As asked for, or else the largest one on several GPUs."""
    several = accelerator.num_processes > 1
    if session.shard is not None:
        return session.shard and several
    return several and accelerator.device.type == "cuda" and session.name.size == "large"


def run_session(
    space: Workspace, session: TrainPlan, reporter: ProgressReporter, accelerator: Accelerator
) -> Run | None:
    """Encode, train, evaluate and draw; a run that was stopped goes on. Several processes run it together.

    Returns:
        The finished run; None in all processes but the first.
    """
    with _alone(space, session, accelerator):
        vocabulary, folder = default_vocabulary(), space.folder(session.recipe)
        with accelerator.main_process_first():
            data = data_of(space, session, vocabulary, reporter)
        torch.manual_seed(session.config.seed)
        model = build(
            session.name.architecture, session.name.config, vocabulary, session.spec, gated=session.config.gates
        )
        model.heads.init_biases(data.baseline.unigram)
        levels = dict(
            zip(("unigram", "bigram by field"), data.baseline.bits_per_note(model, data.validation), strict=True)
        )
        shown, work = None, None
        if spec := session.spec:
            pairs = window_pairs(data.training, vocabulary)
            shown = density(spec, pairs)
            work = work_by_gate(pairs, exempt=spec.drums == "exempt") if session.config.gates else None
        for line in _words(session, data, model, levels, shown):
            reporter.message(line)
        folder.mkdir(parents=True, exist_ok=True)
        standing = _trained(session, data, model, work, folder, reporter, accelerator)
        accelerator.wait_for_everyone()  # for the first one's file
        best, kept = _best_of(folder)
        quality = evaluate(best.to(accelerator.device), data.validation, session.config.pack_rows, accelerator)
        if not accelerator.is_main_process:
            return None
        draw_loss_curve(standing.history, levels, folder / "loss.png", averaged=session.config.ema is not None)
        files = list(FILES)
        if work is not None and isinstance(best, MeloFormer) and best.gates:
            atomic_write_text(folder / GATES, best.gates.read_out(work).to_text())
            files.append(GATES)
        results = _results(session, data, model, standing, quality, levels, shown, accelerator)
        results["step"] = kept.get("step", standing.best_step)  # a death between model and state leaves the model newer
        return space.finish(session.recipe, files=files, results={"training": results})


def _alone(space: Workspace, session: TrainPlan, accelerator: Accelerator) -> AbstractContextManager[None]:
    """Keeps out a second command, not the processes of this one."""
    return space.locked(session.recipe) if accelerator.is_main_process else nullcontext()


def _trained(
    session: TrainPlan,
    data: TrainData,
    model: Model,
    work: Floats | None,
    folder: Path,
    reporter: ProgressReporter,
    accelerator: Accelerator,
) -> TrainProgress:
    """Train; where memory does not suffice, say what takes it and what takes less."""
    penalty = None
    if work is not None and isinstance(model, MeloFormer) and (gates := model.gates):
        shares = torch.from_numpy(work).to(accelerator.device)

        def penalty() -> Tensor:
            return session.config.gate_price * gates.price(shares)

    task = TrainJob(
        model=model,
        architecture=session.name.architecture,
        training=data.training,
        validation=watched(data.validation),
        config=session.config,
        folder=folder,
        shard=sharded(session, accelerator),
        penalty=penalty,
        name_of=lambda window: piece_name(session, data.piece[window]),
    )
    try:
        return train(task, reporter, accelerator)
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
        if not known:
            raise
        raise out_of_memory(session, accelerator) from error


def _best_of(folder: Path) -> tuple[Model, dict[str, Any]]:
    """The model that a run which has ended kept, and what was measured of it.

    Raises:
        MeloError: its files are damaged, and giving the command again would not mend them.
    """
    try:
        return load_model(folder)
    except MeloError as error:
        raise MeloError(
            f"{folder}: training has ended, but its model is damaged; delete {folder} and train again"
        ) from error


def out_of_memory(session: TrainPlan, accelerator: Accelerator) -> MeloError:
    """What takes the memory of a session, and what takes less."""
    machine = this_machine(session.name.config.width, processes=accelerator.num_processes)
    wish = FittingRun(name=session.name, spec=session.spec, config=session.config, shard=sharded(session, accelerator))
    needed = wish.need(default_vocabulary(), music_of(session), machine)
    less = [
        *([] if session.config.checkpointing else ["--checkpointing"]),
        *(["a smaller --pack-rows"] if session.config.pack_rows > session.name.config.context else []),
        *(["a smaller --model"] if session.name.size != "tiny" else []),
    ]
    return MeloError(
        f"out of memory with --model {session.name}. {memory_line(needed, session.config, machine)}; "
        f"give {', or '.join(less) or 'the machine more memory'}"
    )


def _words(
    session: TrainPlan, data: TrainData, model: Model, levels: dict[str, float], shown: float | None
) -> list[str]:
    """What the model and the data are, and what counting alone achieves."""
    loss, counts = data.shard.loss, ", ".join(f"{n} {side}" for side, n in data.counts.items())
    moved, resized, merged = (f"{100 * n / loss.notes:.1f} %" for n in (loss.moved, loss.resized, loss.merged))
    lines = [
        f"{session.name}: {n_parameters(model) / 1e6:.1f}M parameters, windows of up to {session.name.config.context:,} rows",
        f"{len(data.shard)} pieces: {counts}; {len(data.shard.rows):,} rows",
        f"The grid of 12 steps a quarter moves {moved} of {loss.notes:,} notes, changes the length of {resized} "
        f"and merges {merged}",
    ]
    if (cut := data.left_out).notes:
        lines.append(
            f"{_bars_are(cut.bars)} longer than {session.name.config.context:,} rows: {cut.notes:,} notes at the end of such "
            "bars are not heard; a larger --model has a longer context"
        )
    if session.config.gates:
        lines.append("Rows hear every earlier row through gates, one a relation and offset, which are learned")
    elif shown is not None:
        lines.append(f"The mask shows {100 * shown:.0f} % of the pairs of rows that dense causal attention sees")
    if session.config.infill:
        lines.append(
            f"{100 * session.config.infill:.0f} % of the windows have gaps that are written last, for meloctl generate --infill; "
            "--infill 0 leaves them out"
        )
    if session.name.architecture == "encoder-decoder":
        lines.append("Bits are counted on the second half of each window, which is what this model writes")
    beat = ", ".join(f"{name} {bits:.2f}" for name, bits in levels.items())
    lines.append(f"To beat on validation: {beat} bits a note")
    return lines


def _bars_are(n: int) -> str:
    return "1 bar is" if n == 1 else f"{n:,} bars are"


def _results(
    session: TrainPlan,
    data: TrainData,
    model: Model,
    standing: TrainProgress,
    quality: ValidationLoss,
    levels: dict[str, float],
    shown: float | None,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """How it went, for programs."""
    rows, notes, waiting = (
        float(np.median([entry[name] for entry in standing.history]))
        for name in ("rows_per_second", "notes_per_second", "waiting")
    )
    return {
        "model": str(session.name),
        "parameters": n_parameters(model),
        "why": standing.why,
        "steps": standing.step,
        "seconds": standing.seconds,
        "rows_per_second": rows,
        "notes_per_second": notes,
        "waiting": waiting,
        "padding": standing.padding,
        "peak_bytes": peak_memory(),
        "processes": accelerator.num_processes,
        "bits_per_note": quality.bits_per_note,
        "unigram_bits_per_note": levels["unigram"],
        "bigram_bits_per_note": levels["bigram by field"],
        "fields": quality.fields,
        "grid": asdict(data.shard.loss),
        "left_out": asdict(data.left_out),
        "density": shown,
        "pieces": data.counts,
    }
