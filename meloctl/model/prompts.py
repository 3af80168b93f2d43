"""Prompts of several pieces: equal ones are read once."""

from collections.abc import Sequence

from torch import Tensor


def distinct_prompts(prompts: Sequence[Tensor]) -> tuple[list[Tensor], list[int]]:
    """Distinct prompts, by their rows, in order of first appearance.

    Args:
        prompts: (L, F) int64 rows of each of B pieces.

    Returns:
        U distinct prompts, and for each piece the index of its own among them.
    """
    index: dict[bytes, int] = {}
    prompt_of = [index.setdefault(rows_LF.numpy().tobytes(), len(index)) for rows_LF in prompts]
    return [prompts[prompt_of.index(u)] for u in range(len(index))], prompt_of
