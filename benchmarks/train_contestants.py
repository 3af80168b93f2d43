"""The models that are compared, each a function that takes one training step; as a program, one of them in a process of its own.

    python benchmarks/train_contestants.py '{"model": "gpt2", …}' STEPS.npz

It says {"ready": true, …} once it is warm, then for each line of its input (the number of a step) how long that step took,
and at the end of its input the peak of its memory above what it had after its imports. `train.py` talks to several in turns.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from train_music import Excerpt, TokenBar, load_steps  # noqa: E402

from masks.spec import MOST_OFFSET, MaskSpec  # noqa: E402
from meloctl.dataset.packs import Pack, pack_of  # noqa: E402
from meloctl.dataset.windows import Window  # noqa: E402
from meloctl.model.config import ModelConfig  # noqa: E402
from meloctl.model.meloformer.model import MeloFormer, n_parameters  # noqa: E402
from meloctl.rows.vocabulary import default_vocabulary  # noqa: E402

SEED_MASK = MaskSpec(same="full", near=2, far=(4,), summaries=True)
DENSE = MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False)
SPECS = {"meloformer": SEED_MASK, "dense": DENSE}
TOKEN_MODELS = ("gpt2-flash", "gpt2")
HALF = "-bf16"
"""At the end of a name: matrix products in bf16 (autocast), from float32 weights, as `meloctl train` on CPUs that have it."""

Step = Callable[[Sequence[Excerpt]], None]
"""Forward, backward and optimizer over the excerpts of one step."""

Precision = Callable[[], torch.autocast]
"""What a forward pass stands in."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What all contestants have in common; the width inside the feed-forward layer makes up the number of parameters."""

    model: str
    """gpt2-flash, gpt2, meloformer or dense, in float32; each with -bf16 behind it, in that."""

    parameters: int
    layers: int
    width: int
    heads: int
    context: int
    """Tokens or rows that the model can take."""

    tokens: int
    """Size of MidiTok's vocabulary."""

    threads: int

    @property
    def half(self) -> bool:
        """In bf16?"""
        return self.model.endswith(HALF)

    @property
    def kind(self) -> str:
        """The model without its precision."""
        return self.model.removesuffix(HALF)

    def to_json(self) -> str:
        """For the command line of another process."""
        return json.dumps(asdict(self))


def of_size(build: Callable[[int], nn.Module], parameters: int) -> nn.Module:
    """The model with so many parameters, as near as steps of 8 in its inner width allow; parameters grow evenly with that width.

    Raises:
        SystemExit: what the model has beside its feed-forward layers is already more than that.
    """
    with torch.device("meta"):
        few, more = (n_parameters(build(hidden)) for hidden in (8, 16))
    hidden = 8 + 8 * round((parameters - few) / (more - few))
    if hidden < 8:
        raise SystemExit(f"{parameters:,} parameters are too few: {few:,} are needed; give fewer layers or less width")
    return build(hidden)


def gpt2(shape: Shape) -> nn.Module:
    """Hugging Face's GPT-2 with random weights and SDPA attention, positions for the longest context.

    `gpt2` drops attention weights as that library does by default; on a CPU PyTorch has no flash kernel with
    dropout, so the whole matrix is formed. `gpt2-flash` drops none, so SDPA takes its flash kernel, as it does for ours.
    Both drop a tenth of what the branches add, as the library does and ours by default does not, and keep no cache of keys.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    def build(hidden: int) -> nn.Module:
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=shape.tokens,
                n_positions=shape.context,
                n_embd=shape.width,
                n_layer=shape.layers,
                n_head=shape.heads,
                n_inner=hidden,
                attn_pdrop=0.1 if shape.kind == "gpt2" else 0.0,
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
                attn_implementation="sdpa",
            )
        )

    return of_size(build, shape.parameters)


def meloformer(shape: Shape, spec: MaskSpec | None = None) -> MeloFormer:
    """MeloFormer under the seed's mask, or with everything shown and no summaries, or under another mask."""

    def build(hidden: int) -> nn.Module:
        config = ModelConfig(
            layers=shape.layers,
            width=shape.width,
            heads=shape.heads,
            kv_heads=max(1, shape.heads // 2),
            hidden=hidden,
            field_hidden=shape.width // 2,
            context=shape.context,
        )
        return MeloFormer(config, default_vocabulary(), spec or SPECS[shape.kind])

    model = of_size(build, shape.parameters)
    assert isinstance(model, MeloFormer)
    return model


def token_step(model: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision) -> Step:
    """Each excerpt is a sequence of its own, so nothing is padded; their gradients add up to one optimizer step."""

    def step(excerpts: Sequence[Excerpt]) -> None:
        total = sum(len(excerpt.tokens) for excerpt in excerpts)
        for excerpt in excerpts:
            ids = torch.from_numpy(excerpt.tokens)[None]
            with precision():
                loss = model(input_ids=ids, labels=ids).loss
            (loss * (ids.shape[1] / total)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def row_step(model: MeloFormer, optimizer: torch.optim.Optimizer, precision: Precision) -> Step:
    """All excerpts in one pack. What the model needs to know of the pack (indices, the plan of the mask) counts as time too."""

    def step(excerpts: Sequence[Excerpt]) -> None:
        pack: Pack = pack_of([excerpt.window for excerpt in excerpts])
        layout = model.layout(pack)
        with precision():
            nll: Tensor = model(layout)
        (nll.sum() / layout.n_notes).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def contestant(shape: Shape) -> tuple[nn.Module, Step]:
    """The model and its training step, with one optimizer for all contestants."""
    torch.manual_seed(0)
    model = gpt2(shape) if shape.kind in TOKEN_MODELS else meloformer(shape)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    precision = partial(torch.autocast, "cpu", torch.bfloat16, enabled=shape.half)
    step = token_step if shape.kind in TOKEN_MODELS else row_step
    return model, step(model, optimizer, precision)  # type: ignore[operator]


def warm_up(step: Step, excerpt: Excerpt) -> None:
    """Two steps on the beginning of an excerpt: kernels are loaded, the optimizer's moments made."""
    rows, tokens = excerpt.window.rows[:256], excerpt.tokens[:1024]
    bars = (TokenBar(tokens=tokens, notes=0),) if len(tokens) else ()
    for _ in range(2):
        step([Excerpt(window=Window(rows=rows, first_bar=0), bars=bars)])


def peak_mb() -> float:
    """Most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # a child's ru_maxrss starts from its parent's
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def serve(shape: Shape, steps: list[list[Excerpt]]) -> None:
    """Answer each number of a step with its time."""
    torch.set_num_threads(shape.threads)
    if shape.kind in TOKEN_MODELS:
        from transformers import GPT2LMHeadModel, logging  # noqa: F401  (its import is no memory of the model)

        logging.set_verbosity_error()
    before = peak_mb()
    model, step = contestant(shape)
    warm_up(step, steps[0][0])
    say({"ready": True, "parameters": n_parameters(model)})
    for line in sys.stdin:
        began = time.perf_counter()
        step(steps[int(line)])
        say({"seconds": time.perf_counter() - began})
    say({"peak_mb": round(peak_mb() - before, 1)})


def say(what: dict[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    serve(Shape(**json.loads(sys.argv[1])), load_steps(Path(sys.argv[2])))
