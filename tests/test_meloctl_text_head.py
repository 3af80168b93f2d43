"""The text head: its file is whole or refused, and training finds what a planted encoder hides in its vectors."""

import numpy as np
import pytest
from irrelevant_texts import CHINESE, ENGLISH
from safetensors.numpy import load, save

from analysis.errors import MeloError
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text import head_training
from meloctl.text.head_examples import head_examples, plain_examples
from meloctl.text.head_training import fit_head
from meloctl.text.phrases import phrase_table
from meloctl.text.text_head import load_head, save_head
from meloctl.text.text_tokens import tokens_of

WIDTH = 12


FINGERPRINT = "0123456789abcdef"
"""Of an encoder whose vectors are the attributes that a text speaks of, and one number for none."""


def loaded(path):
    """The head of that encoder in a file."""
    return load_head(path, fingerprint=FINGERPRINT, width=WIDTH)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(head_training, "LANDMARKS", 120)
    monkeypatch.setattr(head_training, "PROJECTED", WIDTH)


def planted(n, random):
    """(vectors, levels) of n texts that speak of one attribute each; the last third of nothing."""
    levels = np.full((n, len(ATTRIBUTES)), np.nan)
    vectors = random.normal(0, 0.02, (n, WIDTH))
    for i in range(n):
        if i % 3 == 2:
            vectors[i, WIDTH - 1] += 1
        else:
            a, sign = i % len(ATTRIBUTES), random.choice([-1, 1])
            levels[i, a], vectors[i, a] = sign * 1.2, vectors[i, a] + sign
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), levels


@pytest.fixture
def head(small):
    vectors, levels = planted(900, np.random.default_rng(0))
    return fit_head(vectors, levels, FINGERPRINT, np.random.default_rng(1), threshold=0.5)


def test_training_finds_what_is_planted(head):
    vectors, levels = planted(300, np.random.default_rng(2))
    music, said, found = head(vectors)
    speaks = ~np.isnan(levels)
    assert ((music >= head.threshold) == speaks.any(1)).mean() > 0.98
    assert (said[speaks] > 0.5).mean() > 0.98
    assert (np.sign(found[speaks]) == np.sign(levels[speaks])).all()
    np.testing.assert_allclose(np.abs(found[speaks]), 1.2, atol=0.5)


def test_the_file_gives_the_head_again(head, tmp_path):
    save_head(head, tmp_path / "head.safetensors")
    again = loaded(tmp_path / "head.safetensors")
    vectors, _ = planted(30, np.random.default_rng(3))
    for one, other in zip(head(vectors), again(vectors), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def damaged(raw, change):
    tensors, about = load(raw), {"format": "meloctl.text_head/1", "encoder": FINGERPRINT}
    about |= {"attributes": ",".join(ATTRIBUTES), "sharpness": "4.0", "threshold": "0.5"}
    change(tensors, about)
    return save(tensors, metadata=about)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, a: t.pop("weights_M"), "its numbers are not those of a text head"),
        (lambda t, a: t.update(landmarks_MD=t["landmarks_MD"][:, :3]), "its numbers are not those of a text head"),
        (
            lambda t, a: t.update(weights_M=t["weights_M"] * np.float32("nan")),
            "its numbers are not those of a text head",
        ),
        (lambda t, a: a.update(threshold="nan"), "its numbers are not those of a text head"),
        (lambda t, a: a.update(threshold="many"), "damaged, it is not a text head"),
        (lambda t, a: a.pop("encoder"), "damaged, it is not a text head"),
        (lambda t, a: a.update(format="meloctl.text_head/0"), "of another version of meloctl"),
        (lambda t, a: a.update(attributes="tempo"), "of another version of meloctl"),
        (lambda t, a: a.update(encoder="ffff"), r"made for another text encoder \(ffff, not 0123456789abcdef\)"),
    ],
)
def test_damaged_heads_are_refused(head, tmp_path, change, message):
    path = tmp_path / "head.safetensors"
    save_head(head, path)
    path.write_bytes(damaged(path.read_bytes(), change))
    with pytest.raises(MeloError, match=message):
        loaded(path)


@pytest.mark.parametrize("raw", [b"", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"[" * 16, b"PK\x03\x04" * 9])
def test_other_files_are_refused(tmp_path, raw):
    (tmp_path / "head.safetensors").write_bytes(raw)
    with pytest.raises(MeloError, match="damaged, it is not a text head"):
        loaded(tmp_path / "head.safetensors")


def test_a_missing_and_a_huge_file_are_refused(tmp_path):
    with pytest.raises(MeloError, match="cannot read the text head: no such file"):
        loaded(tmp_path / "none")
    (tmp_path / "huge").write_bytes(bytes((8 << 20) + 1))
    with pytest.raises(MeloError, match="larger than a text head can be"):
        loaded(tmp_path / "huge")


def test_examples_come_again_for_the_same_seed_and_speak_of_everything():
    first, again = (head_examples(400, "train", np.random.default_rng(5)) for _ in range(2))
    assert first.texts == again.texts
    assert len(first.levels) == len(first.held_out) == 400
    assert all(first.texts)
    assert (~np.isnan(first.levels)).any(0).all()
    assert np.isnan(first.levels[first.held_out]).all()
    assert first.held_out.any()


def test_no_example_for_training_is_a_word_of_the_test_half():
    train, test = plain_examples("train"), plain_examples("test")
    spoken = [set(np.array(made.texts)[~np.isnan(made.levels).all(1)]) for made in (train, test)]
    assert min(map(len, spoken)) > 300
    assert not spoken[0] & spoken[1]
    assert not spoken[1] & set(train.texts)


def test_texts_of_other_things_for_tests_are_new_to_the_head():
    made = plain_examples("train")
    other = set(np.array(made.texts)[np.isnan(made.levels).all(1)])
    assert {"invoice", "紫色"} <= other
    assert [text for text in ENGLISH if other & set(text.lower().split())] == []
    assert [text for text in CHINESE if any(word in text for word in other)] == []


def test_words_for_other_things_are_known_for_nothing():
    table, made = phrase_table(("train", "test")), plain_examples("train")
    other = np.array(made.texts)[np.isnan(made.levels).all(1)]
    assert len(other) > 600
    known = {word: table[tokens_of(word)].kind for word in other if tokens_of(word) in table}
    assert {word: kind for word, kind in known.items() if kind != "instrument"} == {}
