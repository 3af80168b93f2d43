"""The state of an unfinished run on disk, and how a finished one went."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from analysis.atomic import whole_file, write_text
from analysis.errors import MeloError
from analysis.json_file import read_json
from meloctl.model.meloformer import MeloFormer
from meloctl.training.checkpoint import (
    load_metadata,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from meloctl.training.plan import Standing


def save_state(model: MeloFormer, optimizer: torch.optim.Optimizer, standing: Standing, folder: Path) -> None:
    """Write metrics.csv and the training state, which is one file and so always of one moment; a finished run has none."""
    with whole_file(folder / "metrics.csv") as temporary:
        pd.DataFrame(standing.history).to_csv(temporary, index=False)
    state = folder / "last.safetensors"
    if standing.why:
        write_text(folder / "training.json", json.dumps(asdict(standing), indent=1) + "\n")
        state.unlink(missing_ok=True)
        return
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    tensors |= optimizer_tensors(optimizer, model)
    save_tensors({**tensors, "random": torch.get_rng_state()}, state, {"standing": json.dumps(asdict(standing))})


def resume_run(model: MeloFormer, optimizer: torch.optim.Optimizer, folder: Path) -> Standing | None:
    """Put an unfinished run's state back; None when there is none."""
    path = folder / "last.safetensors"
    if not path.exists():
        return None
    tensors, metadata = load_tensors(path), load_metadata(path)
    try:
        standing = _standing(json.loads(metadata["standing"]))
        torch.set_rng_state(tensors["random"])
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        restore_optimizer(optimizer, model, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another model's; delete {folder} and train again"
        ) from error
    return standing


def ended_run(folder: Path) -> Standing | None:
    """How a run ended that was stopped after its last step, before its manifest was written; None for any other."""
    path = folder / "training.json"
    if not path.is_file():
        return None
    try:
        return _standing(read_json(path, what="training record"))
    except (TypeError, ValueError) as error:
        raise MeloError(f"{path}: a damaged training record; delete {folder} and train again") from error


def _standing(data: object) -> Standing:
    """A standing from parsed JSON. Raises TypeError or ValueError for anything else."""
    if not isinstance(data, dict):
        raise TypeError("not an object")
    standing = Standing(**data)
    fresh = asdict(Standing(steps=0, most=0))
    if not all(
        isinstance(getattr(standing, k), (int, float) if type(v) is float else type(v)) for k, v in fresh.items()
    ):
        raise TypeError("a value of the wrong kind")
    return standing
