"""The one attention function. Polarity: True = may attend.

Shape letters: L query rows, M key rows, H query heads, G key and value heads, D width of a head.
"""

import torch
from torch import Tensor

from meloctl.model.attention.flex.kernel import attend_flex
from meloctl.model.attention.flex.plan import FlexPlan
from meloctl.model.attention.tiled.kernel import TiledAttention
from meloctl.model.attention.tiled.plan import AttentionPlan


def attend(
    q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, plan: AttentionPlan | FlexPlan, biases: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention of every query to the keys that a plan shows it. A query that sees nothing gives 0.

    Args:
        q_LHD, k_MGD, v_MGD: H is a multiple of G; each key head serves H / G neighbouring query heads.
        plan: which pairs are seen, and the gate of each: as tiles, for CPUs, or for FlexAttention, for CUDA.
        biases: what a pair's score gains by its gate; without it gates are ignored.

    Returns:
        (L, H, D)
    """
    if isinstance(plan, FlexPlan):
        return attend_flex(q_LHD, k_MGD, v_MGD, plan, biases)
    # PyTorch's flash kernel for CPUs takes twice as long to go back through tiles of bf16 as through the same in float32
    wide = torch.promote_types(q_LHD.dtype, torch.float32)
    out: Tensor = TiledAttention.apply(q_LHD.to(wide), k_MGD.to(wide), v_MGD.to(wide), biases, plan)
    return out.to(q_LHD.dtype)
