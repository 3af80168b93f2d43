"""Losses of the transcriber: what it says of notes, and how far the timbres of one part lie together and those of others apart.

Shape letters: M cells, N notes, D width of a direction.
"""

import torch
from torch import Tensor
from torch.nn import functional

_NEGATIVE_SLOPE = 0.3
_LEAST = 1e-6
_NEVER = -1e9


def focal_loss(logits: Tensor, targets: Tensor, *, gamma: float = 1.5, alpha: float = 0.5) -> Tensor:
    """Sum over all cells of the cross-entropy, scaled by how wrong each cell is: |y − p|^γ × (α y + (1 − α)(1 − y)).

    Source: Lin et al. (2017), "Focal loss for dense object detection", where targets are 0 or 1; here they may lie between. There
    γ = 2 and α = ¼ were best.

    Args:
        logits: any shape.
        targets: the same shape, 0 to 1.
        gamma: 0 is the plain cross-entropy.
        alpha: weight of what is there; what is not has 1 − α.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = (targets - torch.sigmoid(logits)).abs()
    return (cross_entropy * wrong**gamma * (alpha * targets + (1 - alpha) * (1 - targets))).sum()


def affinity_loss(directions: Tensor, part: Tensor, weight: Tensor, *, slope: float = _NEGATIVE_SLOPE) -> Tensor:
    """Weighted mean over pairs of cells of (LeakyReLU(v_i · v_j) − [one part])²; of equal weights, ‖LeakyReLU(VVᵀ) − YYᵀ‖² / M².

    What is opposed, not only what is at right angles, counts as apart. Time and memory go with M².

    Args:
        directions: (M, D) of length 1.
        part: (M,) numbers of the cells' parts.
        weight: (M,) of the cells, at least 0.
        slope: of LeakyReLU below 0; at 1 this is `affinity_loss_small`.
    """
    share = weight / weight.sum().clamp(min=_LEAST)
    found = functional.leaky_relu(directions @ directions.T, slope)
    wanted = (part[:, None] == part[None]).to(found.dtype)
    return share @ (found - wanted).square() @ share


def affinity_loss_small(directions: Tensor, part: Tensor, weight: Tensor) -> Tensor:
    """The weighted ‖VVᵀ − YYᵀ‖² from D × D matrices: ‖VᵀV‖² − 2 ‖VᵀY‖² + ‖YᵀY‖², in time linear in M.

    Source: Hershey et al. (2016), "Deep clustering".

    Args:
        directions: (M, D) of length 1.
        part: (M,) numbers of the cells' parts.
        weight: (M,) of the cells, at least 0.
    """
    share = weight / weight.sum().clamp(min=_LEAST)
    numbers, place = part.unique(return_inverse=True)
    weighted = directions * share[:, None]
    of_parts = directions.new_zeros(len(numbers), directions.shape[1]).index_add(0, place, weighted)
    sizes = directions.new_zeros(len(numbers)).index_add(0, place, share)
    return (weighted.T @ directions).square().sum() - 2 * of_parts.square().sum() + sizes.square().sum()


def note_embeddings(directions: Tensor, weight: Tensor, note: Tensor, count: int) -> Tensor:
    """(count, D) unit directions of notes: the weighted means of those of their cells; zeros for a note without cells.

    Args:
        directions: (M, D).
        weight: (M,), as the posterior of a note in each cell.
        note: (M,) number of the note that each cell belongs to, below `count`.
        count: of notes.
    """
    sums = directions.new_zeros(count, directions.shape[1]).index_add(0, note, directions * weight[:, None])
    return functional.normalize(sums, dim=1)


def info_nce(embeddings: Tensor, mix: Tensor, part: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Mean over notes of −log of the softmax share, among all other notes of its mix, of each note of its part.

    Notes that have no other of their part, or none of another, do not count; 0 where no note counts.

    Source: Khosla et al. (2020), "Supervised contrastive learning", equation 2, with the notes of one mix as the batch.

    Args:
        embeddings: (N, D) of length 1.
        mix: (N,) number of the mix that a note belongs to.
        part: (N,) number of its part in the mix.
        temperature: of the softmax.
    """
    itself = torch.eye(len(mix), dtype=torch.bool, device=mix.device)
    together = (mix[:, None] == mix[None]) & ~itself
    alike = together & (part[:, None] == part[None])
    similarity = (embeddings @ embeddings.T / temperature).masked_fill(~together, _NEVER)
    shares = similarity - torch.logsumexp(similarity, 1, keepdim=True)
    counts = alike.any(1) & (together & ~alike).any(1)
    if not counts.any():
        return embeddings.sum() * 0.0
    of_notes = -(shares * alike).sum(1) / alike.sum(1).clamp(min=1)
    return of_notes[counts].mean()
