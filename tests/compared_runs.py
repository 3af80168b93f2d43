"""Small runs for tests of `meloctl compare`: models with constant heads, as `meloctl train` leaves them in a workspace."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from command_line import write_corpus
from train_small import V, fresh
from typer.testing import CliRunner

from analysis.corpus import find_files, fingerprint
from analysis.midi import read_midi
from meloctl.cli.main import app
from meloctl.comparison import forward_timing
from meloctl.dataset.store import FORMAT as ROWS
from meloctl.model.checkpoint import save_model
from meloctl.model.registry import MELOFORMERS
from meloctl.rows.codec import encode
from meloctl.workspace import Recipe, Workspace

PIECES = ("--pieces", "3", "--bars", "4")


@contextmanager
def two_rounds():
    """Forward passes are timed in two rounds; how many rounds there are is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward_timing, "LEAST_ROUNDS", 2)
        patch.setattr(forward_timing, "MOST_ROUNDS", 2)
        yield


def compare_lines(*arguments, work):
    """What `meloctl compare` prints."""
    done = CliRunner().invoke(app, ["compare", *map(str, arguments), "--work", str(work)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def compare_json(*arguments, work):
    """The object that `meloctl compare --json` prints."""
    return json.loads(compare_lines(*arguments, "--json", work=work))


def with_constant_heads(model, shares=None):
    """The model with heads of constant logits: the logarithms of some shares, or uniform."""
    for f, head in enumerate(model.heads.heads):
        torch.nn.init.zeros_(head.outer.weight)
        torch.nn.init.zeros_(head.outer.bias)
        if shares is not None:
            head.outer.bias.data.copy_(torch.from_numpy(np.log(shares[f])))
    return model.eval()


def save_run(work, corpus, model, architecture, *, seed=0, meter=None, rows=ROWS, infill=0.0, **recorded):
    """A run as `meloctl train` leaves it; its folder."""
    space = Workspace(work)
    spec = model.spec.to_json() if architecture in MELOFORMERS else None
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={
            "corpus": str(corpus),
            "fingerprint": fingerprint(find_files(corpus), corpus),
            "meter": meter,
            "rows": rows,
            "mask": spec,
        },
        options={"model": f"{architecture}/tiny", "seed": seed},
        label=f"{architecture}-{seed}",
    )
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    save_model(model, architecture, model.state_dict(), folder, {}, infill=infill)
    results = {"seconds": 60.0, "steps": 100, "rows_per_second": 5000.0, "density": 0.5, **recorded}
    space.finish(recipe, files=["model.safetensors", "model.json"], results={"training": results})
    return folder


def set_day(folder, day):
    """Set the day on which a run was finished."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "time": f"2026-01-{day:02d}T00:00:00+00:00"}))


def corpus_shares(corpus):
    """Of each field, the share of each value in a corpus."""
    rows = np.concatenate([encode(read_midi(path), V)[0] for path in find_files(corpus)])
    counts = [np.bincount(rows[rows[:, f] >= 0, f], minlength=size) + 0.5 for f, size in enumerate(V.sizes)]
    return [count / count.sum() for count in counts]


def save_runs(root):
    """Four runs on the corpus root/corpus → {name: folder}, all in the workspace root/melo but the last.

    known: heads of the corpus's shares; noisy: the same with noise; uniform; halves: an encoder-decoder of the corpus's shares,
    in root/other.
    """
    corpus = write_corpus(root / "corpus", files=60)
    shares, runs = corpus_shares(corpus), {}
    runs["known"] = save_run(root / "melo", corpus, with_constant_heads(fresh(), shares), "meloformer")
    noisy = with_constant_heads(fresh(), shares)
    torch.manual_seed(0)
    for head in noisy.heads.heads:
        head.outer.bias.data += 0.7 * torch.randn_like(head.outer.bias)
    runs["noisy"] = save_run(root / "melo", corpus, noisy, "meloformer", seed=1, seconds=120.0, steps=180)
    runs["uniform"] = save_run(root / "melo", corpus, with_constant_heads(fresh("dense")), "dense", density=1.0)
    for day, folder in enumerate(runs.values(), 1):
        set_day(folder, day)
    halves = with_constant_heads(fresh("encoder-decoder"), shares)
    runs["halves"] = save_run(root / "other", corpus, halves, "encoder-decoder", density=None)
    return runs


def only_folder(folder):
    """The one folder in a folder."""
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found
