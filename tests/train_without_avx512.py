"""A program for a test: a few training steps and a short piece with the instruction sets that the environment allows.

It prints the first and the last loss, in nats per note, and the rows of the piece.
"""

import torch
from small_models import SEED, V, generate_rows, music, pack_of_rows, with_short_bars

from meloctl.machine import computes_in_half
from meloctl.model.attention.tiled.bf16_kernel import has_kernel
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer

torch.set_num_threads(1)
assert not has_kernel(), "the environment allows AVX-512"
torch.manual_seed(0)
sizes = {"layers": 2, "width": 64, "heads": 2, "kv_heads": 1, "hidden": 96, "field_hidden": 32, "context": 256}
model = MeloFormer(ModelConfig(**sizes, dropout=0.0), V, SEED)
layout = model.layout(pack_of_rows(music(0, 20)[0], music(1, 9)[0]))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
losses = []
for _ in range(8):
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_half("cpu")):
        loss = model(layout).sum() / layout.n_notes
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(float(loss.detach()))
print(losses[0], losses[-1], len(generate_rows(with_short_bars(model.eval()), bars=4)))
