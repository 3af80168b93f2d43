"""Rotary position embedding over musical time: bar, and position in the bar. Shape letters: D width of a head."""

import torch
from torch import Tensor


def rotation(bar: Tensor, position: Tensor, width: int) -> Tensor:
    """Cosines and sines of the rotary angles of rows: half of the planes rotate with the bar, half with the position in it.

    Source: RoFormer (Su et al., 2021); time in bars and steps instead of an index is ours.

    Args:
        bar: (…) bars; only differences matter to attention.
        position: (…) steps from the bar line.
        width: D, a multiple of 4.

    Returns:
        (…, D) float32: D / 2 cosines, then D / 2 sines.
    """
    planes = width // 4
    speed = 10_000.0 ** (-torch.arange(planes, device=bar.device, dtype=torch.float32) / planes)
    angle = torch.cat([bar[..., None].float() * speed, position[..., None].float() * speed], dim=-1)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate each plane (i, i + D / 2) → (…, D).

    Args:
        x: (…, D) queries or keys.
        angles: (…, D) cosines and sines as `rotation` returns them; broadcast over heads.
    """
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.to(x.dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
