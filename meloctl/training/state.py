"""The saved state of an unfinished run, and the record of a finished one.

The state is whole tensors in one file, whatever number of ranks wrote it: another number can resume from it.
"""

import json
from pathlib import Path

import msgspec
import pandas as pd
import torch
from torch import Tensor

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import read_json
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors
from meloctl.training.processes import distribute_like, full_tensor
from meloctl.training.schedule import TrainProgress
from meloctl.training.train_step import TrainState

STATE, ENDED = "last.safetensors", "training.json"
"""Files in a run's folder: the state of an unfinished run, the record of a finished one."""


def save_state(state: TrainState, progress: TrainProgress, folder: Path) -> None:
    """Write metrics.csv and the training state: one file, so all of it is of one step; a finished run writes its record instead.

    All ranks call it together; the first one writes.
    """
    tensors = {} if progress.why else state_tensors(state)
    if not state.accelerator.is_main_process:
        return
    if progress.history:
        with atomic_write(folder / "metrics.csv") as temporary:
            pd.DataFrame(progress.history).to_csv(temporary, index=False)
    path = folder / STATE
    if progress.why:
        atomic_write_text(folder / ENDED, json.dumps(msgspec.to_builtins(progress), indent=1) + "\n")
        path.unlink(missing_ok=True)
        return
    save_tensors(tensors, path, {"progress": json.dumps(msgspec.to_builtins(progress))})


def full_weights(state: TrainState) -> dict[str, Tensor]:
    """The model's weights by name, unsharded; all ranks call it together."""
    return {name: full_tensor(tensor.detach()) for name, tensor in state.model.state_dict().items()}


def state_tensors(state: TrainState) -> dict[str, Tensor]:
    """Weights and what the optimizer keeps of each, by name, unsharded and on the CPU."""
    out = {f"model.{name}": tensor for name, tensor in full_weights(state).items()}
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.kept(parameter).items():
            out[f"{key}.{name}"] = full_tensor(value.detach())
    return {name: tensor.cpu().contiguous() for name, tensor in out.items()}


def resume_run(state: TrainState, folder: Path) -> TrainProgress | None:
    """Load an unfinished run's state into `state`, on all ranks; None when there is none. Raises MeloError when it is damaged."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        tensors, metadata = load_tensors(path), load_metadata(path)
        progress = msgspec.convert(json.loads(metadata["progress"]), TrainProgress)
        _restore(state, tensors)
    except (MeloError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another model's or version's; delete {folder} and train again"
        ) from error
    return progress


@torch.no_grad()
def _restore(state: TrainState, tensors: dict[str, Tensor]) -> None:
    """Load what state_tensors returned. Raises KeyError or ValueError: a tensor is missing, or of another shape or type."""
    for name, parameter in state.model.named_parameters():

        def saved(kind: str, name: str = name, parameter: Tensor = parameter) -> Tensor:
            tensor = tensors[f"{kind}.{name}"]
            if tensor.shape != parameter.shape or tensor.dtype != parameter.dtype:
                raise ValueError(f"the {kind} of {name} does not fit")
            return distribute_like(tensor, parameter)

        parameter.copy_(saved("model"))
        kept = {key: saved(key) for key in state.optimizer.keeps(parameter) if key != "step"}
        if "step" in state.optimizer.keeps(parameter):
            kept["step"] = tensors[f"step.{name}"].reshape(())
        state.optimizer.restore(parameter, kept)


def ended_run(folder: Path) -> TrainProgress | None:
    """The record of a run that was stopped after its last step and before its manifest was written; None for any other."""
    path = folder / ENDED
    if not path.is_file():
        return None
    try:
        return msgspec.convert(read_json(path, what="training record"), TrainProgress)
    except msgspec.ValidationError as error:
        raise MeloError(
            f"{path}: a damaged training record, or another version's; delete {folder} and train again"
        ) from error
