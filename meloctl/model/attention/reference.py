"""Dense attention: the definition that every backend is tested equal to."""

import torch
from torch import Tensor


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
