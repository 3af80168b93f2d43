"""Writers of pieces of new bars, under what steers each of them."""

from collections.abc import Sequence

import numpy as np

from meloctl.generation.constraints import Constraints
from meloctl.generation.continuation import Prompt
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.steering import SteeredPiece
from meloctl.model.registry import Model


def new_piece_writers(
    model: Model,
    constraints: Constraints,
    steered: Sequence[SteeredPiece | None],
    seeds: Sequence[int],
    *,
    prompt: Prompt | None = None,
) -> RowWriters:
    """Writers of one piece a seed, of new bars behind a prompt if there is one; the model is to be given the pieces' plans.

    Args:
        steered: what steers each piece, of which its tempos count here; None for nothing.
        seeds: of each piece.
    """
    before, room = (prompt.rows, prompt.room) if prompt else (None, None)
    new = [
        bars_behind(
            before,
            constraints,
            model.vocabulary,
            room=room,
            header_changes=model.header_changes,
            tempo=None if one is None else one.tempo,
        )
        for one in steered
    ]
    return RowWriters(new, [np.random.default_rng(seed) for seed in seeds])
