"""The estimate before anything is built: what there is, what is needed, and what people read."""

import re
from dataclasses import replace

import pytest
import torch
from small_models import SEED
from train_small import fresh, pieces

from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import windows
from meloctl.formatting import duration
from meloctl.machine import Machine, free_memory, this_machine
from meloctl.model.config import PRESETS
from meloctl.model.meloformer.model import n_parameters
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, build, model_name
from meloctl.rows.vocabulary import FIELDS, default_vocabulary
from meloctl.training.estimate import BASE_BYTES, CorpusSize, estimate_resources, floats_in_heads, floats_in_layer
from meloctl.training.feasibility import Feasibility, FittingRun, check_feasibility
from meloctl.training.options import CONTEXTS, PACKS, TrainConfig

V = default_vocabulary()
CORPUS = CorpusSize(rows=1_000_000, rows_per_window=900.0, visible_share=0.5)
MB = 1 << 20


# what there is


def system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


FREE = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:   4096 kB\n"}  # 4 MB
V2 = {
    **FREE,
    "proc/self/cgroup": "0::/user/job\n",
    "sys/fs/cgroup/user/job/memory.max": "max\n",
    "sys/fs/cgroup/user/job/memory.current": f"{MB}\n",
    "sys/fs/cgroup/user/job/memory.stat": "inactive_file 0\n",
    "sys/fs/cgroup/user/memory.max": f"{5 * MB}\n",
    "sys/fs/cgroup/user/memory.current": f"{3 * MB}\n",
    "sys/fs/cgroup/user/memory.stat": f"anon 1\ninactive_file {MB // 2}\n",
}
V1 = {
    **FREE,
    "proc/self/cgroup": "9:cpu,memory:/job\n2:pids:/job\n0::/\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{2 * MB}\n",
    "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{MB}\n",
    "sys/fs/cgroup/memory/job/memory.stat": f"cache 7\ntotal_inactive_file {MB // 4}\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{MB}\n",
    "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (FREE, 4 * MB),
        (V2, 5 * MB - 3 * MB + MB // 2),  # the group above has the limit
        ({**V2, "sys/fs/cgroup/user/memory.max": f"{50 * MB}\n"}, 4 * MB),
        (V1, 2 * MB - MB + MB // 4),
        ({**V1, "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{3 * MB}\n"}, 0),
        ({**V1, "sys/fs/cgroup/memory/job/memory.stat": "nonsense\n"}, 4 * MB),
    ],
)
def test_free_memory_is_what_the_system_and_every_group_leave(tmp_path, files, free):
    assert free_memory(system(tmp_path, files)) == free


def test_a_system_without_proc_is_read_otherwise(tmp_path):
    assert free_memory(tmp_path) > 10 * MB


def test_this_machine_is_measured_and_the_random_state_is_unchanged():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    machine = this_machine(64)
    assert machine.flops_per_second > 1e7 < machine.bytes_per_second
    assert machine.memory_bytes > 10 * MB
    assert torch.equal(torch.get_rng_state(), before)


# what is needed


def settings_of(size, **change):
    rows = CONTEXTS * PRESETS[size].context
    settings = {"seed": 0, "packs": PACKS, "pack_rows": rows, "learning_rate": 1e-3, "minutes": 30.0}
    return TrainConfig(**{**settings, **change})


def needed(architecture="meloformer", size="tiny", device="cpu", processes=1, shard=False, **change):
    spec = SEED if architecture in MELOFORMERS else None
    config = settings_of(size, **change)
    return estimate_resources(
        architecture, PRESETS[size], V, spec, config, CORPUS, device=device, processes=processes, shard=shard
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_those_of_the_model(architecture):
    spec = SEED if architecture in MELOFORMERS else None
    assert needed(architecture).parameters == n_parameters(build(architecture, PRESETS["tiny"], V, spec))


SQUARES, WIDE = 16, 12
"""Matrices of tiny's layers that are 192 × 192, and 192 × 512 or 512 × 192; each of the heads has one of 96 × 192."""


def test_memory_is_the_sum_of_what_it_holds():
    plain, parameters = needed(), needed().parameters
    turned = 192 * (SQUARES * 192 + WIDE * 512 + len(FIELDS) * 96)  # weights, gradients, and one moment
    assert plain.weights_bytes == 4 * (3 * turned + 4 * (parameters - turned))  # two moments of the others
    assert needed(processes=2, shard=True).weights_bytes == plain.weights_bytes / 2
    assert needed(processes=2).weights_bytes == plain.weights_bytes
    assert plain.memory_bytes == plain.weights_bytes + plain.activations_bytes
    kept = plain.activations_bytes - BASE_BYTES
    assert needed(pack_rows=4 * 1024).activations_bytes - BASE_BYTES == pytest.approx(2 * kept, rel=1e-6)
    assert needed(packs=7).activations_bytes == plain.activations_bytes  # one pack at a time
    assert needed(device="cuda").activations_bytes - BASE_BYTES == pytest.approx(0.6 * kept, rel=1e-6)
    assert needed(checkpointing=True).activations_bytes - BASE_BYTES < 0.5 * kept


def test_time_grows_with_what_is_done():
    machine = Machine(device="cpu", memory_bytes=0, flops_per_second=1e10, bytes_per_second=1e10)
    plain = needed().seconds(machine)
    assert plain == pytest.approx(needed().flops / 1e10 + needed().traffic_bytes / 1e10)
    # three rounds of three products with each matrix; that with itself, its square, and their sum with it
    shapes = [(SQUARES, 192, 192), (WIDE, 192, 512), (len(FIELDS), 96, 192)]
    muon = sum(3 * n * 2 * (2 * short * short * long + short**3) for n, short, long in shapes)
    pack = needed().flops - muon
    assert needed(packs=2).flops == pytest.approx(2 * pack + muon)
    assert needed(packs=2, processes=2).flops == needed().flops
    assert needed(packs=3, processes=2).flops == needed(packs=4, processes=2).flops  # one is a copy of another's
    assert needed(checkpointing=True).flops == pytest.approx(4 / 3 * pack + muon)
    assert needed(size="small").seconds(machine) > 5 * plain


def test_a_layer_and_the_heads_keep_what_the_estimate_says():
    # sizes at which the small things that are not counted stay small
    sizes = {"width": 96, "heads": 4, "kv_heads": 2, "hidden": 256, "field_hidden": 48}
    model = fresh(**sizes).train()
    layout = model.layout(pack_of(windows(pieces(12), 64, V)))
    size, length = {}, layout.n_rows

    def keep(tensor):
        size[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    r_NC = model.embed(layout.rows_NF).detach().requires_grad_()
    s_TC = (r_NC.new_zeros(layout.bar_plan.n_queries, 96) + model.summary).detach().requires_grad_()
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found = {"layer": floats_in_layer(model.config), "heads": floats_in_heads(model.config, V)}
    for name, compute in (
        ("layer", lambda: model.layers[0](r_NC, s_TC, layout, None)),
        ("heads", lambda: model.heads.nll(r_NC[:length], layout.rows_NF[:length])),
    ):
        size.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = compute()
        kept = sum(n for at, n in size.items() if at not in own) / (4 * layout.n_rows)
        del result
        # many bars of few rows here, so summaries, which pass through the same layer, weigh more than in real music
        bars = layout.bar_plan.n_queries / layout.n_rows if name == "layer" else 0.0
        assert kept == pytest.approx(found[name] * (1 + bars), rel=0.3)


# what people read


LAPTOP = Machine(device="cpu", memory_bytes=8_000_000_000, flops_per_second=1e11, bytes_per_second=1.3e10)


def run_of(name, **change):
    model = model_name(name, size="tiny")
    spec = SEED if model.architecture in MELOFORMERS else None
    return FittingRun(name=model, spec=spec, config=settings_of(model.size, **change))


@pytest.mark.parametrize("name", ["tiny", "small", "dense/small", "encoder-decoder/small"])
def test_what_fits_is_not_refused(name):
    assert check_feasibility(run_of(name), V, CORPUS, LAPTOP) == Feasibility()


def test_what_does_not_fit_is_refused_with_numbers_and_a_way_out():
    found = check_feasibility(run_of("large"), V, CORPUS, LAPTOP)
    lines = found.lines
    assert found.refused
    assert lines[0] == "model large is too much for this CPU in 30 minutes; nothing was started"
    n = needed(size="large")
    assert (
        f"Memory: {n.memory_bytes / 1e9:.1f} GB, {n.weights_bytes / 1e9:.1f} for {n.parameters / 1e6:.0f}M weights"
        in lines[1]
    )
    assert lines[1].endswith("of 16,384 rows; 8.0 GB are free")
    seconds = n.seconds(LAPTOP)
    assert f"about {seconds / 60:.1f} minutes a step of 16,384 rows, at 0.1 TFLOP/s" in lines[2]
    assert f"30 minutes hold {int(1800 / seconds)} steps" in lines[2]
    assert f"(1,000,000 rows) takes {seconds * 1e6 / 16384 / 3600:.1f} hours" in lines[2]
    assert (len(lines), found.alternative) == (3, {"model": "small", "pack_rows": None})
    assert re.fullmatch(r"2\.\d GB, .* a step, one pass in .*", found.alternative_needs)
    assert check_feasibility(run_of("small"), V, CORPUS, LAPTOP) == Feasibility()


def budget(steps, name="small"):
    """A run whose minutes hold so many steps on the laptop."""
    seconds = run_of(name).resources(V, CORPUS, LAPTOP).seconds(LAPTOP)
    return run_of(name, minutes=steps * seconds / 60)


def test_time_alone_can_be_too_short():
    short = budget(1.5)  # with 5 / 3 steps and more nothing is refused
    found = check_feasibility(short, V, CORPUS, LAPTOP)
    assert found.refused
    assert f"in {short.config.minutes:g} minutes; nothing was started" in found.lines[0]
    assert "minutes hold 1 step (5 are the least)" in found.lines[2]
    assert found.lines[-1] == "  No smaller size fits well: give it more minutes"
    faster = replace(LAPTOP, flops_per_second=1e13, bytes_per_second=1e12)
    assert check_feasibility(short, V, CORPUS, faster) == Feasibility()


def test_time_that_may_be_too_short_is_noted_and_not_refused():
    found = check_feasibility(budget(2.5), V, CORPUS, LAPTOP)
    assert not found.refused
    assert found.lines[0].startswith("Note: model small may be too much for this CPU in ")
    assert "minutes hold 2 steps (5 are the least)" in found.lines[2]
    assert check_feasibility(budget(5.1), V, CORPUS, LAPTOP) == Feasibility()


def test_memory_alone_can_be_too_little_and_checkpointing_helps():
    fast = Machine(device="cuda", memory_bytes=14_000_000_000, flops_per_second=1e14, bytes_per_second=1e12)
    found = check_feasibility(run_of("large"), V, CORPUS, fast)
    assert found.refused
    assert found.lines[0] == "model large is too much for this GPU; nothing was started"
    assert found.alternative == {"checkpointing": True}
    assert check_feasibility(run_of("large", checkpointing=True), V, CORPUS, fast) == Feasibility()
    assert check_feasibility(run_of("small", pack_rows=200_000), V, CORPUS, fast).alternative == {"pack_rows": 2048}
    full = replace(fast, memory_bytes=0)
    assert (
        check_feasibility(run_of("large"), V, CORPUS, full).lines[-1] == "  No smaller size fits well: free some memory"
    )
    slow = replace(full, flops_per_second=1e9)
    assert (
        check_feasibility(run_of("large"), V, CORPUS, slow)
        .lines[-1]
        .endswith("free some memory and give it more minutes")
    )


def test_a_step_that_holds_more_than_the_corpus_is_reported_so():
    # packs of 2,048 rows, but no more than the 1,000 that there are: 64 of them are 64,000, so a pass is 1/64 of a step
    corpus = replace(CORPUS, rows=1000)
    many = run_of("tiny", packs=64, minutes=0.01)
    lines = check_feasibility(many, V, corpus, LAPTOP).lines
    seconds = many.resources(V, corpus, LAPTOP).seconds(LAPTOP)
    assert f"about {duration(seconds)} a step of 64,000 rows" in lines[2]
    assert lines[2].endswith(f"one pass over the corpus (1,000 rows) takes {duration(seconds / 64)}")
