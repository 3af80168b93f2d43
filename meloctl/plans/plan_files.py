"""Plans and attributes of the bars of a corpus on disk: two .npy files that are memory-mapped, and plans.json, which says what
they hold.

Shape letters: N bars of all pieces, T bars of one piece, D width of a plan, A attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from analysis.arrays import Floats32
from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES

PLANS, MEASURED, DESCRIPTION = "plans.npy", "attributes.npy", "plans.json"
FILES = (PLANS, MEASURED, DESCRIPTION)
MADE_BY = "meloctl plans"

Side = Literal["train", "validation", "test"]
_Bars = Annotated[int, Meta(ge=0, le=1 << 40)]


class PlannedFile(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece, and which bars are its."""

    file: str
    """Its path below the corpus."""

    split: Side
    first_bar: _Bars
    """Row of its first bar in both arrays."""

    bars: Annotated[int, Meta(ge=1, le=1 << 24)]


class PlansJson(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.plans/1"
):
    """plans.json."""

    noun: ClassVar[str] = "description of plans"
    made_by: ClassVar[str] = MADE_BY

    weights: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    """`meloctl.workspace.file_hash` of the weights of the model whose plans they are."""

    plan_width: Annotated[int, Meta(ge=1, le=256)]
    attributes: tuple[str, ...]
    """Names of the columns of attributes.npy."""

    scale: AttributeScale | None
    """Of the attributes over this corpus; null where one of them never differs."""

    pieces: tuple[PlannedFile, ...]

    def __post_init__(self) -> None:
        if self.attributes != ATTRIBUTES:
            raise MeloError(f"attributes are not {', '.join(ATTRIBUTES)}")
        at = 0
        for piece in self.pieces:
            if piece.first_bar != at:
                raise MeloError(f"the bars of {piece.file[:80]} do not follow those of the piece before")
            at += piece.bars


@dataclass(frozen=True, kw_only=True, eq=False)
class PiecePlans:
    """The bars of one piece."""

    file: str
    plans: Floats32
    """(T, D) in -1..1."""

    attributes: Floats32
    """(T, A) NaN where a bar has none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CorpusPlans:
    """The bars of a corpus, memory-mapped."""

    plans: Floats32
    """(N, D) in -1..1."""

    attributes: Floats32
    """(N, A) NaN where a bar has none."""

    about: PlansJson

    def of_split(self, *sides: Side) -> list[PiecePlans]:
        """The pieces of some sides of the split, views."""
        return [
            PiecePlans(
                file=p.file,
                plans=self.plans[p.first_bar : p.first_bar + p.bars],
                attributes=self.attributes[p.first_bar : p.first_bar + p.bars],
            )
            for p in self.about.pieces
            if p.split in sides
        ]


def write_plans(folder: Path, plans: Floats32, attributes: Floats32, about: PlansJson) -> None:
    """Write the three files, plans.json last.

    Args:
        folder: that exists.
        plans: (N, D).
        attributes: (N, A).
        about: what they are.
    """
    for name, array in ((PLANS, plans), (MEASURED, attributes)):
        with atomic_write(folder / name) as partial, partial.open("wb") as file:
            np.save(file, array.astype("<f4"), allow_pickle=False)
    atomic_write_text(folder / DESCRIPTION, about.to_text())


def read_plans(folder: Path) -> CorpusPlans:
    """What `write_plans` wrote, memory-mapped.

    Args:
        folder: a run of `meloctl plans`.

    Raises:
        MeloError: a file is missing or damaged.
    """
    about = PlansJson.read(folder / DESCRIPTION, max_bytes=1 << 30)
    bars = sum(piece.bars for piece in about.pieces)
    return CorpusPlans(
        plans=_mapped(folder / PLANS, (bars, about.plan_width)),
        attributes=_mapped(folder / MEASURED, (bars, len(ATTRIBUTES))),
        about=about,
    )


def _mapped(path: Path, shape: Sequence[int]) -> Floats32:
    """An array of that shape. Raises MeloError where the file holds no such array."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, SyntaxError, RecursionError) as error:
        raise MeloError(f"{path}: missing or damaged; make it again: {MADE_BY} CORPUS") from error
    if array.dtype != np.dtype("<f4") or array.shape != tuple(shape):
        raise MeloError(
            f"{path}: not {shape[0]} bars of {shape[1]} numbers, as {DESCRIPTION} says; make it again: {MADE_BY} CORPUS"
        )
    return array.view(np.ndarray)
