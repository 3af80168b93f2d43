"""The weights that a `meloctl train --from` starts from: checked against the model to be trained before anything is written."""

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from analysis.errors import MeloError
from masks.spec import MaskSpec
from meloctl.model.checkpoint import load_model, read_description
from meloctl.model.config import PLAN_NOISE, PRESETS
from meloctl.model.registry import Model, ModelName, model_name
from meloctl.training.options import TrainOptions
from meloctl.weights.default_weights import model_label, named_model
from meloctl.workspace import file_hash


@dataclass(frozen=True, kw_only=True)
class StartWeights:
    """Weights of a trained model, from which another training starts."""

    folder: Path
    name: ModelName
    """Architecture and size, which the new run has too."""

    weights: str
    """`file_hash` of model.safetensors."""

    spec: MaskSpec | None
    """The mask that they were trained under."""

    knows_plans: bool
    """They were trained with bar plans."""

    def notes(self, spec: MaskSpec | None) -> list[str]:
        """For the user: where training starts, and whether the mask `spec` of the new run differs from theirs."""
        lines = [f"Starting from the weights of {model_label(self.folder)}"]
        if _shown(spec) != _shown(self.spec):
            lines.append("Note: they were trained under another mask, and go on under this one")
        return lines

    def check_plans(self, share: float) -> None:
        """Raise MeloError where the share of windows with bar plans, 0 or above, does not go with these weights."""
        if bool(share) != self.knows_plans:
            knows = "were trained with bar plans; give a share above 0, or leave it out"
            unknown = "know no bar plans; leave it out"
            raise MeloError(
                f"the weights of `from_` {knows if self.knows_plans else unknown}", field="plans", given=share
            )

    def load_into(self, model: Model) -> None:
        """Give a model these weights. Raises MeloError: the files are damaged, or have changed since they were planned with."""
        if file_hash(self.folder / "model.safetensors") != self.weights:
            raise MeloError("its weights have changed since the command began; give it again", field="from_")
        theirs, own = load_model(self.folder)[0].state_dict(), model.state_dict()
        if {k: v.shape for k, v in theirs.items()} != {k: v.shape for k, v in own.items()}:
            odd = sorted(theirs.keys() ^ own.keys())
            raise MeloError(
                f"its weights do not fit the model to be trained ({', '.join(odd[:2]) or 'other shapes'}); give the "
                "mask and the options that it was trained with",
                field="from_",
                given=self.folder,
            )
        model.load_state_dict(theirs)


def _shown(spec: MaskSpec | None) -> tuple[object, ...] | None:
    """What a mask shows, without its reasons."""
    return None if spec is None else (spec.same, spec.near, spec.far, spec.drums, spec.summaries)


def start_weights(options: TrainOptions) -> StartWeights | None:
    """The weights that options start from; None where they name none.

    Raises:
        MeloError: no model there, or not of the architecture, size or gates of the model to be trained, or of another vocabulary.
    """
    if options.from_ is None:
        return None
    folder = named_model(options.from_, field="from_")
    about = read_description(folder)

    def misfit(what: str) -> MeloError:
        return MeloError(what, field="from_", given=options.from_)

    sizes = replace(about.config, plan_width=0, plan_noise=PLAN_NOISE)
    size = next((size for size, config in PRESETS.items() if config == sizes), None)
    if size is None:
        raise misfit(f"its sizes are none of {', '.join(PRESETS)}; give a model of this version of meloctl")
    name = ModelName(architecture=about.architecture, size=size)
    if options.model is not None and (asked := model_name(options.model, size=size)) != name:
        raise misfit(f"it is `model {name}`, and `model {asked}` was asked for; leave `model` out")
    if about.gated != options.gates:
        has, remedy = ("has gates", "give `gates` too") if about.gated else ("has no gates", "leave `gates` out")
        raise misfit(f"it {has}; {remedy}")
    return StartWeights(
        folder=folder,
        name=name,
        weights=file_hash(folder / "model.safetensors"),
        spec=about.spec,
        knows_plans=about.config.plan_width > 0,
    )
