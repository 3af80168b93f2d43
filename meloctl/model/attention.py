"""The one attention function. Polarity: True = may attend.

Shape letters: L query rows, M key rows, H query heads, G key and value heads, D width of a head.
"""

import torch
from torch import Tensor

from meloctl.model.attention_plan import AttentionPlan
from meloctl.model.flex import attend_flex
from meloctl.model.flex_plan import FlexPlan
from meloctl.model.tiled import TiledAttention


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


def attend_dense(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, see_LM: Tensor, bias_LM: Tensor | None = None) -> Tensor:
    """What `attend` computes, in the open: all scores, a mask over them, a softmax. The definition; slow, and L × M in memory.

    Args:
        q_LHD, k_MGD, v_MGD: as above.
        see_LM: bool, True = may attend.
        bias_LM: what each pair's score gains.

    Returns:
        (L, H, D)
    """
    repeats = q_LHD.shape[1] // k_MGD.shape[1]
    k, v = (x.repeat_interleave(repeats, dim=1) for x in (k_MGD, v_MGD))
    scores_HLM = torch.einsum("lhd,mhd->hlm", q_LHD, k) * q_LHD.shape[-1] ** -0.5
    if bias_LM is not None:
        scores_HLM = scores_HLM + bias_LM
    # with all keys hidden a softmax over the lowest number is finite, and what it weighs is hidden after all
    scores_HLM = scores_HLM.masked_fill(~see_LM, torch.finfo(scores_HLM.dtype).min)
    weight_HLM = scores_HLM.softmax(dim=-1).masked_fill(~see_LM, 0.0)
    return torch.einsum("hlm,mhd->lhd", weight_HLM, v)
