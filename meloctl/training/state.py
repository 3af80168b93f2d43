"""The state of an unfinished run on disk, and how a finished one went.

The state is whole tensors in one file, whatever number of processes wrote it: another number can go on from it.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.errors import MeloError
from analysis.json_file import read_json
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors
from meloctl.training.processes import distribute_like, full_tensor
from meloctl.training.schedule import TrainProgress
from meloctl.training.train_step import TrainState

STATE, ENDED = "last.safetensors", "training.json"
"""Where a run's folder holds the state of an unfinished run, and how a finished one went."""

_MOMENTS = ("exp_avg", "exp_avg_sq")


def save_state(learner: TrainState, standing: TrainProgress, folder: Path) -> None:
    """Write metrics.csv and the training state, which is one file and so always of one moment; a finished run has none.

    All processes call it together; the first one writes.
    """
    tensors = {} if standing.why else state_tensors(learner)
    if not learner.accelerator.is_main_process:
        return
    if standing.history:
        with atomic_write(folder / "metrics.csv") as temporary:
            pd.DataFrame(standing.history).to_csv(temporary, index=False)
    state = folder / STATE
    if standing.why:
        atomic_write_text(folder / ENDED, json.dumps(asdict(standing), indent=1) + "\n")
        state.unlink(missing_ok=True)
        return
    save_tensors(tensors, state, {"standing": json.dumps(asdict(standing))})


def whole_weights(learner: TrainState) -> dict[str, Tensor]:
    """The model's weights by name, in one piece each; all processes call it together."""
    return {name: full_tensor(tensor.detach()) for name, tensor in learner.model.state_dict().items()}


def state_tensors(learner: TrainState) -> dict[str, Tensor]:
    """Weights, their running mean, AdamW's moments and step counts, by name; on the CPU, in one piece each."""
    out = {f"model.{name}": tensor for name, tensor in whole_weights(learner).items()}
    if learner.average:
        out |= {f"average.{name}": full_tensor(tensor) for name, tensor in learner.average.weights.items()}
    for name, parameter in learner.model.named_parameters():
        for key, value in learner.optimizer.state.get(parameter, {}).items():
            out[f"{key}.{name}"] = full_tensor(torch.as_tensor(value).detach())
    return {name: tensor.cpu().contiguous() for name, tensor in out.items()}


def resume_run(learner: TrainState, folder: Path) -> TrainProgress | None:
    """Put an unfinished run's state back, in all processes; None when there is none. Raises MeloError when it is damaged."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        tensors, metadata = load_tensors(path), load_metadata(path)
        standing = _standing(json.loads(metadata["standing"]))
        _restore(learner, tensors)
    except (MeloError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another model's; delete {folder} and train again"
        ) from error
    return standing


@torch.no_grad()
def _restore(learner: TrainState, tensors: dict[str, Tensor]) -> None:
    """Put back what state_tensors took. Raises KeyError or ValueError: a tensor is missing, or another one."""
    for name, parameter in learner.model.named_parameters():

        def kept(kind: str, name: str = name, parameter: Tensor = parameter) -> Tensor:
            tensor = tensors[f"{kind}.{name}"]
            if tensor.shape != parameter.shape or tensor.dtype != parameter.dtype:
                raise ValueError(f"the {kind} of {name} does not fit")
            return distribute_like(tensor, parameter)

        parameter.copy_(kept("model"))
        if learner.average:
            learner.average.weights[name].copy_(kept("average"))
        moments = {kind: kept(kind) for kind in _MOMENTS}
        learner.optimizer.state[parameter] = {"step": tensors[f"step.{name}"].reshape(()), **moments}


def ended_run(folder: Path) -> TrainProgress | None:
    """How a run ended that was stopped after its last step, before its manifest was written; None for any other."""
    path = folder / ENDED
    if not path.is_file():
        return None
    try:
        return _standing(read_json(path, what="training record"))
    except (TypeError, ValueError) as error:
        raise MeloError(f"{path}: a damaged training record; delete {folder} and train again") from error


def _standing(data: object) -> TrainProgress:
    """A standing from parsed JSON. Raises TypeError or ValueError for anything else."""
    if not isinstance(data, dict):
        raise TypeError("not an object")
    standing = TrainProgress(**data)
    fresh = asdict(TrainProgress(steps=0, most=0))
    if not all(
        isinstance(getattr(standing, k), (int, float) if type(v) is float else type(v)) for k, v in fresh.items()
    ):
        raise TypeError("a value of the wrong kind")
    return standing
