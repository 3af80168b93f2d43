"""benchmarks/gpt2_remi.py: which tokens are trained on, judged and drawn."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import gpt2_remi
import gpt2_sampling
import gpt2_tokens
import train_music


def test_each_token_but_the_first_is_judged_once_behind_half_a_context_at_least():
    ids = np.arange(23)
    found = list(gpt2_tokens.overlapping(ids, 8))
    assert [window.tolist() for window, _ in found[:2]] == [list(range(9)), list(range(4, 13))]
    assert [t for window, new in found for t in window[-new:]] == list(range(1, 23))
    assert all(len(window) - new >= 5 for window, new in found[1:])
    assert [new for _, new in gpt2_tokens.overlapping(ids[:5], 8)] == [4]


def test_the_learning_rate_rises_then_falls_to_nothing():
    assert gpt2_remi.rate_at(0) == gpt2_remi.rate_at(1) == 0
    assert gpt2_remi.rate_at(0.5) == pytest.approx(gpt2_remi.LEARNING_RATE / 2)
    assert gpt2_remi.rate_at(0.02) > 0.99 * gpt2_remi.LEARNING_RATE


def test_only_the_likeliest_tokens_are_drawn():
    logits = torch.tensor([[0.6, 0.04, 0.36]]).log().expand(500, 3)
    drawn = gpt2_sampling.nucleus(logits, torch.Generator().manual_seed(0))
    assert sorted(drawn.unique().tolist()) == [0, 2]
    assert 0.5 < (drawn == 0).float().mean() < 0.75


def test_windows_are_transposed_whole_and_drums_are_not():
    pytest.importorskip("miditok", reason="MidiTok is not installed")
    vocab = train_music.remi().vocab
    bar, note, drum = vocab["Bar_None"], vocab["Pitch_60"], vocab["PitchDrum_40"]
    ids = np.array([bar, note, drum, note + 4])
    seen = set()
    for seed in range(60):
        window = gpt2_tokens.training_window(ids, 6, np.random.default_rng(seed))
        move = int(window[1]) - note
        assert window.tolist() == [bar, note + move, drum, note + 4 + move, -100, -100]
        seen.add(move)
    assert seen == set(range(-5, 7))
    assert gpt2_tokens.count_notes(ids) == 3


def test_pieces_have_the_bars_asked_for_and_reading_again_keeps_what_was_written():
    pytest.importorskip("miditok", reason="MidiTok is not installed")
    vocab = train_music.remi().vocab
    bar, note = vocab["Bar_None"], vocab["Pitch_60"]
    read = []

    def model(*, input_ids, past_key_values, use_cache):
        read.append((past_key_values, input_ids.shape))
        logits = torch.full((*input_ids.shape, len(vocab)), -torch.inf)
        logits[..., [bar, note]] = 0.0
        logits[..., vocab["EOS_None"]] = 9.0
        return SimpleNamespace(logits=logits, past_key_values=(past_key_values or 0) + input_ids.shape[1])

    model.config = SimpleNamespace(n_positions=8)
    pieces = gpt2_sampling.sampled(model, 3, 5, torch.Generator().manual_seed(0))
    assert [tokens.count(bar) for tokens in pieces] == [5, 5, 5]
    assert all(set(tokens) == {bar, note} for tokens in pieces)
    assert [shape[1] for cache, shape in read if cache is None][1:] == [4] * (sum(c is None for c, _ in read) - 1)
    assert max(cache or 0 for cache, _ in read) < 8
