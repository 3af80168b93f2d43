"""Relative self-attention of the Music Transformer, in memory O(L·D) for what is relative in it.

    logit of query i and key j ≤ i = (q_i · k_j + q_i · e_(i−j)) / √D          e_d: a learned vector for distance d

Built as written, the embeddings of all pairs take (L, L, D). Instead Q E^T is taken, whose columns are distances, and *skewed*:
each row moves left until its columns are keys. Blocks of queries, one at a time in both directions, keep the (L, L) of the
logits out of memory too.

Shape letters: H heads, L rows, Q queries of a block, K keys up to its last, R distances with an embedding, D width of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK = 128
"""Queries whose logits are in memory together."""


def relative_attention(q_HLD: Tensor, k_HLD: Tensor, v_HLD: Tensor, e_HRD: Tensor, *, block: int = BLOCK) -> Tensor:
    """Causal attention of one sequence to itself, each head with its own embeddings of distances.

    Distances of R − 1 and more share the last embedding, so any length can be read.

    Source: Huang et al. (2018), "Music Transformer", section 3.4, for skewing; Shaw et al. (2018), "Self-attention with relative
    position representations", section 3.2, for the clipped distance. Blocks of queries are ours.

    Args:
        q_HLD, k_HLD, v_HLD: of one sequence; row i sees rows 0 to i.
        e_HRD: embedding of each distance, 0 first; R is 1 or more.
        block: queries at a time. The backward pass computes a block's logits again instead of keeping them.

    Returns:
        (H, L, D)
    """
    heads = []
    for first in range(0, q_HLD.shape[1], block):
        last = min(first + block, q_HLD.shape[1])
        tensors = q_HLD[:, first:last], k_HLD[:, :last], v_HLD[:, :last], e_HRD
        if torch.is_grad_enabled():
            heads.append(checkpoint(_attend_block, *tensors, use_reentrant=False, preserve_rng_state=False))
        else:
            heads.append(_attend_block(*tensors))
    return torch.cat(heads, dim=1)


def _attend_block(q_HQD: Tensor, k_HKD: Tensor, v_HKD: Tensor, e_HRD: Tensor) -> Tensor:
    """(H, Q, D) attention of the last Q of K rows; keys and values (H, K, D), distances (H, R, D)."""
    n_queries, n_keys = q_HQD.shape[1], k_HKD.shape[1]
    q_HQD = q_HQD * q_HQD.shape[2] ** -0.5
    relative_HQK = skew(by_distance(q_HQD, e_HRD, n_keys))
    later_QK = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q_HQD.device).triu(n_keys - n_queries + 1)
    logits_HQK = torch.baddbmm(relative_HQK, q_HQD, k_HKD.transpose(1, 2)).masked_fill(later_QK, -torch.inf)
    return logits_HQK.softmax(dim=-1) @ v_HKD


def by_distance(q_HQD: Tensor, e_HRD: Tensor, n: int) -> Tensor:
    """(H, Q, n) q · e of the distances n − 1, …, 1, 0; those that have no embedding take the last one's.

    Args:
        q_HQD: queries.
        e_HRD: embedding of each distance, 0 first.
        n: distances, 1 or more.
    """
    known = min(n, e_HRD.shape[1])
    score_HQR = q_HQD @ e_HRD[:, :known].flip(1).transpose(1, 2)
    if known == n:
        return score_HQR
    return torch.cat([score_HQR[:, :, :1].expand(-1, -1, n - known), score_HQR], dim=2)


def skew(score_HQK: Tensor) -> Tensor:
    """Columns by distance K − 1, …, 0 → columns by key 0, …, K − 1, for queries that are the last Q of K rows.

    With a column of padding on its left, row t of the matrix read as one line starts t columns early: cutting Q entries off the
    front and reading lines of K again moves row t left by Q − 1 − t. What then stands right of a query's own key is of
    no meaning (the next query's) and must be masked.

    Args:
        score_HQK: Q ≤ K.

    Returns:
        (H, Q, K)
    """
    n_queries, n_keys = score_HQK.shape[1:]
    line = F.pad(score_HQK, (1, 0)).flatten(1)
    return line[:, n_queries:].unflatten(1, (n_queries, n_keys))
