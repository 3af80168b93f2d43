"""Dense attention over an explicit mask: the definition that every backend is tested equal to."""

import torch
from torch import Tensor


def attend_dense(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, mask_LM: Tensor, bias_LM: Tensor | None = None) -> Tensor:
    """Softmax attention by its formula, with all L × M scores in memory. A query without keys gives 0.

    Args:
        q_LHD, k_MGD, v_MGD: L queries of H heads, M keys and values of G heads, heads D wide; H is a multiple of G, and each key
            head serves H / G neighbouring query heads.
        mask_LM: bool, True = may attend.
        bias_LM: added to each pair's score in every head.

    Returns:
        (L, H, D)
    """
    repeats = q_LHD.shape[1] // k_MGD.shape[1]
    k, v = (x.repeat_interleave(repeats, dim=1) for x in (k_MGD, v_MGD))
    scores_HLM = torch.einsum("lhd,mhd->hlm", q_LHD, k) * q_LHD.shape[-1] ** -0.5
    if bias_LM is not None:
        scores_HLM = scores_HLM + bias_LM
    # the lowest finite number, since a softmax over −inf alone is no number; the weights of hidden keys are zeroed after it
    scores_HLM = scores_HLM.masked_fill(~mask_LM, torch.finfo(scores_HLM.dtype).min)
    weight_HLM = scores_HLM.softmax(dim=-1).masked_fill(~mask_LM, 0.0)
    return torch.einsum("hlm,mhd->lhd", weight_HLM, v)
