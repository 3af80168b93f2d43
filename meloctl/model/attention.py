"""Attention under a mask. Polarity: True = may attend.

Shape letters: B batch, H query heads, G key and value heads, Q queries, K keys, L rows, T bars, D width of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from masks.spec import MOST_OFFSET, RELATIONS, MaskSpec


def attend(q_BHQD: Tensor, k_BGKD: Tensor, v_BGKD: Tensor, see_BQK: Tensor) -> Tensor:
    """Scaled dot-product attention of every query to the keys that it may see; each must see at least one.

    Args:
        q_BHQD, k_BGKD, v_BGKD: H is a multiple of G; each key head serves H / G neighbouring query heads.
        see_BQK: bool, True = may attend.

    Returns:
        (B, H, Q, D)
    """
    shared = q_BHQD.shape[1] != k_BGKD.shape[1]
    return F.scaled_dot_product_attention(q_BHQD, k_BGKD, v_BGKD, attn_mask=see_BQK[:, None], enable_gqa=shared)


def row_mask(spec: MaskSpec, bar_BL: Tensor, part_BL: Tensor, drum_BL: Tensor | None = None) -> Tensor:
    """`masks.dense.dense_mask` for a batch, without loops over rows.

    Args:
        spec: the mask.
        bar_BL: bar of each row, negative for padding, which sees itself alone and is seen by nobody.
        part_BL: part of each row.
        drum_BL: bool, rows of drums; without it there are none.

    Returns:
        (B, L, L) bool, [batch, query, key].
    """
    length = bar_BL.shape[1]
    offset_BLL = (bar_BL[:, :, None] - bar_BL[:, None, :]).clamp(0, MOST_OFFSET)
    known = torch.arange(int(offset_BLL.max()) + 1 if offset_BLL.numel() else 1).tolist()
    same, cross, drums = (
        torch.tensor([spec.sees(relation, k) for k in known], device=bar_BL.device) for relation in RELATIONS
    )
    other_BLL = cross[offset_BLL]
    if drum_BL is not None and spec.drums == "exempt":
        drummed_BLL = drum_BL[:, :, None] | drum_BL[:, None, :]
        other_BLL = torch.where(drummed_BLL, drums[offset_BLL], other_BLL)
    alike_BLL = part_BL[:, :, None] == part_BL[:, None, :]
    see_BLL = torch.where(alike_BLL, same[offset_BLL], other_BLL)
    causal_LL = torch.ones(length, length, dtype=torch.bool, device=bar_BL.device).tril()
    real_BL = bar_BL >= 0
    itself_LL = torch.eye(length, dtype=torch.bool, device=bar_BL.device)
    return see_BLL & causal_LL & real_BL[:, :, None] & real_BL[:, None, :] | itself_LL


def summary_masks(bar_BL: Tensor, n_bars: int) -> tuple[Tensor, Tensor, Tensor]:
    """Who sees whom where summaries take part. Bars count from 0 within each sequence; negative is padding.

    Returns:
        (B, T, T): summary of bar b sees the summaries of bars c ≤ b;
        (B, T, L): summary of bar b sees the rows of bar b;
        (B, L, T): a row of bar b sees the summaries of bars c < b.
    """
    bars_T = torch.arange(n_bars, device=bar_BL.device)
    ss_TT = bars_T[:, None] >= bars_T[None, :]
    sr_BTL = bars_T[None, :, None] == bar_BL[:, None, :]
    rs_BLT = bars_T[None, None, :] < bar_BL[:, :, None]
    return ss_TT.expand(len(bar_BL), -1, -1), sr_BTL, rs_BLT


def rotation(bar: Tensor, position: Tensor, width: int) -> Tensor:
    """Rotary positions over musical time: half of the planes turn with the bar, half with the position in it.

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


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turn each plane (i, i + D/2) of x (…, D) as `rotation` says, turn (…, D)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = turn.to(x.dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
