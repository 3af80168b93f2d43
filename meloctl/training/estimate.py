"""What a run will need, reckoned before anything is built: memory by what it holds, seconds from operations and traffic.

It need only be near enough to tell whether a run is possible: `rehearsal` measures the rest.
"""

from dataclasses import dataclass

import torch

from masks.spec import MaskSpec
from meloctl.machine import Machine
from meloctl.model.config import ModelConfig
from meloctl.model.registry import build, layers_of
from meloctl.rows.vocabulary import INSTRUMENT, NOTE_FIELDS, Vocabulary
from meloctl.training.train_config import TrainConfig

_FLOAT = 4
"""Bytes of a weight, a gradient, a moment and, on a CPU, an activation."""

_HALF = 0.6
"""On a GPU activations are kept in bf16, but for what is added up: so much of their size in float32."""

_SLACK = 1.35
"""What is taken for activations against what they fill at any time: gradients in passing, and gaps between freed tensors."""

ALWAYS = 120 << 20
"""Bytes that every run takes, however small: the corpus, libraries that are loaded late, buffers, what is being saved."""

_PASSES = 14.0
"""How often what is kept of a row goes through memory in a step, forward and backward, one small operation after the other."""

_ADAMW = 12
"""How often a weight goes through memory in a step of AdamW, with its gradient and its moments."""

_BACKWARD = 2.5
"""What the backward pass of flash attention computes, against its forward pass."""


@dataclass(frozen=True, kw_only=True)
class CorpusSize:
    """What is known of a corpus before it is encoded."""

    rows: int
    """Of all pieces that will be trained on."""

    rows_in_window: float
    """Mean."""

    shown: float
    """Share of dense causal attention's pairs that the mask shows."""


@dataclass(frozen=True, kw_only=True)
class ResourceEstimate:
    """What a step needs of one process."""

    parameters: int
    """Of the whole model."""

    rows: int
    """Most rows of music in a step, of all processes together; a pack holds no window twice, so at most the corpus."""

    weights_bytes: int
    """Weights, gradients, AdamW's two moments and, where there is one, the running mean."""

    activations_bytes: int
    """Of a pack, in all layers and in the heads of the fields, logits among them."""

    flops: float
    traffic_bytes: float

    @property
    def memory_bytes(self) -> int:
        """Beside what the program has taken before."""
        return self.weights_bytes + self.activations_bytes

    def seconds(self, machine: Machine) -> float:
        """Of a step."""
        return self.flops / machine.flops_per_second + self.traffic_bytes / machine.bytes_per_second


def estimate_resources(
    architecture: str,
    sizes: ModelConfig,
    vocabulary: Vocabulary,
    spec: MaskSpec | None,
    config: TrainConfig,
    music: CorpusSize,
    *,
    device: str,
    processes: int = 1,
    shard: bool = False,
) -> ResourceEstimate:
    """What training will need of each process; nothing is built but names and shapes."""
    with torch.device("meta"):
        model = build(architecture, sizes, vocabulary, spec)
    parameters = sum(p.numel() for p in model.parameters())
    in_layers = sum(p.numel() for layer in layers_of(model) for p in layer.parameters())
    in_heads = sum(p.numel() for p in model.heads.parameters())
    kept = 4 + (config.ema is not None)
    weights = _FLOAT * kept * parameters / (processes if shard else 1)
    # a row of the encoder-decoder is read by half of the layers, or written by the others; and what is padded is kept as well
    passed, padded = (0.5, 1.3) if architecture == "encoder-decoder" else (1.0, 1.0)
    layer, heads = passed * floats_in_layer(sizes), passed * floats_in_heads(sizes, vocabulary)
    held = heads + (sizes.layers * sizes.width + layer if config.checkpointing else sizes.layers * layer)
    forward = 4 / 3 if config.checkpointing else 1.0
    in_pack = config.pack_rows if device == "cuda" else min(config.pack_rows, music.rows)  # a GPU's packs are padded
    rows = in_pack * -(-config.packs // processes)
    keys = music.shown * music.rows_in_window / 2
    attention = 4 * (1 + _BACKWARD) * keys * sizes.width * sizes.layers
    size = _FLOAT * (_HALF if device == "cuda" else 1.0)
    return ResourceEstimate(
        parameters=parameters,
        rows=config.packs * min(config.pack_rows, music.rows),
        weights_bytes=int(weights),
        activations_bytes=ALWAYS + int(_SLACK * padded * size * held * in_pack),
        flops=rows * forward * passed * (6 * (in_layers + in_heads) + attention),
        traffic_bytes=rows * forward * _PASSES * size * (sizes.layers * layer + heads) + _ADAMW * _FLOAT * parameters,
    )


def floats_in_layer(sizes: ModelConfig) -> float:
    """What a layer keeps of a row for the backward pass, as counted in MeloFormer with summaries.

    Two norms keep what goes in and what is normed, attention its query and what was heard, dropout what it let through (9 C in
    all); keys and values are kept as they are and beside those of the summaries (4 G D); SwiGLU keeps both branches, their
    gate and their product (4 H).
    """
    return 9 * sizes.width + 4 * sizes.kv_heads * sizes.head_width + 4 * sizes.hidden


def floats_in_heads(sizes: ModelConfig, vocabulary: Vocabulary) -> float:
    """What the heads keep of a note row: of each field the state, its norm, the hidden layer twice, and its probabilities."""
    fields = (INSTRUMENT, *NOTE_FIELDS)
    return len(fields) * (3 * sizes.width + 2 * sizes.field_hidden) + sum(vocabulary.sizes[f] for f in fields)
