"""The training state of a transcriber, in memory and in the folder of an unfinished run."""

import copy
import json
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors
from meloctl.transcription.loss_balance import LossBalance
from meloctl.transcription.network import Transcriber

STATE = "transcriber-state.safetensors"
"""The file in a run's folder."""

_DECAY = 0.01
_BETAS = (0.9, 0.98)


class TranscriberProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a run is, beside its tensors."""

    balance: LossBalance
    step: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    history: list[dict[str, float]] = msgspec.field(default_factory=list)
    """An entry an evaluation."""


class TranscriberState:
    """A network in training, its moving average, and the optimizer."""

    def __init__(self, network: Transcriber) -> None:
        self.network = network
        self.averaged = copy.deepcopy(network).eval()
        """The same with averaged weights, and averaged statistics of its norms."""

        parameters = list(network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": _DECAY},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=_BETAS, foreach=True)
        for p in parameters:  # so that moments are there before the first step, to be restored into
            self.optimizer.state[p] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights and statistics towards the network's, and keep `decay` of what they were."""
        for averaged, own in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if averaged.is_floating_point():
                averaged.lerp_(own, 1 - decay)
            else:
                averaged.copy_(own)

    def tensors(self) -> dict[str, Tensor]:
        """All by name."""
        out = {f"weights.{name}": tensor for name, tensor in self.network.state_dict().items()}
        out |= {f"average.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for name, p in self.network.named_parameters():
            out |= {f"{key}.{name}": value for key, value in self.optimizer.state[p].items()}
        return out

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` gave. Raises KeyError or ValueError where one is missing or of another shape."""
        own = self.tensors()
        for name, tensor in own.items():
            if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
                raise ValueError(name)
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def save_transcriber_state(state: TranscriberState, progress: TranscriberProgress, folder: Path) -> None:
    """Write both into one file of a folder: all of it is of one step."""
    tensors = {name: tensor.contiguous() for name, tensor in state.tensors().items()}
    save_tensors(tensors, folder / STATE, {"progress": json.dumps(msgspec.to_builtins(progress))})


def resume_transcriber_state(state: TranscriberState, folder: Path) -> TranscriberProgress | None:
    """The progress of the run in a folder, its tensors loaded into `state`; None where none was begun.

    Raises:
        MeloError: a damaged file, or one of another network.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        tensors, metadata = load_tensors(path), load_metadata(path)
        progress = msgspec.convert(json.loads(metadata["progress"]), TranscriberProgress)
        state.restore(tensors)
    except (MeloError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another network's; delete {folder} and run meloctl train-transcriber again"
        ) from error
    return progress
