"""The training state of a bridge, in memory and in the folder of an unfinished run."""

import copy
import json
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.bridge.bridge_network import BridgeNetwork
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors

STATE = "bridge-state.safetensors"
"""The file in a run's folder."""


class BridgeProgress(msgspec.Struct, kw_only=True):
    """How far a run is, beside its tensors."""

    step: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    best: float | None = None
    """The lowest validation loss."""

    history: list[dict[str, float]] = msgspec.field(default_factory=list)


class BridgeState:
    """A network in training, its moving average, the best that this has been, and the optimizer."""

    def __init__(self, network: BridgeNetwork) -> None:
        self.network = network
        self.averaged = copy.deepcopy(network)
        """The same with averaged weights."""

        self.best = {name: p.detach().clone() for name, p in network.named_parameters()}
        """The averaged weights that were best on the validation examples, by name."""

        self.optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.01, foreach=True)
        for p in network.parameters():  # so that moments are there before the first step, to be restored into
            self.optimizer.state[p] = {
                "step": torch.tensor(0.0),
                "exp_avg": p.new_zeros(p.shape),
                "exp_avg_sq": p.new_zeros(p.shape),
            }

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the network's, and keep `decay` of what they were."""
        for averaged, p in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            averaged.lerp_(p, 1 - decay)

    @torch.no_grad()
    def keep_as_best(self) -> None:
        """The averaged weights are the best so far."""
        self.best = {name: p.clone() for name, p in self.averaged.named_parameters()}

    @torch.no_grad()
    def load_best(self) -> None:
        """Give the network the best weights."""
        for name, p in self.network.named_parameters():
            p.copy_(self.best[name])

    def tensors(self) -> dict[str, Tensor]:
        """All by name."""
        out: dict[str, Tensor] = {}
        averaged = dict(self.averaged.named_parameters())
        for name, p in self.network.named_parameters():
            out |= {
                f"weights.{name}": p.detach(),
                f"average.{name}": averaged[name].detach(),
                f"best.{name}": self.best[name],
            }
            out |= {f"{key}.{name}": value for key, value in self.optimizer.state[p].items()}
        return {name: tensor.contiguous() for name, tensor in out.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` gave. Raises KeyError or ValueError where one is missing or of another shape."""
        own = self.tensors()
        for name, tensor in own.items():
            if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
                raise ValueError(name)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])


def save_state(state: BridgeState, progress: BridgeProgress, folder: Path) -> None:
    """Write both into one file of a folder: all of it is of one step."""
    save_tensors(state.tensors(), folder / STATE, {"progress": json.dumps(msgspec.to_builtins(progress))})


def resume_state(state: BridgeState, folder: Path) -> BridgeProgress | None:
    """The progress of the run in a folder, its tensors loaded into `state`; None where none was begun.

    Raises:
        MeloError: a damaged file, or one of another network.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        tensors, metadata = load_tensors(path), load_metadata(path)
        progress = msgspec.convert(json.loads(metadata["progress"]), BridgeProgress)
        state.restore(tensors)
    except (MeloError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another bridge's; delete {folder} and run meloctl train-bridge again"
        ) from error
    return progress
