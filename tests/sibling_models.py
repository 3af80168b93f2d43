"""Small models of the other architectures, windows and packs for them, and what tests measure on them."""

import numpy as np
import torch
from conftest import piece_of
from small_models import V

from analysis.piece import Part
from meloctl.dataset.packs import Pack, pack_of, padded
from meloctl.dataset.windows import Window
from meloctl.model.config import ModelConfig
from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.music_transformer.decoder import MusicTransformerDecoder
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT


def config(**change) -> ModelConfig:
    sizes = {"layers": 2, "width": 24, "heads": 2, "kv_heads": 1, "hidden": 37, "field_hidden": 13, "context": 28}
    return ModelConfig(**{**sizes, "dropout": 0.0, **change})


def window(seed, bars, first_bar=0, tempo=120.0) -> Window:
    """Random rows of two parts, drums and a piano, in 4/4; drums open every bar."""
    rng = np.random.default_rng(seed)
    notes = [(0, 48 * b, 6, 36) for b in range(bars)]
    notes += [(1, 48 * b + int(t), 6, int(rng.integers(40, 80))) for b in range(bars) for t in rng.integers(0, 48, 2)]
    parts = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))
    return Window(rows=encode(piece_of(notes, parts=parts, tempo=tempo), V)[0], first_bar=first_bar)


def pack() -> Pack:
    """Three windows of different lengths, the second of which does not open its piece, and padding."""
    together = pack_of([window(1, bars=5), window(2, bars=3, first_bar=7), window(3, bars=2)])
    return padded(together, together.n_rows + 11)


def windows_of(together: Pack) -> list[Window]:
    cuts = zip(together.starts[:-1], together.starts[1:], together.first_bar, strict=True)
    return [Window(rows=together.rows[a:b], first_bar=int(bar)) for a, b, bar in cuts]


def visible_rows(model, together: Pack) -> list[set[int]]:
    """Which rows the cost of each row depends on, but for its own fields: by gradients with respect to the rows' embeddings."""
    kept = {}
    hook = model.embed.register_forward_hook(lambda _m, _i, out: kept.update(rows=out))
    nll = model(model.layout(together))
    hook.remove()
    seen = []
    for cost in nll.sum(dim=1):
        (gradient,) = torch.autograd.grad(cost, kept["rows"], retain_graph=True)
        seen.append(set(gradient.abs().sum(1).nonzero()[:, 0].tolist()))
    return seen


def trained_bits(model, together: Pack, *, steps: int, learning_rate: float) -> float:
    """Bits a field on one pack after training on it alone."""
    layout = model.layout(together)
    n_fields = int((layout.rows_NF[layout.loss_mask_N] != ABSENT).sum())
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1.0, (i + 1) / 20, (steps - i) / steps * 2))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(layout).sum() / n_fields
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return float(model.eval()(layout).sum()) / n_fields / np.log(2)


def to_learn() -> Pack:
    """Two windows to overfit: they differ from the first row on, and only one of them opens a piece."""
    return pack_of([window(1, bars=4), window(2, bars=3, first_bar=7, tempo=60.0)])


def n_parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


def silent_parameters(model, together: Pack) -> set[str]:
    """Names of parameters that get no gradient from a pack."""
    model(model.layout(together)).sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()}


SIZES = {"layers": 3, "width": 24, "heads": 2, "kv_heads": 1, "hidden": 101, "field_hidden": 13, "dropout": 0.0}


def sibling(kind, *, seed=0, **change):
    """A small model in which every weight counts: a fresh one's norms are 1, its biases 0 and its distances nearly so."""
    torch.manual_seed(seed)
    model = kind(ModelConfig(**{**SIZES, "context": 28, **change}), V).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def started(model, prompts, **how):
    """A sibling's decoder of tensors, and the states after prompts, in the model's own precision."""
    if isinstance(model, EncoderDecoder):
        decoder = EncoderDecoderDecoder(model, **how)
    else:
        decoder = MusicTransformerDecoder(model, len(prompts), **how)
    return decoder, decoder.prefill(prompts)
