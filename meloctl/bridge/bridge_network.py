"""The network of the bridge: from a plan half-way between music and text to the displacement that the music is away.

What it predicts is I2SB's noise, ε = (z_t − z_music) / √(b t): the founding document's ε_θ with the drift towards the text in
it, so that the music can be read off at t = 1 too, where the plan says nothing of it: ẑ_music = z_t − √(b t) ε_θ.

Inside, plans are in standard units of each of their D numbers. Shape letters: B pieces, T bars, D width of a plan, C width.
"""

import math
from typing import Annotated, NamedTuple, cast

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from analysis.json_spec import JsonSpec
from meloctl.bridge.bar_conditions import PLACES, ConditionBatch
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.model.rotary import rotate

_TIME_FREQUENCIES = 16
_NEIGHBOURS = 7
"""Bars around a bar whose plans it takes in at once: neighbours are alike, and attention alone is slow to find that out."""


class BridgeSizes(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sizes of a bridge."""

    plan_width: Annotated[int, Meta(ge=1, le=256)]
    attributes: Annotated[int, Meta(ge=1, le=64)]
    text_width: Annotated[int, Meta(ge=1, le=4096)]
    width: Annotated[int, Meta(ge=8, le=512, multiple_of=8)] = 128
    layers: Annotated[int, Meta(ge=1, le=16)] = 4
    heads: Annotated[int, Meta(ge=1, le=4)] = 4
    hidden: Annotated[int, Meta(ge=8, le=2048)] = 320


class Embedded(NamedTuple):
    """Conditions as the layers read them."""

    bars: Tensor
    """(B, T, C)"""

    z_text: Tensor
    """(B, T, D) the plan that the condition alone says, in standard units."""

    attended: Tensor | None
    """(B, 1, 1, T) bool, the bars that may be attended to; None for all."""


class Time(NamedTuple):
    """A time of each piece, as the layers read it."""

    t: Tensor
    """(B, 1, 1)"""

    modulation: Tensor
    """(B, layers, 4, 1, C) scales and shifts of each layer's two blocks."""


class Layer(nn.Module):
    """Attention across bars, then a feed-forward layer of each bar; time scales and shifts what goes into both."""

    def __init__(self, sizes: BridgeSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)
        self.inner = nn.Linear(sizes.width, sizes.hidden)
        self.outer = nn.Linear(sizes.hidden, sizes.width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Tensor, modulation: Tensor, angles: Tensor, attended: Tensor | None) -> Tensor:
        """(B, T, C) → (B, T, C).

        Args:
            x: (B, T, C) states of the bars.
            modulation: (B, 4, 1, C) scale and shift of the two blocks.
            angles: (T, D) rotary angles of the bars, D the width of a head.
            attended: see `Embedded`.
        """
        scale, shift, scale2, shift2 = modulation.unbind(1)
        y = self.qkv(_normed(x) * (1 + scale) + shift)
        q, k, v = y.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        y = F.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v, attn_mask=attended)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.outer(F.gelu(self.inner(_normed(x) * (1 + scale2) + shift2)))


class BridgeNetwork(nn.Module):
    """ε_θ, z_text, and the schedule between them."""

    plan_mean: Tensor
    plan_deviation: Tensor

    def __init__(self, sizes: BridgeSizes, schedule: BridgeSchedule) -> None:
        super().__init__()
        self.sizes, self.schedule = sizes, schedule
        width, plan = sizes.width, sizes.plan_width
        self.register_buffer("plan_mean", torch.zeros(plan))
        self.register_buffer("plan_deviation", torch.ones(plan))
        self.of_wants = nn.Linear(2 * sizes.attributes + 1 + PLACES, width)
        self.of_text = nn.Linear(sizes.text_width, width, bias=False)
        self.condition = nn.Linear(width, width)
        self.text_inner = nn.Linear(width, width)
        self.text_plan = nn.Linear(width, plan)
        self.time_inner = nn.Linear(2 * _TIME_FREQUENCIES, 32)
        self.time_outer = nn.Linear(32, sizes.layers * 4 * width)
        self.of_plans = nn.Conv1d(2 * plan, width, _NEIGHBOURS, padding="same")
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.displacement = nn.Linear(width, plan)
        self.log_variance = nn.Parameter(torch.full((plan,), -0.7))
        nn.init.zeros_(
            self.of_wants.weight[:, : 2 * sizes.attributes]
        )  # what is never wanted in training never matters
        for module in (self.time_outer, self.displacement, self.text_plan):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def embed(self, conditions: ConditionBatch) -> Embedded:
        """Conditions as the layers read them: once a piece, whatever the number of steps."""
        said = torch.cat([conditions.levels, conditions.said, conditions.has_text, conditions.place], dim=-1)
        x = self.of_wants(said) + self.of_text(conditions.text) * math.sqrt(3 / self.sizes.text_width)
        x = self.condition(F.gelu(x))
        z_text = self.text_plan(F.gelu(self.text_inner(_normed(x))))
        attended = None if bool(conditions.real.all()) else conditions.real[:, None, None, :]
        return Embedded(bars=x, z_text=z_text, attended=attended)

    def at_time(self, t: Tensor) -> Time:
        """(B,) times as the layers read them."""
        turn = t.sqrt()[:, None] * math.pi * torch.arange(_TIME_FREQUENCIES)
        x = self.time_outer(F.silu(self.time_inner(torch.cat([turn.sin(), turn.cos()], dim=-1))))
        return Time(t=t[:, None, None], modulation=x.reshape(len(t), self.sizes.layers, 4, 1, -1))

    def forward(self, z: Tensor, embedded: Embedded, time: Time) -> Tensor:
        """(B, T, D) the noise ε_θ(z_t, condition, t).

        Args:
            z: (B, T, D) z_t in standard units.
        """
        z_text = embedded.z_text.detach()  # it is learned by its own loss: else it would follow the noise
        plans = torch.cat([z, z_text.expand_as(z)], dim=-1).transpose(1, 2)
        if embedded.attended is not None:
            plans = plans * embedded.attended[:, 0]
        x = embedded.bars + self.of_plans(plans).transpose(1, 2)
        angles = _bar_angles(z.shape[1], self.sizes.width // self.sizes.heads)
        for i, layer in enumerate(self.layers):
            x = cast(Layer, layer)(x, time.modulation[:, i], angles, embedded.attended)
        return self.displacement(_normed(x)) + self._of_gaussian(z - z_text, time.t)

    def music(self, z: Tensor, embedded: Embedded, time: Time) -> Tensor:
        """(B, T, D) the mean of z_music given z_t and the condition, in standard units.

        Args:
            z: (B, T, D) z_t in standard units.
        """
        return z - self.schedule.displacement_scale(time.t) * self(z, embedded, time)

    def standardised(self, plans: Tensor) -> Tensor:
        """(…, D) plans → in standard units."""
        return (plans - self.plan_mean) / self.plan_deviation

    def _of_gaussian(self, from_text: Tensor, t: Tensor) -> Tensor:
        """The noise of music that lies around z_text as a Gaussian, of variances that are learned: the network adds the rest."""
        alpha, beta = self.schedule.alpha(t), self.schedule.beta(t)
        known = alpha * self.log_variance.exp() / (alpha**2 * self.log_variance.exp() + beta)
        return (1 - known) / self.schedule.displacement_scale(t) * from_text


def _normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _bar_angles(bars: int, width: int) -> Tensor:
    """(T, D) rotary angles of bars in a row: only the distance between two bars matters."""
    planes = width // 2
    angle = torch.arange(bars)[:, None] * 1000.0 ** (-torch.arange(planes) / planes)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
