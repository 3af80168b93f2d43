"""Bar plans: a vector for each bar that steers its rows, made from the bar itself in training, from elsewhere in use.

A plan is read off a bar's features and passes a narrow channel before any row sees it: D numbers in -1..1, each with Gaussian
noise of standard deviation σ, which carry at most D / 2 · log2(1 + 1/σ²) bits (Shannon, 1948, for a signal of power 1). So a plan
says what the bar is like, and cannot spell out its notes.

What plan b and plan b + 1 say is added to the rows of bar b before each layer, and to the states after the last one; the state
that predicts a piece's first row has plan 0 added. A bar without a plan adds nothing, so a model that is trained with plans left
out writes without any. (Wu and Yang, 2021, "MuseMorphose", add a bar's latent vector before each layer too.)

Shape letters: T bars, D width of a plan, C width of the model, K features, A attributes, N rows of a pack, W windows, Y layers,
V = Y + 1 places where plans are added.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.arrays import Bools, Floats, Floats32, Ints
from analysis.errors import MeloError
from meloctl.dataset.packs import Pack
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.bar_features import N_FEATURES, attributes_of_values, bar_features, piece_features
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import Vocabulary

PLAN_WIDTH = 16
"""Default D."""

_HIDDEN = 96
"""Inner width of the network that reads a plan off a bar's features."""

_FILLING = 0.8
"""What an attribute, in units of its spread, is multiplied with to fill the range of a number of a plan."""

_STEERING = 0.15
"""Standard deviation of the first weights from plans to rows. With those of all other layers, rows would drown the plans before
they are understood, and learn to do without."""

_ATTRIBUTE_WEIGHT = 2.0
"""Of the attributes' loss beside that of the rows, both in nats of a bar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BarPlans:
    """Plans of the bars of a piece, some of which may lack one.

    Raises:
        MeloError: plans that are not (T, D) finite numbers, or flags of other bars.
    """

    vectors: Floats32
    """(T, D), in -1..1."""

    given: Bools
    """(T,) which bars have a plan."""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.given.shape != self.vectors.shape[:1]:
            raise MeloError(f"plans of shape {self.vectors.shape} and flags of shape {self.given.shape} do not fit")
        if not np.isfinite(self.vectors).all():
            raise MeloError("plans that are not finite numbers")

    def of_bars(self, bars: range) -> "BarPlans":
        """Those of some bars in a row, as of a piece that begins with the first of them."""
        return BarPlans(vectors=self.vectors[bars.start : bars.stop], given=self.given[bars.start : bars.stop])

    def behind(self, bars: int) -> "BarPlans":
        """The same behind so many bars without a plan."""
        return BarPlans(vectors=np.pad(self.vectors, ((bars, 0), (0, 0))), given=np.pad(self.given, (bars, 0)))


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanConditions:
    """What plans add in a model."""

    rows: Floats32
    """(T, V, C) to each row of a bar before each layer, and last to the state after all of them, which is normalised by then;
    bars behind the last one get nothing."""

    start: Floats32
    """(C,) to the state that predicts the piece's first row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackFeatures:
    """Features of the T bars of a pack's windows, window after window."""

    values: Tensor
    """(T + 1, K) float32; the last one is of no bar, for padding."""

    known: Tensor
    """(T + 1, A) bool, which attributes the bar has."""

    given: Tensor
    """(T + 1,) bool, which bars' plans rows see."""

    has_next: Tensor
    """(T + 1,) bool, bars whose window has a bar after them."""

    bar_N: Tensor
    """(N,) int64, the bar of each row; T for padding."""

    first_row_W: Tensor
    """(W,) int64, each window's first row."""

    first_bar_W: Tensor
    """(W,) int64, each window's first bar."""

    def to(self, device: torch.device) -> "PackFeatures":
        """The same on a device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items()}
        return replace(self, **moved)


def pack_features(pack: Pack, bar_N: Ints, vocabulary: Vocabulary) -> PackFeatures:
    """Features of the bars of a pack.

    Args:
        pack: its windows open with a header row each; `pack.plan_bars` says whose plans are given.
        bar_N: (N,) the bar of each row, counted in its window.
    """
    n, starts = pack.n_rows, pack.starts
    bars_W = np.maximum.reduceat(bar_N[:n], starts[:-1]) + 1 if n else np.zeros(0, dtype=np.int64)
    first_W = np.cumsum(np.append(0, bars_W))
    total = int(first_W[-1])
    bar = np.full(len(pack.rows), total, dtype=np.int64)
    bar[:n] = bar_N[:n] + np.repeat(first_W[:-1], np.diff(starts))
    features = bar_features(pack.rows[:n].astype(np.int16), bar[:n], total, vocabulary)
    given, has_next = np.zeros(total + 1, dtype=np.bool_), np.ones(total + 1, dtype=np.bool_)
    has_next[np.append(first_W[1:] - 1, total)] = False
    if pack.plan_bars is not None:
        given[:total] = pack.plan_bars
    return PackFeatures(
        values=torch.from_numpy(np.pad(features.values, ((0, 1), (0, 0)))),
        known=torch.from_numpy(np.pad(features.known, ((0, 1), (0, 0)))),
        given=torch.from_numpy(given),
        has_next=torch.from_numpy(has_next),
        bar_N=torch.from_numpy(bar),
        first_row_W=torch.from_numpy(starts[:-1].copy()),
        first_bar_W=torch.from_numpy(first_W[:-1].copy()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanAdditions:
    """What the plans of a pack's bars add to its rows and states."""

    bars_VTC: Tensor
    """(V, T + 1, C) of each bar."""

    bar_N: Tensor
    """(N,) the bar of each row."""

    start_WC: Tensor
    """(W, C) to the state that predicts each window's first row."""

    first_row_W: Tensor
    """(W,) each window's first row."""

    loss: Tensor
    """() loss of reading the attributes off the plans, in nats."""

    def to_rows(self, place: int, r_NC: Tensor) -> Tensor:
        """(N, C) rows with what is added at a place: before layer `place`, or after all of them."""
        return r_NC + self.bars_VTC[place].index_select(0, self.bar_N).to(r_NC.dtype)

    def to_starts(self, state_NC: Tensor) -> Tensor:
        """(N, C) states, by the row that each predicts, with what is added to those of first rows."""
        return state_NC.index_add(0, self.first_row_W, self.start_WC.to(state_NC.dtype))


class PlanChannel(nn.Module):
    """Features of bars in, plans out; and what plans add to rows and to the first state."""

    def __init__(self, plan_width: int, noise: float, width: int, layers: int) -> None:
        """A fresh channel.

        Args:
            plan_width: D.
            noise: σ, above 0.
            width: C.
            layers: Y.
        """
        super().__init__()
        self.noise, self._places = noise, layers + 1
        self.through = nn.Linear(N_FEATURES, plan_width, bias=False)
        self.inner = nn.Linear(N_FEATURES, _HIDDEN)
        self.outer = nn.Linear(_HIDDEN, plan_width)
        self.own = nn.Linear(plan_width, self._places * width)
        """Of the bar's own plan; its bias says that there is one."""

        self.next = nn.Linear(plan_width, self._places * width)
        """Of the next bar's plan."""

        self.opening = nn.Linear(plan_width, width)
        """Of the first bar's plan, for the state before the first row."""

        self.attributes = nn.Linear(plan_width, len(ATTRIBUTES))
        """Reads the bar's attributes off its plan, so that a plan says all of them, those too that few rows depend on."""

    @property
    def bits(self) -> float:
        """The most bits that the plan of a bar can carry."""
        return self.own.in_features / 2 * math.log2(1 + self.noise**-2)

    def init_weights(self) -> None:
        """Set the encoder so that the first numbers of a plan begin as the attributes, in a range that they fill, and the others
        as mixtures of all features; the rest is drawn as in all of the model."""
        plan_width, k = self.through.weight.shape
        nn.init.normal_(self.inner.weight, std=k**-0.5)
        nn.init.normal_(self.through.weight, std=k**-0.5)
        same = min(len(ATTRIBUTES), plan_width)
        for layer in (self.own, self.next, self.opening):
            nn.init.normal_(layer.weight, std=_STEERING)
        for weight, scale in ((self.through.weight, _FILLING), (self.attributes.weight, 1 / _FILLING)):
            with torch.no_grad():
                weight[:same] = scale * torch.eye(*weight[:same].shape)

    def forward(self, features_TK: Tensor) -> Tensor:
        """(T, K) features → (T, D) plans, without noise."""
        return torch.tanh(self.through(features_TK) + self.outer(F.silu(self.inner(features_TK))))

    def added(self, features: PackFeatures) -> PlanAdditions:
        """What the plans of a pack's bars add, through the channel's noise in training.

        Args:
            features: of the pack.
        """
        with torch.autocast(features.values.device.type, enabled=False):
            values = features.values.to(self.inner.weight.dtype)
            plans = self(values)
            if self.training:
                plans = plans + self.noise * torch.randn_like(plans)
            bars_TVC, start_TC = self._additions(plans, features.given, features.has_next)
            n_attributes = features.known.shape[1]
            missed = (self.attributes(plans) - values[:, :n_attributes]) ** 2
            loss = _ATTRIBUTE_WEIGHT / 2 * (missed * features.known).sum()
        return PlanAdditions(
            bars_VTC=bars_TVC.transpose(0, 1),
            bar_N=features.bar_N,
            start_WC=start_TC[features.first_bar_W],
            first_row_W=features.first_row_W,
            loss=loss,
        )

    @torch.no_grad()
    def of_rows(self, rows: Rows, vocabulary: Vocabulary) -> Floats32:
        """(T, D) plans of the bars of a piece of rows (L, F) that opens with a header, without noise."""
        values = torch.from_numpy(piece_features(rows, vocabulary).values).to(self.inner.weight.dtype)
        return np.asarray(self(values).float().numpy())

    @torch.no_grad()
    def read_out(self, plans: Floats32) -> Floats:
        """(T, A) the attributes that plans (T, D) say."""
        return attributes_of_values(
            self.attributes(torch.from_numpy(plans).to(self.inner.weight.dtype)).double().numpy()
        )

    @torch.no_grad()
    def conditions(self, plans: BarPlans) -> PlanConditions:
        """What plans add to the rows of each bar and to the first state.

        Raises:
            MeloError: plans of another width.
        """
        if plans.vectors.shape[1] != self.own.in_features:
            raise MeloError(
                f"plans of {plans.vectors.shape[1]} numbers a bar, and the model has {self.own.in_features}; "
                "they are of another model"
            )
        vectors, given = torch.from_numpy(plans.vectors).to(self.inner.weight.dtype), torch.from_numpy(plans.given)
        has_next = torch.arange(len(given)) < len(given) - 1
        bars_TVC, start_TC = self._additions(vectors, given, has_next)
        return PlanConditions(rows=bars_TVC.float().contiguous().numpy(), start=start_TC[:1].sum(dim=0).float().numpy())

    def _additions(self, plans: Tensor, given: Tensor, has_next: Tensor) -> tuple[Tensor, Tensor]:
        """What the plans of bars add to their rows (T, V, C), and would add to the state before each if it were a piece's first
        (T, C).

        Args:
            plans: (T, D)
            given: (T,) bool, bars whose plan is seen.
            has_next: (T,) bool, bars behind which the next one of the same piece stands.
        """
        seen = given[:, None]
        following = (self.next(plans) * seen).roll(-1, dims=0) * has_next[:, None]
        rows = self.own(plans) * seen + following
        return rows.unflatten(1, (self._places, -1)), self.opening(plans) * seen


class WithLoss(torch.autograd.Function):
    """Adds a loss to the gradient alone: what is reported stays as it is, and what is minimised is the sum of both."""

    @staticmethod
    def forward(ctx: Any, nll: Tensor, loss: Tensor) -> Tensor:  # noqa: ARG004 - as torch calls it
        """The values of nll, as they are.

        Args:
            nll: (…), all of which the caller sums with one weight.
            loss: (), which will be weighted like each of them.
        """
        return nll.view_as(nll)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG004
        """The gradient (…) of nll, and that of the loss: the weight of each summand."""
        return grad, grad.flatten()[0]
