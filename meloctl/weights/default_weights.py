"""Where the weights that come with meloctl lie, in a checkout and in an installed wheel alike; and models by name.

The folder holds model.safetensors and model.json, as `meloctl train` writes them, and CARD.md: what they were trained on,
on which terms, and what they can do. It is only read.
"""

from importlib.resources import files
from pathlib import Path

from analysis.errors import MeloError
from meloctl.workspace import LATEST, Workspace, file_hash

DEFAULT = "default"
"""The name of these weights, wherever a model is asked for."""

FOLDER = Path(str(files("meloctl.weights")))
"""Of the package; tests put another folder in its place."""

CARD = "CARD.md"


def default_weights() -> Path:
    """The folder of the weights that come with meloctl. Raises MeloError where this copy came without them."""
    if not _is_model(FOLDER):
        raise MeloError(f"{FOLDER}: this copy of meloctl came without weights; install it again, or train a model")
    return FOLDER


def named_model(name: str, *, field: str) -> Path:
    """The folder of a model by name: "default" for the weights that come with meloctl, otherwise the folder itself.

    Args:
        field: the parameter that names it, for errors.

    Raises:
        MeloError: no model there.
    """
    if name == DEFAULT:
        return default_weights()
    folder = Path(name)
    if not _is_model(folder):
        raise MeloError(
            'no model.json and model.safetensors in it; give a run of meloctl train, as melo/model/NAME, or "default" for the '
            "weights that came with meloctl",
            field=field,
            given=folder,
        )
    return folder


def chosen_model(space: Workspace, name: str | None) -> Path:
    """The folder of the model that a command's `model` names; for None that of the latest finished model of the workspace, and
    where it has none, of the weights that come with meloctl.

    Raises:
        MeloError: no such model, none at all, or the workspace's latest is damaged.
    """
    if name is not None:
        return named_model(name, field="model")
    if (space.root / "model" / LATEST).is_file() or not _is_model(FOLDER):
        return space.latest("model").folder
    return FOLDER


def is_default(folder: Path) -> bool:
    """Whether a model's folder is that of the weights that come with meloctl."""
    return folder == FOLDER


def bridge_beside() -> Path | None:
    """The folder of the bridge that comes with meloctl; None where this copy has none."""
    return FOLDER if (FOLDER / "bridge.json").is_file() else None


def model_label(folder: Path) -> str:
    """The name of a model for people: that of its folder, and of the weights that come with meloctl "default" and their hash."""
    return f"{DEFAULT}-{file_hash(folder / 'model.safetensors')[:8]}" if is_default(folder) else folder.resolve().name


def _is_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("model.json", "model.safetensors"))
