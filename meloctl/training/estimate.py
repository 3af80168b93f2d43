"""Memory and time of a training step, estimated from sizes before anything is built.

Accurate enough to tell whether a run is possible; `step_timing` measures the rest.
"""

from dataclasses import dataclass

from masks.spec import MaskSpec
from meloctl.machine import Machine
from meloctl.model.config import ModelConfig
from meloctl.model.init import shapes_alone
from meloctl.model.registry import build, layers_of
from meloctl.rows.vocabulary import INSTRUMENT, NOTE_FIELDS, Vocabulary
from meloctl.training.optimizer import muon_flops, sorted_weights
from meloctl.training.options import TrainConfig

_FLOAT = 4
"""Bytes of a weight, a gradient, a moment and, on a CPU, an activation."""

_HALF = 0.6
"""Size of activations on a GPU over their size in float32: bf16, but float32 for what is summed."""

_SLACK = 1.35
"""Memory reserved for activations over what they fill: passing gradients, and gaps between freed tensors."""

BASE_BYTES = 120 << 20
"""Bytes of any run, however small: the corpus, libraries that are loaded late, buffers, the state while it is saved."""

_PASSES = 14.0
"""Times that a row's activations pass through memory in a step, forward and backward, over all small operations."""

_OPTIMIZER = 12
"""Times that a weight passes through memory in a step of the optimizer, with its gradient and its moments."""

_BACKWARD = 2.5
"""Operations of the backward pass of flash attention over those of its forward pass."""


@dataclass(frozen=True, kw_only=True)
class CorpusSize:
    """Size of a corpus, estimated before it is encoded."""

    rows: int
    """Of all training pieces."""

    rows_per_window: float
    """Mean."""

    visible_share: float
    """Pairs of rows that the mask shows over those of dense causal attention, 0..1."""


@dataclass(frozen=True, kw_only=True)
class ResourceEstimate:
    """Memory and time of a step on one rank."""

    parameters: int
    """Of the whole model."""

    rows: int
    """Most rows of a step, of all ranks together; a pack holds no window twice, so at most the corpus per pack."""

    weights_bytes: int
    """Weights, gradients, and moments: one under Muon, two under AdamW."""

    activations_bytes: int
    """Of a pack, in all layers and in the row heads, logits among them."""

    flops: float
    """Floating-point operations of a step."""

    traffic_bytes: float
    """Bytes that pass through memory in a step."""

    @property
    def memory_bytes(self) -> int:
        """Weights and activations, beside what the program has taken before."""
        return self.weights_bytes + self.activations_bytes

    def seconds(self, machine: Machine) -> float:
        """Time of a step."""
        return self.flops / machine.flops_per_second + self.traffic_bytes / machine.bytes_per_second


def estimate_resources(
    architecture: str,
    sizes: ModelConfig,
    vocabulary: Vocabulary,
    spec: MaskSpec | None,
    config: TrainConfig,
    corpus: CorpusSize,
    *,
    device: str,
    processes: int = 1,
    shard: bool = False,
) -> ResourceEstimate:
    """Memory and time of a step on each rank, from shapes alone (a model on the meta device).

    Args:
        device: "cpu" or "cuda".
        processes: ranks that train together.
        shard: weights, gradients and moments are sharded over the ranks.
    """
    with shapes_alone():
        model = build(architecture, sizes, vocabulary, spec)
    parameters = sum(p.numel() for p in model.parameters())
    in_layers = sum(p.numel() for layer in layers_of(model) for p in layer.parameters())
    in_heads = sum(p.numel() for p in model.heads.parameters())
    muon = sorted_weights(model).muon
    weights = _FLOAT * (4 * parameters - sum(p.numel() for p in muon)) / (processes if shard else 1)
    # a row of the encoder-decoder passes through half of the layers, those of the encoder or of the decoder, with padding
    passed, padded = (0.5, 1.3) if architecture == "encoder-decoder" else (1.0, 1.0)
    layer, heads = passed * floats_in_layer(sizes), passed * floats_in_heads(sizes, vocabulary)
    held = heads + (sizes.layers * sizes.width + layer if config.checkpointing else sizes.layers * layer)
    forward = 4 / 3 if config.checkpointing else 1.0
    in_pack = config.pack_rows if device == "cuda" else min(config.pack_rows, corpus.rows)  # a GPU's packs are padded
    rows = in_pack * -(-config.packs // processes)
    keys = corpus.visible_share * corpus.rows_per_window / 2
    attention = 4 * (1 + _BACKWARD) * keys * sizes.width * sizes.layers
    size = _FLOAT * (_HALF if device == "cuda" else 1.0)
    return ResourceEstimate(
        parameters=parameters,
        rows=config.packs * min(config.pack_rows, corpus.rows),
        weights_bytes=int(weights),
        activations_bytes=BASE_BYTES + int(_SLACK * padded * size * held * in_pack),
        flops=rows * forward * passed * (6 * (in_layers + in_heads) + attention)
        + sum(muon_flops(p.shape) for p in muon),
        traffic_bytes=rows * forward * _PASSES * size * (sizes.layers * layer + heads)
        + _OPTIMIZER * _FLOAT * parameters,
    )


def floats_in_layer(sizes: ModelConfig) -> float:
    """Floats per row that a layer keeps for the backward pass, as found in MeloFormer with summaries.

    Two norms keep their input and output, attention its query and output, dropout its output (9 C in all); keys and values are
    kept alone and concatenated with those of the summaries (4 G D); SwiGLU keeps both branches, the gate and the product (4 H).
    """
    return 9 * sizes.width + 4 * sizes.kv_heads * sizes.head_width + 4 * sizes.hidden


def floats_in_heads(sizes: ModelConfig, vocabulary: Vocabulary) -> float:
    """Floats per note row that the heads keep: for each field the state, its norm, the hidden layer twice, its probabilities."""
    fields = (INSTRUMENT, *NOTE_FIELDS)
    return len(fields) * (3 * sizes.width + 2 * sizes.field_hidden) + sum(vocabulary.sizes[f] for f in fields)
