"""The schedule of the bridge: how a plan of the music turns into what the text says of it, as time t goes from 0 to 1.

    q(z_t | z_text, z_music) = N(α_t z_music + (1 − α_t) z_text, β_t I)
    α_t = 1 − t        β_t = t² e + t (1 − t) b

e is the end variance, b the bridge variance. t = 0 is the music itself (α = 1, β = 0); t = 1 is the text with noise of variance
e, the same noise in training and where sampling starts. e must not be 0: a text has many musics, and everything that follows from
one start by a deterministic path would be one of them.

The law is that of z_1 = z_text + √e ξ, with a Brownian bridge of variance b between z_music and z_1. So the posterior of an
earlier time is Gaussian and known, and z_text drops out of it: it is the one of I2SB (Liu et al., 2023, equation 4) with
σ_t² = b t, whatever e is. With e = b, β_t = b t: Brownian motion with a drift towards the text.
"""

from typing import Annotated, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor

from analysis.json_spec import JsonSpec


class Posterior(NamedTuple):
    """q(z_s | z_t, z_music) = N(of_music · z_music + of_state · z_t, variance · I)."""

    of_music: Tensor
    of_state: Tensor
    variance: Tensor


class BridgeSchedule(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Variances of the bridge, in units of the plans' own variance; see the module. Times are any tensor of numbers 0 to 1."""

    end_variance: Annotated[float, Meta(ge=0.01, le=4)] = 1.0
    """e, the variance around z_text at t = 1."""

    bridge_variance: Annotated[float, Meta(ge=0.01, le=4)] = 1.0
    """b, of the Brownian bridge."""

    def alpha(self, t: Tensor) -> Tensor:
        """α_t, the share of the music in the mean: 1 at t = 0, 0 at t = 1."""
        return 1 - t

    def beta(self, t: Tensor) -> Tensor:
        """β_t, the variance: 0 at t = 0, the end variance at t = 1."""
        return t * t * self.end_variance + t * (1 - t) * self.bridge_variance

    def covariance(self, s: Tensor, t: Tensor) -> Tensor:
        """Covariance of z_s and z_t given z_text and z_music, for s ≤ t.

        Args:
            s: the earlier times.
            t: the later ones.
        """
        return s * t * self.end_variance + s * (1 - t) * self.bridge_variance

    def posterior(self, s: Tensor, t: Tensor) -> Posterior:
        """The law of z_s where z_t and z_music are known, s < t. z_text has no part in it.

        Args:
            s: the earlier times.
            t: the later ones, above 0.
        """
        gain = s / t  # covariance(s, t) / beta(t)
        return Posterior(of_music=1 - gain, of_state=gain, variance=self.bridge_variance * s * (1 - gain))

    def displacement_scale(self, t: Tensor) -> Tensor:
        """√(b t), the unit of the displacement z_t − z_music that the network predicts (I2SB's equation 12)."""
        return (self.bridge_variance * t).sqrt()


def sampling_times(steps: int) -> Tensor:
    """(steps + 1,) times from 1 down to 0, closer together towards 0, where a plan takes its final shape."""
    return torch.linspace(1, 0, steps + 1) ** 2
