"""Which attention backend serves which device: the one place that knows them all."""

import torch

from masks.spec import MaskSpec
from masks.tiling.kernel_costs import CPU, CPU_BF16
from meloctl.model.attention.attend import AttentionPlanner
from meloctl.model.attention.flex.planner import FlexPlanner
from meloctl.model.attention.tiled.bf16_kernel import WIDTH_MULTIPLE, has_kernel
from meloctl.model.attention.tiled.planner import TilePlanner


def planner_for(device_type: str, shown: MaskSpec, *, gated: bool, heads: int, head_width: int) -> AttentionPlanner:
    """The planner of the backend for a device.

    Args:
        device_type: "cpu", "cuda", … as `torch.device.type` names it.
        shown: the mask; under gates, one that shows all that gates may open.
        gated: pairs of rows pass gates.
        heads, head_width: of the attention to be computed; a CPU's costs depend on them.
    """
    if device_type == "cuda":
        return FlexPlanner(shown, gated=gated)
    if has_kernel() and head_width % WIDTH_MULTIPLE == 0 and not gated:
        return TilePlanner(shown, costs=CPU_BF16)
    costs = CPU.at(heads=heads, width=head_width, threads=torch.get_num_threads())
    return TilePlanner(shown, gated=gated, costs=costs)
