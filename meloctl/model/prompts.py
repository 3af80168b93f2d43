"""Prompts and plans of several pieces: equal ones are read, and kept, once."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from analysis.arrays import Ints
from meloctl.model.bar_plans import PlanConditions

Prompt = TypeVar("Prompt", Tensor, Ints)


NO_PLAN = -1
"""In place of an index: the piece has no plans."""


def distinct_prompts(prompts: Sequence[Prompt], plan_of: Sequence[int] | None = None) -> tuple[list[Prompt], list[int]]:
    """Distinct prompts, by their rows and plans, in order of first appearance.

    Args:
        prompts: (L, F) int64 rows of each of B pieces.
        plan_of: which plans each piece has, as `distinct_plans` says; None where none has any.

    Returns:
        U distinct prompts, and for each piece the index of its own among them.
    """
    index: dict[tuple[bytes, int], int] = {}
    keys = zip(prompts, [NO_PLAN] * len(prompts) if plan_of is None else plan_of, strict=True)
    prompt_of = [index.setdefault((np.asarray(rows_LF).tobytes(), plan), len(index)) for rows_LF, plan in keys]
    return [prompts[prompt_of.index(u)] for u in range(len(index))], prompt_of


def distinct_plans(plans: Sequence[PlanConditions | None]) -> tuple[list[PlanConditions], list[int]]:
    """Distinct plans of B pieces, in order of first appearance, and for each piece the index of its own; NO_PLAN for None."""
    index: dict[tuple[bytes, bytes], int] = {}
    distinct: list[PlanConditions] = []
    plan_of = []
    for plan in plans:
        if plan is None:
            plan_of.append(NO_PLAN)
            continue
        plan_of.append(index.setdefault((plan.rows.tobytes(), plan.start.tobytes()), len(index)))
        if len(index) > len(distinct):
            distinct.append(plan)
    return distinct, plan_of
