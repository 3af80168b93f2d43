"""Generation with the models to compare with: cached states equal the full forward, and every architecture writes exact bars."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch
from conftest import piece_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sibling_models import SIZES, sibling, started
from small_models import SEED, V, music, pack_of_rows, row_writers, small

from analysis.midi import read_midi
from analysis.midi_write import write_midi
from meloctl.cli.main import run
from meloctl.formatting import byte_size
from meloctl.generation.constraints import Constraints
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate
from meloctl.model.checkpoint import save_model
from meloctl.model.config import ModelConfig
from meloctl.model.decoding import ArrayDecoder, start_decoding
from meloctl.model.encoder_decoder import model as encoder_decoder
from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder
from meloctl.model.music_transformer.decoder import MusicTransformerDecoder
from meloctl.model.music_transformer.model import MusicTransformer, longest_distance
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, build
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH
from meloctl.workspace import Recipe, Workspace

pytestmark = pytest.mark.usefixtures("one_thread")

NO_ROWS = torch.empty(0, len(FIELDS), dtype=torch.int64)
assert_equal = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def full_states(model, rows, given=0):
    """(L − given, C) states of the full forward: of all rows, or of those behind what an encoder reads."""
    if isinstance(model, MusicTransformer):
        return model.states(model.layout(pack_of_rows(rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_decoder, "split", lambda *_: given)
        return model.states(model.layout(pack_of_rows(rows)))[0]


def assert_equal_to_full(decoder, states, rows, full):
    """Feed all rows but the last, and compare every state."""
    assert_equal(states[0], full[0])
    for row, expected in zip(rows[:-1], full[1:], strict=True):
        assert_equal(decoder.step(row[None])[0], expected)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([4, 28, 400]))
def test_cached_states_of_the_music_transformer_equal_the_full_forward(seed, bars, context):
    model, (rows, *_) = sibling(MusicTransformer, context=context), music(seed, bars=bars)
    assert_equal_to_full(*started(model, [NO_ROWS]), rows, full_states(model, rows))


def test_rows_further_back_than_any_distance_and_the_context_are_seen():
    model, (rows, *_) = sibling(MusicTransformer), music(3, bars=20)
    assert len(rows) > 2 * model.config.context > 8 * longest_distance(model.config) - 1
    full = full_states(model, rows)
    assert_equal_to_full(*started(model, [NO_ROWS]), rows, full)
    first = rows.clone()
    first[1, PITCH] += 7
    assert (full_states(model, first)[-1] - full[-1]).abs().max() > 1e-6


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 8), st.integers(1, 8))
def test_cached_states_of_the_encoder_decoder_equal_the_full_forward(seed, primer_bars, bars):
    model, (rows, bar, _) = sibling(EncoderDecoder), music(seed, bars=primer_bars + bars)
    n = bar.index(primer_bars)
    assert_equal_to_full(*started(model, [rows[:n]]), rows[n:], full_states(model, rows, n))


def test_a_window_is_written_as_it_was_trained():
    # split where training splits it, the cached states are those whose cost was trained
    model, (rows, *_) = sibling(EncoderDecoder), music(5, bars=9)
    n = encoder_decoder.split(rows.numpy(), V)
    assert 0 < n < len(rows)
    assert_equal_to_full(*started(model, [rows[:n]]), rows[n:], model.states(model.layout(pack_of_rows(rows)))[0])


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("kind", [MusicTransformer, EncoderDecoder])
def test_several_pieces_at_once_equal_each_alone(kind, prompted):
    # three pieces of unequal length; their prompts are as long as each other, but the second has fewer bars
    model, every = sibling(kind), [music(seed, bars=bars)[0] for seed, bars in ((1, 5), (2, 9), (3, 7))]
    n = 0
    if prompted:
        primer = music(4, bars=3)[0][:-1]
        second = primer.clone()
        second[len(primer) // 2 :, INSTRUMENT] = V.end - 1  # headers too
        third = primer.clone()
        third[:, PITCH] = torch.where(third[:, PITCH] > ABSENT, third[:, PITCH] + 5, ABSENT)
        n = len(primer)
        every = [torch.cat([a, b]) for a, b in zip((primer, second, third), every, strict=True)]
    full = [full_states(model, rows, n) for rows in every]
    if kind is MusicTransformer:
        full = [states[n:] for states in full]
    decoder, states = started(model, [rows[:n] for rows in every])
    every, going = [rows[n:] for rows in every], [0, 1, 2]
    for i in range(max(map(len, every))):
        for piece, state in zip(going, states, strict=True):
            assert_equal(state, full[piece][i])
        on = [piece for piece in reversed(going) if i < len(every[piece]) - 1]  # the others end here
        decoder.keep([going.index(piece) for piece in on])
        going = on
        if going:
            states = decoder.step(torch.stack([every[piece][i] for piece in going]))
    assert going == []


def test_each_model_has_its_decoder_which_reads_the_prompt():
    rows = music(6, bars=3)[0][:-1].numpy()
    kinds = {
        small(SEED): CompiledDecoder,
        sibling(MusicTransformer): MusicTransformerDecoder,
        sibling(EncoderDecoder): EncoderDecoderDecoder,
    }
    for model, kind in kinds.items():
        decoder, states = start_decoding(model, [rows, rows])
        assert type(decoder.decoder if isinstance(decoder, ArrayDecoder) else decoder) is kind
        assert decoder.model is model
        assert (states.shape, states.dtype) == ((2, 24), np.float32)
        assert np.array_equal(states[0], states[1])
        other = rows.copy()
        other[1, PITCH] += 7
        assert np.abs(start_decoding(model, [other])[1] - states[:1]).max() > 1e-6


@pytest.mark.parametrize("kind", [MusicTransformer, EncoderDecoder])
def test_products_in_bf16_are_near(kind):
    # wide enough for the largest products to be taken in bf16
    model, (rows, *_) = sibling(kind, width=384, heads=3, hidden=640).float(), music(5, bars=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.1)  # or else a model as wide as this saturates
    exact, near = started(model, [NO_ROWS]), started(model, [NO_ROWS], half=True)
    differs = False
    for row in rows[:-1]:
        a, b = (decoder.step(row[None]) for decoder, _ in (exact, near))
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.1)
        differs |= not torch.equal(a, b)
    assert differs
    assert a.dtype == b.dtype == torch.float32


@pytest.mark.parametrize("kind", [MusicTransformer, EncoderDecoder])
@pytest.mark.parametrize("bars", [1, 6])
def test_siblings_write_exact_bars_under_the_grammar(kind, bars):
    model, prompt = sibling(kind), music(7, bars=4)[0][:-1].numpy().astype(np.int16)
    for first in (prompt[:0], prompt):
        writers = row_writers(Constraints(bars=bars), range(3), first)
        decoder = generate(model, writers, Sampling(top_p=1.0))
        for rows in map(writers.rows, range(3)):
            assert check_rows(rows, V) == []
            assert np.array_equal(rows[: len(first)], first)
            assert (rows[:, INSTRUMENT] == V.bar).sum() == bars + 4 * bool(len(first))
        assert decoder.most_bytes > decoder.nbytes == 0  # none goes on


# the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A workspace with a tiny model of each architecture, untrained, and a prompt of three bars."""
    root = tmp_path_factory.mktemp("siblings")
    for architecture in ARCHITECTURES:
        torch.manual_seed(0)
        model = build(architecture, ModelConfig(**SIZES, context=64), V, SEED if architecture in MELOFORMERS else None)
        space = Workspace(root / architecture)
        recipe = Recipe(stage="model", command="train", inputs={}, options={}, label=architecture)
        space.folder(recipe).mkdir(parents=True)
        save_model(model, architecture, model.state_dict(), space.folder(recipe), {})
        space.finish(recipe, files=["model.json", "model.safetensors"], results={})
    write_midi(piece_of([(p, 48 * b + 12 * p, 12, 60 + b) for b in range(3) for p in range(2)]), root / "prompt.mid")
    return root


def run_generate(monkeypatch, capsys, *arguments):
    """What `meloctl generate` prints: its JSON object, and its messages."""
    monkeypatch.setattr(sys, "argv", ["meloctl", "generate", "--sound", "none", "--json", *map(str, arguments)])
    with pytest.raises(SystemExit, match="0"):
        run()
    out, message = capsys.readouterr()
    return json.loads(out), message


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generate_writes_exact_bars_with_every_architecture(folder, architecture, monkeypatch, capsys):
    work = ("--work", folder / architecture)
    piece, message = run_generate(monkeypatch, capsys, "--bars", "5", *work)
    again = read_midi(piece["path"])
    assert again.n_bars == piece["bars"] == 5
    assert piece["cache_bytes"] > 5 * 2 * 2 * 24 * 4  # a header a bar at least
    assert f"Cached keys and values took {byte_size(piece['cache_bytes'])} at most" in message
    piece, _ = run_generate(monkeypatch, capsys, "--bars", "2", "--prompt", folder / "prompt.mid", *work)
    again, kept = read_midi(piece["path"]), read_midi(folder / "prompt.mid")
    assert again.n_bars == piece["bars"] == 5
    old = again.notes.onset_tick < int(again.bars.start_tick(3))
    assert again.notes.pitch[old].tolist() == kept.notes.pitch.tolist()
    assert not old.all()
    pieces, _ = run_generate(monkeypatch, capsys, "--bars", "3", "--count", "2", *work)
    assert [one["bars"] for one in pieces["pieces"]] == [3, 3]
    assert pieces["cache_bytes"] > 0
