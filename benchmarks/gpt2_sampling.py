"""New music of a GPT-2 on REMI: side by side, with a cache of keys and values, as MIDI files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpt2_tokens import count_notes
from train_music import remi

from analysis.errors import MeloError

TOP_P = 0.95
MOST_TOKENS = 20_000
"""Of a piece: one that never comes to its last bar ends there."""

NEVER = ("PAD_None", "BOS_None", "EOS_None", "MASK_None")
"""Tokens that are not drawn; pieces end at their last bar."""


@torch.no_grad()
def sampled(model: Any, pieces: int, bars: int, random: torch.Generator) -> list[list[int]]:
    """Tokens of new pieces of so many bars.

    Where the model's positions are used up, the last half of them is read again, and the rest of the piece forgotten.
    """
    vocab, context = remi().vocab, model.config.n_positions
    bar, never = vocab["Bar_None"], [vocab[name] for name in NEVER]
    written: list[list[int]] = [[vocab["BOS_None"]] for _ in range(pieces)]
    left = list(range(pieces))
    while left:
        inputs = torch.tensor([written[i][-context // 2 :] for i in left])
        cache, places, going = None, inputs.shape[1], set(left)
        while going and places < context:
            out = model(input_ids=inputs, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits = out.logits[:, -1].float()
            logits[:, never] = -torch.inf
            inputs = nucleus(logits, random)[:, None]
            places += 1
            for i, token in zip(left, inputs[:, 0].tolist(), strict=True):
                if i in going and token == bar and written[i].count(bar) == bars:
                    going.remove(i)
                elif i in going:
                    written[i].append(token)
        left = sorted(i for i in going if len(written[i]) < MOST_TOKENS)
    return [tokens[1:] for tokens in written]


def nucleus(logits: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """(B, V) → (B,) drawn from the likeliest tokens that together have TOP_P, at temperature 1."""
    p, order = logits.softmax(dim=1).sort(dim=1, descending=True)
    p[p.cumsum(dim=1) - p > TOP_P] = 0
    return order.gather(1, torch.multinomial(p, 1, generator=random))[:, 0]


def write_pieces(written: list[list[int]], out: Path) -> dict[str, Any]:
    """Write tokens as MIDI files gpt2-0.mid, …; notes, and the mean share of tokens that break REMI's grammar.

    Raises:
        MeloError: `out` is not empty.
    """
    from miditok import TokSequence

    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise MeloError(f"{out} is not empty; give a new folder", field="out", given=str(out))
    errors = []
    for i, ids in enumerate(written):
        sequence = TokSequence(ids=ids)
        remi().decode(sequence).dump_midi(out / f"gpt2-{i}.mid")
        remi().complete_sequence(sequence)
        errors.append(float(remi().tokens_errors(sequence)))
    notes = count_notes(np.concatenate(written))
    return {"pieces": len(written), "notes": notes, "token_errors": round(float(np.mean(errors)), 4)}
