"""Distributed training: torchrun starts the processes, Accelerate connects them. For a single process all this costs nothing.

Every rank has the whole model (DDP: gradients are summed after each step), or, where it is too large for that, a shard of its
weights, gradients and moments (FSDP: a layer is gathered when it is needed).
"""

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from meloctl.machine import computes_in_half

TIMEOUT = timedelta(hours=6)
"""How long ranks wait for one of them, which may be encoding a corpus."""


def start_accelerator() -> Accelerator:
    """Connect this process with those that torchrun started; on the GPU where there is one, in bf16 where that is fast."""
    cuda = torch.cuda.is_available()
    half = computes_in_half("cuda" if cuda else "cpu")
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, _KERNELS)
    return Accelerator(
        cpu=not cuda,
        mixed_precision="bf16" if half else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)],
    )


_KERNELS = "256"
"""oneDNN kernels for bf16 that a CPU caches, a megabyte each or more: one per shape of a matrix product."""

_meshes: list[DeviceMesh] = []
"""Made in this process; `end_processes` releases them."""


def end_processes(accelerator: Accelerator) -> None:
    """Leave the process group, without waiting for the others, and stop gloo's threads before the interpreter exits.

    Gloo's threads end with the last reference to their process group. A mesh has one, and PyTorch's caches keep the mesh.
    """
    accelerator.end_training()
    for mesh in _meshes:
        getattr(mesh, "_pg_registry", {}).clear()  # private to PyTorch, which offers no other way
    _meshes.clear()
    gc.collect()  # a wrapped model, which has one too, is in reference cycles


def wrap_model(model: nn.Module, layers: Sequence[nn.Module], accelerator: Accelerator, *, shard: bool) -> nn.Module:
    """Move a model to its device and wrap it in DDP or FSDP; all ranks call the result together. Make the optimizer afterwards.

    Args:
        model: equal on all ranks; it is changed in place.
        layers: of the model, the units that FSDP gathers one at a time.
        shard: FSDP instead of DDP; what it saves is in docs/benchmarks.md.
    """
    if shard and accelerator.num_processes > 1:
        model.to(accelerator.device)
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        _meshes.append(mesh)
        half = accelerator.mixed_precision == "bf16"
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
        for module in (*layers, model):
            fully_shard(module, mesh=mesh, mp_policy=policy)
        return model
    wrapped: nn.Module = accelerator.prepare(model)
    return wrapped


def padded_length(accelerator: Accelerator, rows: int) -> int | None:
    """Rows to which packs are padded: `rows` on a GPU, whose kernels are compiled for one length; None elsewhere."""
    return rows if accelerator.device.type == "cuda" else None


@contextmanager
def gradient_sync(wrapped: nn.Module, accelerator: Accelerator, *, last: bool) -> Iterator[None]:
    """Around a forward and backward pass: gradients stay on their rank until the last micro-batch of a step, which sums them."""
    if isinstance(wrapped, FSDPModule):
        wrapped.set_requires_gradient_sync(last)
        yield
    elif last:
        yield
    else:
        with accelerator.no_sync(wrapped):
            yield


def sum_over_ranks(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """Sum of each value over all ranks, the same on each."""
    if accelerator.num_processes == 1:
        return list(values)
    out: list[float] = accelerator.reduce(
        torch.tensor(values, dtype=torch.float64, device=accelerator.device), "sum"
    ).tolist()
    return out


def broadcast_first(accelerator: Accelerator, value: float) -> float:
    """The first rank's value, on all ranks: clocks differ, and what depends on them must not."""
    return sum_over_ranks(accelerator, [value if accelerator.is_main_process else 0.0])[0]


def full_tensor(tensor: Tensor) -> Tensor:
    """A weight, gradient or moment, unsharded; all ranks call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def distribute_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor sharded as another one is, and on its device; each rank keeps its part of its own.

    Args:
        tensor: the whole tensor, of `like`'s full shape, equal on all ranks.
        like: the tensor whose device, and sharding if it is a DTensor, the result has.
    """
    on_device = tensor.to(like.device)
    if not isinstance(like, DTensor):
        return on_device
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)
