"""Relative attention as its formula is written: an embedding for every pair of rows. The definition, for tests and benchmarks."""

import torch
from torch import Tensor


def naive_relative_attention(q_HLD: Tensor, k_HLD: Tensor, v_HLD: Tensor, e_HRD: Tensor) -> Tensor:
    """What `relative_attention` gives, by way of an (H, L, L, D) tensor."""
    row_L = torch.arange(q_HLD.shape[1])
    distance_LL = (row_L[:, None] - row_L[None, :]).clamp(0, e_HRD.shape[1] - 1)
    relative_HLL = torch.einsum("hid,hijd->hij", q_HLD, e_HRD[:, distance_LL])
    logits_HLL = (q_HLD @ k_HLD.transpose(1, 2) + relative_HLL) / q_HLD.shape[2] ** 0.5
    return logits_HLL.masked_fill(row_L[None, :] > row_L[:, None], -torch.inf).softmax(-1) @ v_HLD
