"""Prompts of several pieces: equal ones are read once."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from analysis.arrays import Ints

Prompt = TypeVar("Prompt", Tensor, Ints)


def distinct_prompts(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[int]]:
    """Distinct prompts, by their rows, in order of first appearance.

    Args:
        prompts: (L, F) int64 rows of each of B pieces.

    Returns:
        U distinct prompts, and for each piece the index of its own among them.
    """
    index: dict[bytes, int] = {}
    prompt_of = [index.setdefault(np.asarray(rows_LF).tobytes(), len(index)) for rows_LF in prompts]
    return [prompts[prompt_of.index(u)] for u in range(len(index))], prompt_of
