"""Rotary positions over musical time (bar and position in the bar). Shape letters: D width of a head."""

import torch
from torch import Tensor


def rotation(bar: Tensor, position: Tensor, width: int) -> Tensor:
    """Rotary positions over musical time: half of the planes rotate with the bar, half with the position in it.

    Source: RoFormer (Su et al., 2021); time in bars and steps instead of an index is ours.

    Args:
        bar, position: (…) whole numbers of one shape; only differences matter to attention.
        width: of a head, a multiple of 4.

    Returns:
        (…, width) the cosines and then the sines of width / 2 angles.
    """
    planes = width // 4
    speed = 10_000.0 ** (-torch.arange(planes, device=bar.device, dtype=torch.float32) / planes)
    angle = torch.cat([bar[..., None].float() * speed, position[..., None].float() * speed], dim=-1)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate each plane (i, i + D/2) of x (…, D) by cosines and sines (…, D), as `rotation` gives them."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.to(x.dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
