"""The optimizer of a run: Muon for the matrices that turn states into states, AdamW for all other weights.

Muon's step is the momentum of the gradient with all its singular values made alike, so a matrix learns in every direction at one
speed; the gradient itself is of few directions. AdamW has what is looked up (embeddings), what is read off (the last matrix of a
head), and norms, biases and gates.

Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks". `torch.optim.Muon` always multiplies in
bf16, which CPUs without such instructions do slowly, and one matrix at a time: docs/decisions.md.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meloctl.model.registry import layers_of
from meloctl.training.options import LEARNING_RATE, TrainConfig
from meloctl.training.processes import distribute_like, full_tensor

_ROUNDS = ((8.0934, -23.6204, 17.4462), (3.6366, -2.7219, 0.5365), (2.6613, -1.9772, 0.4526))
"""a, b and c of the rounds X ← (a + b XXᵀ + c (XXᵀ)²) X: together they bring singular values of 0.01 to 1 into 0.73 to 1.27.

Each is the odd polynomial of degree 5 that comes nearest to 1 on what the round before leaves (Amsel et al., 2025, "The Polar
Express"), found by linear programming. Three such rounds do what five of Jordan et al. do.
"""

_MOMENTUM = 0.95

_ADAMW = 2.3
"""AdamW's rate times the model's width, at the default learning rate: wider models add up more weights in each state."""

_EMBEDDINGS = 4.0
"""Rate of embeddings over AdamW's for other weights: a step changes the few that it looks up."""

_GATES = 1.2
"""Rate of the gates over AdamW's for other weights: they have far to go, and each step's gradient on them is small."""

_AT_ONCE = 1 << 22
"""Most elements of matrices that are orthogonalized together."""

_PLANS = 0.25
"""Rate of what makes and reads bar plans over AdamW's for other weights: rows learn to follow a plan that keeps its meaning."""

_HEAD_INNER = re.compile(r"^heads\.heads\.\d+\.inner\.weight$")
"""Matches the first matrix of each field's head."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized. Weights that are sharded are gathered for it, so all ranks call `step` together.

    Args:
        weights: matrices (out, in).
        half: multiply in bf16.
        decay: share of a weight that a step at rate 1 takes off.
    """

    def __init__(self, weights: Iterable[Tensor], *, half: bool, decay: float) -> None:
        super().__init__(weights, {"lr": 0.0, "weight_decay": decay})
        self._dtype = torch.bfloat16 if half else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - as torch calls it
        """Change each weight by its gradient."""
        for group in self.param_groups:
            rate, kept = group["lr"], 1 - group["lr"] * group["weight_decay"]
            for weights in _alike(group["params"]):
                turned = orthogonalized(torch.stack([self._direction(w) for w in weights]), self._dtype)
                rows, columns = turned.shape[1:]
                for weight, update in zip(weights, turned, strict=True):
                    weight.mul_(kept).add_(
                        distribute_like(update, weight), alpha=-rate * math.sqrt(max(1.0, rows / columns))
                    )

    def _direction(self, weight: Tensor) -> Tensor:
        """(out, in) Nesterov momentum of a weight's gradient, the whole of it."""
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return full_tensor(gradient.lerp(momentum, _MOMENTUM))


def muon_flops(shape: tuple[int, ...]) -> float:
    """Floating-point operations of a step of Muon on a matrix (out, in)."""
    short, long = sorted(shape)
    return len(_ROUNDS) * (4.0 * short**2 * long + 2.0 * short**3)


def orthogonalized(matrices_KOI: Tensor, dtype: torch.dtype) -> Tensor:
    """(K, O, I) matrices with the same singular vectors, and singular values of 0.73 to 1.27.

    Values below a hundredth of the matrix's (Frobenius) norm end lower, about 80 times as large as they were.

    Args:
        matrices_KOI: K matrices of one shape.
        dtype: of the products.
    """
    norm_K11 = matrices_KOI.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    x = (matrices_KOI / norm_K11).to(dtype)
    if tall := x.shape[1] > x.shape[2]:
        x = x.mT
    for a, b, c in _ROUNDS:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices_KOI.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class SortedWeights:
    """A model's weights by how they are trained; each is in one list."""

    muon: list[nn.Parameter]
    """Matrices of the layers, and the first one of each field's head."""

    embeddings: list[nn.Parameter]
    """What is looked up: of fields as they go in, and as they condition the fields after them."""

    matrices: list[nn.Parameter]
    """The last matrices of the heads, and arrays of more axes."""

    vectors: list[nn.Parameter]
    """Norms, biases and first states: no weight decay."""

    gates: list[nn.Parameter]

    plans: list[nn.Parameter]
    """Of the `PlanChannel`: no weight decay."""


def sorted_weights(model: nn.Module) -> SortedWeights:
    """A model's weights by how they are trained."""
    in_layers = {id(p) for layer in layers_of(model) for p in layer.parameters()}
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    out = SortedWeights(muon=[], embeddings=[], matrices=[], vectors=[], gates=[], plans=[])
    for name, weight in model.named_parameters():
        if name.startswith("gates."):
            out.gates.append(weight)
        elif name.startswith("plans."):
            out.plans.append(weight)
        elif weight.ndim < 2:
            out.vectors.append(weight)
        elif weight.ndim == 2 and (id(weight) in in_layers or _HEAD_INNER.search(name)):
            out.muon.append(weight)
        else:
            (out.embeddings if id(weight) in looked_up else out.matrices).append(weight)
    return out


class RunOptimizer:
    """Muon and AdamW over a model's weights, each weight in one of the two."""

    def __init__(self, model: nn.Module, config: TrainConfig, *, width: int, half: bool) -> None:
        """An optimizer without state.

        Args:
            model: on its device, and sharded where it is to be.
            width: channels of the model's states.
            half: products in bf16.
        """
        weights, scale = sorted_weights(model), _ADAMW / width / LEARNING_RATE
        self._muon = Muon(weights.muon, half=half, decay=config.weight_decay)
        self._adamw = torch.optim.AdamW(
            [
                {"params": weights.embeddings, "weight_decay": config.weight_decay, "scale": scale * _EMBEDDINGS},
                {"params": weights.matrices, "weight_decay": config.weight_decay, "scale": scale},
                {"params": weights.vectors, "weight_decay": 0.0, "scale": scale},
                {"params": weights.gates, "weight_decay": 0.0, "scale": scale * _GATES},
                {"params": weights.plans, "weight_decay": 0.0, "scale": scale * _PLANS},
            ],
            betas=(0.9, 0.95),
            fused=True,
        )
        self._by_muon = {id(weight) for weight in weights.muon}

    def step(self, rate: float) -> None:
        """Change all weights by their gradients at a learning rate, that of Muon; all ranks call it together."""
        for group in self._muon.param_groups:
            group["lr"] = rate
        for group in self._adamw.param_groups:
            group["lr"] = rate * group["scale"]
        self._muon.step()
        self._adamw.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._muon.zero_grad()
        self._adamw.zero_grad()

    def forget(self) -> None:
        """Begin anew, as before the first step."""
        self._muon.state.clear()
        self._adamw.state.clear()

    def kept(self, weight: nn.Parameter) -> dict[str, Tensor]:
        """What is kept of a weight between steps, by name; nothing before the first step."""
        return dict(self._of(weight).state.get(weight, {}))

    def keeps(self, weight: nn.Parameter) -> tuple[str, ...]:
        """Names of what is kept of a weight after a step."""
        return ("momentum",) if id(weight) in self._by_muon else ("step", "exp_avg", "exp_avg_sq")

    def restore(self, weight: nn.Parameter, kept: dict[str, Tensor]) -> None:
        """Go on from what `kept` returned.

        Args:
            weight: one of the model's.
            kept: sharded and placed as the weight is.
        """
        self._of(weight).state[weight] = kept

    def _of(self, weight: nn.Parameter) -> torch.optim.Optimizer:
        return self._muon if id(weight) in self._by_muon else self._adamw


def _alike(weights: list[Tensor]) -> Iterator[list[Tensor]]:
    """The weights in lists of one shape, each with no more than so many elements as are orthogonalized together."""
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for weight in weights:
        by_shape.setdefault(weight.shape, []).append(weight)
    for same in by_shape.values():
        count = max(1, _AT_ONCE // same[0].numel())
        yield from (same[i : i + count] for i in range(0, len(same), count))
