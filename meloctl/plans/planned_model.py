"""The bar plans of a trained model, where it has them."""

from pathlib import Path

from analysis.errors import MeloError
from meloctl.model.bar_plans import PlanChannel
from meloctl.model.checkpoint import ModelDescription
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model


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
