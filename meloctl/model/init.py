"""Initial weights of every architecture.

Source: GPT-2 (Radford et al., 2019): normal with standard deviation 0.02, and projections into the residual stream smaller the
deeper the model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

STD = 0.02
_RESIDUAL = (".out", ".mlp.outer", ".out_proj", ".linear2")
"""Ends of the names of modules whose output is added to the residual stream: ours, and those of PyTorch's Transformer layers."""


def init_weights(model: nn.Module, *, layers: int) -> None:
    """Draw a model's weights in place: linear layers, embeddings, attention's joint projections, and embeddings of distances.

    Args:
        layers: residual projections are scaled by 1 / √(2 · layers).
    """
    model.apply(_draw)
    for name, module in model.named_modules():
        if name.endswith(_RESIDUAL):
            module.get_parameter("weight").data *= (2 * layers) ** -0.5


def _draw(module: nn.Module) -> None:
    """Draw the weights that belong to one module itself; biases are 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    for name, parameter in module.named_parameters(recurse=False):
        if name in ("in_proj_weight", "distance"):
            nn.init.normal_(parameter, std=STD)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Modules that are built inside have parameters without values. Nothing is drawn for them: to draw on the meta device, torch
    2.13 imports its compiler, which takes longer than the rest of a model's loading."""
    with torch.device("meta"), _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors as they are where they would be drawn."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        of_init = getattr(func, "__module__", None) == nn.init.__name__
        if of_init or func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            tensor, *_ = (*args, *(kwargs or {}).values())
            return tensor
        return func(*args, **(kwargs or {}))
