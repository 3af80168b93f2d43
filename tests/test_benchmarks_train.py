"""benchmarks/train.py: the same bars as rows and as tokens, equal sizes, what is counted, the shape of what it prints."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from conftest import ROOT, piece_of

from analysis.errors import MeloError
from analysis.midi_write import write_midi
from masks.spec import MaskSpec
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer, n_parameters
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import INSTRUMENT, default_vocabulary

sys.path.append(str(ROOT / "benchmarks"))

import train
import train_attention
import train_contestants
import train_cuda
import train_music
import train_turns

VOCABULARY = default_vocabulary()
BAR = 48
"""Ticks of a 4/4 bar, 12 a quarter."""


def song(notes_in_bars, *, parts=1):
    """A piece with so many notes in each bar, in each part."""
    return piece_of(
        [
            (part, BAR * bar + 3 * i, 3, 60 + part)
            for bar, n in enumerate(notes_in_bars)
            for i in range(n)
            for part in range(parts)
        ]
    )


def rows_of(notes_in_bars, *, parts=1):
    return encode(song(notes_in_bars, parts=parts), VOCABULARY)[0]


def token_bars(*counts):
    """Bars of so many notes, five tokens each."""
    return [train_music.TokenBar(tokens=np.arange(5 * n), notes=n) for n in counts]


@pytest.fixture
def folder(tmp_path):
    """Three files of 40 bars with 8 notes each, in two parts, and one that is no music."""
    for i in range(3):
        write_midi(song([4] * 40, parts=2), tmp_path / f"{i}.mid")
    (tmp_path / "broken.mid").write_bytes(b"no music")
    return tmp_path


# The same bars


def test_whole_bars_that_fit_are_taken_in_both_forms():
    found = train_music.in_both(rows_of([1, 2, 3, 4]), token_bars(1, 2, 3, 4), 1, 25, VOCABULARY)
    assert [len(bar.tokens) for bar in found.bars] == [10, 15]
    assert len(found.window.rows) == (1 + 2) + (1 + 3)  # headers and notes
    assert (found.window.first_bar, found.notes, found.token_notes, len(found.tokens)) == (1, 5, 5, 25)


@pytest.mark.parametrize(
    ("bars", "most"),
    [
        (token_bars(1, 2, 3, 4), 9),  # not even one bar fits
        (token_bars(1, 2, 3, 4, 1), 25),  # another number of bars
        (token_bars(1, 3, 3, 4), 25),  # another number of notes
    ],
)
def test_bars_that_are_not_the_same_are_left_out(bars, most):
    assert train_music.in_both(rows_of([1, 2, 3, 4]), bars, 1, most, VOCABULARY) is None


def test_a_cut_keeps_every_bar_but_a_rest_that_is_too_short():
    counts = [3, 2, 2, 2, 2, 1]
    whole = train_music.in_both(rows_of(counts), token_bars(*counts), 1, 1000, VOCABULARY)
    cuts = train_music.cut(whole, 20, VOCABULARY)
    # two bars of ten tokens each, twice; the five tokens of the last bar are left out
    assert [(e.window.first_bar, len(e.tokens), e.notes) for e in cuts] == [(1, 20, 4), (3, 20, 4)]
    assert train_music.cut(whole, 9, VOCABULARY) is None  # a bar alone has 10
    both = np.concatenate([e.window.rows for e in cuts])
    assert (both == whole.window.rows[: len(both)]).all()


def test_steps_survive_a_file(tmp_path):
    counts = [2, 2, 3]
    whole = train_music.in_both(rows_of(counts), token_bars(*counts), 1, 1000, VOCABULARY)
    bare = train_music.Excerpt(window=Window(rows=rows_of([5]), first_bar=0))
    train_music.save_steps([[whole, bare], [bare]], tmp_path / "steps.npz")
    steps = train_music.load_steps(tmp_path / "steps.npz")
    assert [len(step) for step in steps] == [2, 1]
    for before, after in zip([whole, bare, bare], [e for step in steps for e in step], strict=True):
        assert (after.window.rows == before.window.rows).all()
        assert (after.tokens == before.tokens).all()
        assert (after.window.first_bar, after.token_notes) == (before.window.first_bar, before.token_notes)


def test_every_length_gets_the_same_rows(folder):
    steps = train_music.by_rows(folder, VOCABULARY, [18, 72], 2, np.random.default_rng(0))
    assert [len(step) for step in steps[18]] == [4, 4]  # bars of 9 rows: two fit into 18, eight into 72
    assert [len(e.window.rows) for e in steps[72][0]] == [72]
    joined = np.concatenate([e.window.rows for e in steps[18][1]])
    assert (joined == steps[72][1][0].window.rows).all()


def test_rows_are_repeated_where_no_piece_is_long_enough(folder):
    (short, again), *others = train_music.excerpts(folder, VOCABULARY, 100, 3, np.random.default_rng(0))
    assert (len(short), again, len(others)) == (100, False, 2)
    ((long, again),) = train_music.excerpts(folder, VOCABULARY, 500, 1, np.random.default_rng(0))
    assert (len(long), again) == (500, True)
    assert (long[360:] == long[:140]).all()  # 40 bars of 9 rows, the end row gone
    assert (long[:, INSTRUMENT] != VOCABULARY.end).all()


def test_too_little_music_is_said(folder, tmp_path):
    with pytest.raises(MeloError, match="fewer than 4 pieces of 72 rows"):
        train_music.by_rows(folder, VOCABULARY, [72], 4, np.random.default_rng(0))
    with pytest.raises(MeloError, match=r"no \.mid file"):
        next(train_music.pieces(tmp_path / "nothing", VOCABULARY, np.random.default_rng(0)))


def test_real_files_are_the_same_bars_in_both_forms(real):
    pytest.importorskip("miditok")
    folder = real("band")[0].parent
    steps = train_music.by_tokens(folder, VOCABULARY, [512, 1024], 2, np.random.default_rng(0))
    for n, contexts in steps.items():
        for excerpt in (e for step in contexts for e in step):
            assert n / 2 <= len(excerpt.tokens) <= n
            assert excerpt.token_notes == pytest.approx(excerpt.notes, rel=0.02)
            assert excerpt.tokens[0] == train_music.remi().vocab["Bar_None"]
            assert excerpt.window.rows[0, INSTRUMENT] == VOCABULARY.bar
    tokens = sum(len(e.tokens) for step in steps[512] for e in step)
    assert 4 < tokens / sum(e.token_notes for step in steps[512] for e in step) < 5


# Equal sizes


def shape(model, **sizes):
    given = {
        "parameters": 8_000_000,
        "layers": 8,
        "width": 256,
        "heads": 4,
        "context": 4096,
        "tokens": 623,
        "threads": 1,
    }
    return train_contestants.Shape(model=model, **{**given, **sizes})


@pytest.mark.parametrize("model", ["meloformer", "dense"])
def test_ours_have_about_the_given_number_of_parameters(model):
    with torch.device("meta"):
        built = train_contestants.meloformer(shape(model))
    assert n_parameters(built) == pytest.approx(8_000_000, rel=0.005)


@pytest.mark.parametrize("model", train_contestants.TOKEN_MODELS)
def test_gpt2_has_the_parameters_asked_for(model):
    pytest.importorskip("transformers")
    with torch.device("meta"):
        built = train_contestants.gpt2(shape(model))
    assert n_parameters(built) == pytest.approx(8_000_000, rel=0.005)
    assert built.config._attn_implementation == "sdpa"
    assert built.config.attn_pdrop == (0.1 if model == "gpt2" else 0.0)


def test_too_few_parameters_are_refused():
    with pytest.raises(SystemExit, match="too few"):
        train_contestants.meloformer(shape("dense", parameters=100_000))


@pytest.mark.parametrize("name", ["meloformer", "meloformer-bf16", "gpt2-flash", "gpt2-flash-bf16"])
def test_a_step_learns_and_leaves_no_gradient(name):
    if name.startswith("gpt2"):
        pytest.importorskip("transformers")
    model, step = train_contestants.contestant(
        shape(name, parameters=300_000, layers=1, width=64, heads=1, context=64, tokens=30)
    )
    before = [p.detach().clone() for p in model.parameters()]
    step([train_music.Excerpt(window=Window(rows=rows_of([3, 3]), first_bar=0), bars=tuple(token_bars(3, 3)))])
    assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


# Work under masks


def tiny(spec):
    config = ModelConfig(layers=1, width=16, heads=1, kv_heads=1, hidden=8, field_hidden=8, context=64)
    return MeloFormer(config, VOCABULARY, spec)


def test_bf16_computes_in_bf16_from_the_same_weights(monkeypatch):
    seen = []
    forward = MeloFormer.forward
    in_bf16 = partial(torch.is_autocast_enabled, "cpu")
    monkeypatch.setattr(MeloFormer, "forward", lambda model, layout: seen.append(in_bf16()) or forward(model, layout))
    excerpts = [train_music.Excerpt(window=Window(rows=rows_of([3, 3]), first_bar=0))]
    for name in ("meloformer", "meloformer-bf16"):
        sizes = {"parameters": 300_000, "layers": 1, "width": 64, "heads": 1, "context": 64, "tokens": 30}
        model, step = train_contestants.contestant(shape(name, **sizes))
        step(excerpts)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert seen == [False, True]
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16


def test_work_under_masks_by_hand():
    pack = pack_of([Window(rows=rows_of([1, 1])[:4], first_bar=0)])  # two bars of a header and a note
    dense = train_cuda.work_of(pack, tiny(train_contestants.DENSE))
    assert dense == train_cuda.Work(vectors=4, pairs=10)
    seed = train_cuda.work_of(pack, tiny(train_contestants.SEED_MASK))
    # rows: all 10 pairs; 2 rows see the summary of the bar before; 4 rows are summarised; summaries see 1 and 2 summaries
    assert seed == train_cuda.Work(vectors=6, pairs=10 + 2 + 4 + 3)
    alone = train_cuda.work_of(pack, tiny(MaskSpec(same=(), near=0, far=(), summaries=False)))
    assert alone == train_cuda.Work(vectors=4, pairs=3 + 3)


def test_operations_of_a_linear_layer():
    layer = torch.nn.Sequential(torch.nn.Embedding(7, 5), torch.nn.Linear(5, 3))
    config = ModelConfig(layers=2, width=16, heads=1, kv_heads=1, hidden=8, field_hidden=8, context=64)
    found = train_cuda.model_flops(layer, config, train_cuda.Work(vectors=11, pairs=13))
    assert found == 6 * 15 * 11 + 12 * 2 * 16 * 13


def test_flash_attention_is_what_the_dense_model_computes():
    config = ModelConfig(layers=2, width=32, heads=4, kv_heads=2, hidden=8, field_hidden=8, dropout=0.0, context=64)
    model = MeloFormer(config, VOCABULARY, train_contestants.DENSE)
    pack = pack_of([Window(rows=rows_of([3, 4, 5], parts=2), first_bar=0)])
    flash = train_cuda.layout_for("dense", model, pack)
    assert isinstance(flash.row_plan, train_cuda.FlashCausalPlan)
    torch.testing.assert_close(model(flash), model(model.layout(pack)))


def test_recompilations_are_counted():
    torch._dynamo.reset()
    double = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    double(torch.zeros(2))
    before = train_cuda.graphs_compiled()
    double(torch.zeros(2))
    assert train_cuda.graphs_compiled() == before
    double(torch.zeros(3))
    assert train_cuda.graphs_compiled() == before + 1


@pytest.mark.parametrize("name", list(train_contestants.SPECS))
def test_the_measurement_for_gpus_runs_without_one(folder, name):
    packs = train_cuda.packs_of(folder, 50, 3, seed=0)
    assert {p.n_rows for p in packs} == {50}
    config = ModelConfig(layers=1, width=16, heads=1, kv_heads=1, hidden=8, field_hidden=8, context=64)
    found = train_cuda.measured(name, config, packs, torch.device("cpu"), warm=1)
    assert (found["model"], found["rows"], found["recompilations"]) == (name, 50, 0)
    assert found["rows_per_s"] > found["notes_per_s"] > 0


def test_peaks_of_cards():
    assert train_cuda.peak_flops("NVIDIA H200", None) == 989e12
    assert train_cuda.peak_flops("NVIDIA H100 PCIe", None) == 756e12
    assert train_cuda.peak_flops("NVIDIA L40S", None) == 362e12
    assert train_cuda.peak_flops("another card", None) is None
    assert train_cuda.peak_flops("another card", 5) == 5e12


def test_ratios_of_medians_and_of_single_rounds():
    found = train_attention.ratio([[1.0, 2.0, 9.0], [3.0, 3.0, 3.0]], [[4.0, 4.0, 4.0], [3.0, 3.0, 1.0]])
    assert found == {"of_causal": 0.75, "least": 0.25, "most": 3.0, "by_piece": [0.5, 1.0]}


def test_attention_alone_is_measured_for_every_mask(folder):
    found = train_attention.attention_alone(folder, 60, 1, torch.get_num_threads(), np.random.default_rng(0))
    assert [e["spec"] for e in found] == list(train_attention.SPECS)
    assert all(e["rows"] == 60 and e["of_causal"] > 0 and e["repeated"] == 0 for e in found)


def test_ratios_that_the_aims_are_about():
    def entries(**speed):
        return [{"model": name.replace("_", "-"), "notes_per_s": rate} for name, rate in speed.items()]

    found = {
        "4096 tokens": entries(meloformer=200.0, dense=100.0, gpt2_flash=50.0, gpt2=None),
        "1024 rows": entries(meloformer=300.0, dense=100.0),
        "4096 rows": entries(meloformer=200.0, dense=10.0),
        "attention": [{"spec": "seed"}],
    }
    ratios = train.ratios(found)
    assert ratios["4096 tokens: meloformer / gpt2-flash"] == 4.0
    assert "4096 tokens: meloformer / gpt2" not in ratios
    assert ratios["4096 rows: cost of a note / at 1024 rows, meloformer"] == 1.5
    assert ratios["4096 rows: cost of a note / at 1024 rows, dense"] == 10.0


# The program


def test_help_needs_neither_torch_nor_the_extra():
    program = str(ROOT / "benchmarks" / "train.py")
    text = subprocess.run([sys.executable, "-S", program, "--help"], check=True, capture_output=True, text=True).stdout
    assert all(option in text for option in ("--json", "--quick", "--cuda", "--peak-tflops", "1024,2048,4096"))


def test_cuda_without_a_gpu_ends_with_one_line(monkeypatch, folder):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^error: --cuda: PyTorch finds no CUDA GPU here"):
        train.main([str(folder), "--cuda"])


def test_without_the_extra_it_says_what_to_install(monkeypatch, folder):
    monkeypatch.setattr(train, "installed", lambda name: name != "miditok")
    with pytest.raises(SystemExit, match="not installed: miditok; install the extra"):
        train.main([str(folder)])


TINY = {
    "tokens": (200,),
    "lengths": (64,),
    "attention": (64,),
    "rounds": 2,
    "parameters": 300_000,
    "layers": 1,
    "width": 64,
}


def test_models_alternate_in_processes_of_their_own_and_one_that_dies_stops_no_other(folder, capfd):
    setting = train_turns.Setting(threads=1, heads=1, **{**TINY, "tokens": (64,)})
    steps = train_music.by_rows(folder, VOCABULARY, [63], 2, np.random.default_rng(0))[63]
    *found, dead = train_turns.in_turns(("meloformer", "dense", "no such model"), 63, steps, setting)
    assert [e["model"] for e in found] == ["meloformer", "dense"]
    for e in found:
        assert (e["rows"], e["notes"]) == (63, 56)
        assert e["parameters"] == pytest.approx(300_000, rel=0.03)
        assert e["slowest"] <= e["notes_per_s"] <= e["fastest"]
        assert e["peak_mb"] > 0
    assert (dead["notes_per_s"], dead["peak_mb"]) == (None, None)
    assert "no such model" in capfd.readouterr().err


@pytest.mark.slow
def test_one_tiny_run_of_everything(folder, capsys):
    pytest.importorskip("miditok")
    pytest.importorskip("transformers")
    options = [f"--{name}={','.join(map(str, x)) if isinstance(x, tuple) else x}" for name, x in TINY.items()]
    train.main([str(folder), "--json", "--heads=1", "--threads=1", *options])
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["200 tokens", "64 rows", "attention", "ratios", "setting"]
    assert tuple(e["model"] for e in found["200 tokens"]) == train.contestants(
        "meloformer", "dense", "gpt2-flash", "gpt2"
    )
    for e in found["200 tokens"] + found["64 rows"]:
        assert e["notes_per_s"] > 0
        assert e["peak_mb"] > 0
        assert e["rows"] > e["notes"]
    assert all(100 <= e["tokens"] <= 200 for e in found["200 tokens"] if e["model"].startswith("gpt2"))
    train.printed(found, train_turns.Setting(threads=1, heads=1, **TINY))
    text = capsys.readouterr().out
    assert all(word in text for word in ("gpt2-flash", "budget of 0.3", "200 tokens: meloformer / gpt2:"))
