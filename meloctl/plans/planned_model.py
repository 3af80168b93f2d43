"""The bar plans of a trained model, where it has them.

Shape letters: L rows, F fields, T bars, D width of a plan, A attributes.
"""

from collections.abc import Iterable
from pathlib import Path

from analysis.arrays import Floats, Floats32
from analysis.errors import MeloError
from meloctl.model.bar_plans import PlanChannel
from meloctl.model.checkpoint import ModelDescription
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.rows.attributes import bar_attributes
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import Vocabulary


def plan_channel(model: Model) -> PlanChannel:
    """The channel through which a model reads plans. Its description must have said that there is one (`check_planned`)."""
    assert isinstance(model, MeloFormer)
    assert model.plans is not None
    return model.plans


def check_planned(about: ModelDescription, folder: Path, *, field: str | None = None) -> None:
    """Raises MeloError where a model was trained without plans.

    Args:
        about: of the model.
        folder: of the model, for the message.
        field: the parameter that needs plans.
    """
    if not about.config.plan_width:
        raise MeloError(
            f"{folder} was trained without bar plans; train a model with them: meloctl train --plans 0.5, or take the weights "
            "that came with meloctl: `model default`",
            field=field,
        )


def plans_and_attributes(
    pieces: Iterable[Rows], channel: PlanChannel, vocabulary: Vocabulary, reporter: ProgressReporter
) -> tuple[list[Floats32], list[Floats]]:
    """Plans (T, D) and attributes (T, A) of the bars of each piece.

    Args:
        pieces: (L, F) rows of each.
        channel: of the model whose plans they are.
        vocabulary: of the rows.
        reporter: its stage gets a step a piece.
    """
    plans, attributes = [], []
    for rows in pieces:
        plans.append(channel.of_rows(rows, vocabulary))
        attributes.append(bar_attributes(rows, vocabulary))
        reporter.advance()
    return plans, attributes
