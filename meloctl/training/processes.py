"""Several processes as one: torchrun starts them, Accelerate brings them together. For a process alone all this costs nothing.

The model is whole in every process (DDP: gradients are added up after each step), or, where it is too large for that, its
weights, gradients and moments lie in pieces on all of them (FSDP: a layer is put together when it is needed).
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

PATIENCE = timedelta(hours=6)
"""How long processes wait for one of them, which may be encoding a corpus."""


def start_accelerator() -> Accelerator:
    """This process and those that torchrun started with it, on the GPU where there is one: in bf16 where that is fast."""
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
"""Kernels for bf16 that a CPU keeps, a megabyte each or more: one for each shape of a product."""

_meshes: list[DeviceMesh] = []
"""Made in this process; `end_processes` lets them go."""


def end_processes(accelerator: Accelerator) -> None:
    """Leave the other processes, without waiting for them, and stop gloo's threads: the interpreter must not end under them.

    Gloo's threads end with the last reference to their process group. A mesh has one, and PyTorch's caches keep the mesh.
    """
    accelerator.end_training()
    for mesh in _meshes:
        getattr(mesh, "_pg_registry", {}).clear()  # private to PyTorch, which offers no other way
    _meshes.clear()
    gc.collect()  # a wrapped model, which has one too, lies in cycles


def wrap_model(model: nn.Module, layers: Sequence[nn.Module], accelerator: Accelerator, *, shard: bool) -> nn.Module:
    """The model on its device, ready to be called by all processes together; make the optimizer from it afterwards.

    Args:
        model: equal in all processes; it is changed in place.
        layers: of the model, the units that are put together one at a time when it is sharded.
        shard: FSDP instead of DDP. It is meant for several GPUs; on CPUs it works, and brings nothing but tests.
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
    """Packs on a GPU are padded to their most rows, since its kernels are compiled for one length; elsewhere they are not."""
    return rows if accelerator.device.type == "cuda" else None


@contextmanager
def gradient_sync(wrapped: nn.Module, accelerator: Accelerator, *, last: bool) -> Iterator[None]:
    """Around a forward and backward pass: gradients stay in their process until the last turn of a step adds them up."""
    if isinstance(wrapped, FSDPModule):
        wrapped.set_requires_gradient_sync(last)
        yield
    elif last:
        yield
    else:
        with accelerator.no_sync(wrapped):
            yield


def sum_over_ranks(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """The sum over all processes of each number, the same in all of them."""
    if accelerator.num_processes == 1:
        return list(values)
    out: list[float] = accelerator.reduce(
        torch.tensor(values, dtype=torch.float64, device=accelerator.device), "sum"
    ).tolist()
    return out


def broadcast_first(accelerator: Accelerator, value: float) -> float:
    """The first process's number, in all processes: clocks differ, and what hangs on them must not."""
    return sum_over_ranks(accelerator, [value if accelerator.is_main_process else 0.0])[0]


def full_tensor(tensor: Tensor) -> Tensor:
    """A weight, gradient or moment in one piece; where it is sharded, all processes must ask for it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def distribute_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in pieces as `like` is in pieces, and on its device; the first process's is dealt out."""
    on_device = tensor.to(like.device)
    return distribute_tensor(on_device, like.device_mesh, like.placements) if isinstance(like, DTensor) else on_device
