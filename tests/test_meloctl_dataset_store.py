import json
import struct
import tracemalloc

import numpy as np
import pytest
from conftest import note, piece_of, smf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from strategies import pieces

from analysis.corpus import SkippedFile, find_files, read_files
from analysis.errors import MeloError
from analysis.piece import Part
from meloctl.dataset.store import is_piece, make_shard, read_shard
from meloctl.rows.codec import GridLoss, encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, POSITION, default_vocabulary

V = default_vocabulary()
ROW_BYTES = 2 * len(FIELDS)
"""Of one row on disk, int16."""
PIECE = encode(piece_of([(0, 0, 6, 60), (0, 48, 6, 64)], parts=(Part(program=0, is_drum=False),)), V)[0]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i:02d}.mid").write_bytes(smf(note(40 + i, 480), note(60, 480)))
    (folder / "broken.mid").write_text("no")
    return folder


def test_a_corpus_becomes_rows_and_splits_by_its_notes(corpus, tmp_path):
    shard = make_shard(find_files(corpus), V, tmp_path / "rows-1")
    assert len(shard) == 30
    assert len(shard.of_split("train")) + len(shard.of_split("validation")) + len(shard.of_split("test")) == 30
    assert np.array_equal(np.concatenate([shard.piece(i) for i in range(30)]), shard.rows)
    (corpus / "copy.mid").write_bytes((corpus / "00.mid").read_bytes())
    again = make_shard(find_files(corpus), V, tmp_path / "rows-2")
    assert again.split[:30] == shard.split
    assert again.split[30] == shard.split[0]  # a copy lies on the side of its original


def same(a, b):
    equal = np.array_equal(a.rows, b.rows) and np.array_equal(a.first, b.first)
    return equal and (a.split, a.loss, a.vocabulary) == (b.split, b.loss, b.vocabulary)


def test_a_shard_round_trips(corpus, tmp_path):
    shard = make_shard(find_files(corpus), V, tmp_path / "rows-1")
    again = read_shard(tmp_path / "rows-1")
    assert same(again, shard)
    assert [p.tolist() for p in again.of_split("train")] == [p.tolist() for p in shard.of_split("train")]


def test_a_shard_holds_the_pieces_that_could_be_read_in_order(corpus, tmp_path):
    files, seen = find_files(corpus), []
    shard = make_shard(files, V, tmp_path / "rows-1", on_file=lambda: seen.append(1))
    assert len(seen) == len(files) == len(shard) + 1  # the broken one
    expected = [encode(found.piece, V) for found in read_files(files) if not isinstance(found, SkippedFile)]
    assert [shard.piece(i).tolist() for i in range(len(shard))] == [rows.tolist() for rows, _ in expected]
    assert shard.loss == sum((cost for _, cost in expected), GridLoss())
    assert shard.loss.notes == 60


def test_the_file_is_what_others_call_safetensors(corpus, tmp_path):
    shard = make_shard(find_files(corpus), V, tmp_path / "rows-1")
    arrays = load_file(tmp_path / "rows-1.safetensors")
    assert np.array_equal(arrays["rows"], shard.rows)
    assert np.array_equal(arrays["first"], shard.first)
    # and one that the package wrote, with its tensors in another order, is read
    save_file(arrays, tmp_path / "rows-1.safetensors")
    assert same(read_shard(tmp_path / "rows-1"), shard)


def test_a_corpus_without_readable_files_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "a.mid").write_text("no")
    with pytest.raises(MeloError, match="none of the 1 files could be read"):
        make_shard(find_files(tmp_path), V, tmp_path / "cache" / "rows-1")
    assert list((tmp_path / "cache").iterdir()) == []


# on disk


def sparse_shard(stem, n_rows, at):
    """A shard of many rows, all of them a hole in the file but one piece that starts at row `at`."""
    first = np.array([0, at, at + len(PIECE), n_rows], dtype="<i8")
    header = json.dumps(
        {
            "rows": {"dtype": "I16", "shape": [n_rows, len(FIELDS)], "data_offsets": [0, n_rows * ROW_BYTES]},
            "first": {"dtype": "I64", "shape": [4], "data_offsets": [n_rows * ROW_BYTES, n_rows * ROW_BYTES + 32]},
        }
    ).encode()
    with stem.with_suffix(".safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.seek(at * ROW_BYTES, 1)
        file.write(PIECE.tobytes())
        file.seek(8 + len(header) + n_rows * ROW_BYTES)
        file.write(first.tobytes())
    about(stem, split=["train", "validation", "train"])


def about(stem, **changed):
    info = {
        "format": "meloctl.shard/3",
        "split": ["train"],
        "loss": {"notes": 9, "moved": 0, "resized": 0, "merged": 0},
    }
    stem.with_suffix(".json").write_text(json.dumps(info | changed))


def test_a_piece_is_read_without_the_rest(tmp_path):
    stem = tmp_path / "rows-1"
    sparse_shard(stem, n_rows=1 << 26, at=1 << 25)  # a GiB of rows
    tracemalloc.start()
    shard = read_shard(stem)
    rows = shard.of_split("validation")[0]
    assert np.array_equal(rows, PIECE)
    assert np.shares_memory(rows, shard.rows)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert len(shard.rows) == 1 << 26
    with pytest.raises(MeloError, match="damaged row shard"):
        shard.piece(1 - 1)  # a hole is no piece


# what anyone may have written


@pytest.fixture
def stem(tmp_path):
    save(tmp_path / "rows-1", PIECE)
    return tmp_path / "rows-1"


def save(stem, rows, first=None):
    save_file({"rows": rows, "first": np.array([0, len(rows)]) if first is None else first}, f"{stem}.safetensors")
    about(stem)


def assert_refused(stem):
    with pytest.raises(MeloError, match=r"rows-1.safetensors: a damaged row shard; delete it and the .json beside it"):
        read_shard(stem)


def test_the_whole_one_is_read(stem):
    assert np.array_equal(read_shard(stem).piece(0), PIECE)


@pytest.mark.parametrize(
    "first",
    [[0], [1, 5], [0, 4], [0, 6], [-1, 5], [0, 5, 5], [0, 3, 2, 5], [[0, 5]], [[0], [5]], [0.0, 5.0], [2**62, 5]],
)
def test_starts_that_are_none_are_refused(stem, first):
    save(stem, PIECE, np.array(first))
    about(stem, split=["train"] * (len(first) - 1))
    assert len(PIECE) == 5
    assert_refused(stem)


@pytest.mark.parametrize("rows", [PIECE[:, :7], PIECE.astype(np.int32), PIECE[:, :, None], PIECE[:0], PIECE[0]])
def test_rows_of_another_shape_or_type_are_refused(stem, rows):
    save(stem, np.ascontiguousarray(rows), np.array([0, len(rows)]))
    assert_refused(stem)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "meloctl.shard/1"},
        {"split": []},
        {"split": ["train", "train"]},
        {"split": ["nowhere"]},
        {"split": [["train"]]},
        {"split": "t"},
        {"loss": {"notes": 1}},
        {"loss": {"notes": "9", "moved": 0, "resized": 0, "merged": 0}},
        {"loss": {"notes": True, "moved": 0, "resized": 0, "merged": 0}},
        {"loss": {"notes": 0, "moved": 0, "resized": 0, "merged": 0}},
        {"loss": {"moved": 0, "resized": 0, "merged": 0, "notes": "9"}},
        {"loss": {"notes": 9, "moved": -1, "resized": 0, "merged": 0}},
        {"loss": {"notes": 9, "moved": 10, "resized": 0, "merged": 0}},
        {"loss": {"notes": 9, "moved": 0, "resized": 10, "merged": 0}},
        {"loss": {"notes": 9, "moved": 0, "resized": 0, "merged": 10}},
        {"loss": {"notes": 9, "moved": 0, "resized": 1.5, "merged": 0}},
        {"loss": {"notes": 2**53 + 1, "moved": 0, "resized": 0, "merged": 0}},
        {"loss": {"notes": 10**400, "moved": 10**400, "resized": 0, "merged": 0}},
        {"more": 1},
    ],
)
def test_a_json_that_says_something_else_is_refused(stem, changed):
    about(stem, **changed)
    assert_refused(stem)


@pytest.mark.parametrize("counts", [(9, 9, 9, 9), (2**53, 2**53, 0, 1)])
def test_counts_at_their_limits_are_read(stem, counts):
    about(stem, loss=dict(zip(("notes", "moved", "resized", "merged"), counts, strict=True)))
    assert tuple(vars(read_shard(stem).loss).values()) == counts


def with_header(stem, header, length=None):
    """A file of a good piece under a header of any kind."""
    data = PIECE.tobytes() + np.array([0, 5]).tobytes()
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    head = struct.pack("<Q", len(text) if length is None else length)
    stem.with_suffix(".safetensors").write_bytes(head + text + data)


WIDTH, ROWS_END = len(FIELDS), 5 * ROW_BYTES  # of five rows
ROWS = {"dtype": "I16", "shape": [5, WIDTH], "data_offsets": [0, ROWS_END]}
FIRST = {"dtype": "I64", "shape": [2], "data_offsets": [ROWS_END, ROWS_END + 16]}
GOOD = {"rows": ROWS, "first": FIRST}


def test_the_header_that_the_next_ones_damage_is_good(stem):
    with_header(stem, GOOD)
    assert np.array_equal(read_shard(stem).piece(0), PIECE)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"rows": ROWS},
        GOOD | {"rows": []},
        GOOD | {"rows": ROWS | {"dtype": "U16"}},
        GOOD | {"first": FIRST | {"dtype": "F64"}},
        GOOD | {"rows": ROWS | {"shape": [5, 1, WIDTH]}},
        GOOD | {"rows": ROWS | {"data_offsets": [2**70, 2**70 + ROWS_END]}},
        GOOD | {"rows": ROWS | {"shape": [5, WIDTH + 1]}},
        GOOD | {"rows": ROWS | {"shape": [-5, -WIDTH]}},
        GOOD | {"rows": ROWS | {"shape": [True, 5 * WIDTH]}},
        GOOD | {"rows": ROWS | {"shape": "58"}},
        GOOD | {"rows": ROWS | {"shape": [2**40, 2**40]}},
        GOOD | {"rows": ROWS | {"shape": [2**40, WIDTH], "data_offsets": [0, 2**40 * ROW_BYTES]}},
        GOOD | {"rows": ROWS | {"data_offsets": [0, ROWS_END, ROWS_END + 16]}},
        GOOD | {"rows": ROWS | {"data_offsets": [-ROWS_END, 0]}},
        GOOD | {"rows": ROWS | {"data_offsets": [0, 1e9]}},
        GOOD | {"rows": ROWS | {"shape": [10**30, 0], "data_offsets": [0, 0]}},
        GOOD | {"rows": ROWS | {"shape": [0, 10**30], "data_offsets": [0, 0]}},
        GOOD | {"rows": ROWS | {"shape": [0] * 70, "data_offsets": [0, 0]}},
        GOOD | {"rows": ROWS | {"shape": [5, 0], "data_offsets": [0, 0]}},
        GOOD | {"rows": ROWS | {"shape": []}},
        GOOD | {"rows": ROWS | {"data_offsets": [0, ROWS_END + 16]}},  # more than the shape takes, and the file has it
        GOOD | {"first": FIRST | {"shape": [10**30], "data_offsets": [ROWS_END, ROWS_END]}},
        GOOD | {"first": FIRST | {"shape": [2, 1]}},
        GOOD | {"first": FIRST | {"data_offsets": [ROWS_END + 16, ROWS_END + 32]}},
        json.dumps(GOOD).encode().ljust(100_000),  # good, but for what a reader would have to hold
        b"\xff\xfe",
        b"[" * 60_000,
        b"9" * 60_000,
    ],
)
def test_a_header_that_lies_is_refused(stem, header):
    with_header(stem, header)
    assert_refused(stem)


@pytest.mark.parametrize("length", [0, 1, 300, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_refused(stem, length):
    with_header(stem, GOOD, length=length)
    assert_refused(stem)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_cut_or_changed_file_is_refused_or_holds_pieces(stem, data):
    path = stem.with_suffix(".safetensors")
    save(stem, PIECE)
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if whole:
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        assert not check_rows(read_shard(stem).piece(0), V, most=1)
    except MeloError as error:
        assert "damaged row shard" in str(error)  # noqa: PT017 - it may also be none


def test_a_missing_shard_is_named(tmp_path, stem):
    stem.with_suffix(".safetensors").unlink()
    assert_refused(stem)
    with pytest.raises(MeloError, match=r"rows-2.safetensors: a damaged row shard; delete it"):
        read_shard(tmp_path / "rows-2")


@pytest.mark.parametrize("text", ["", "{", "no json", "1" * 5000, "[" * 100_000])
def test_a_json_that_is_none_says_what_to_delete(stem, text):
    stem.with_suffix(".json").write_text(text)
    assert_refused(stem)


# is_piece, against the grammar itself


def grammatical(rows):
    return not check_rows(rows, V, most=1) and not np.isin(rows[:, INSTRUMENT], (V.infill_bar, V.masked_bar)).any()


@given(pieces())
def test_every_piece_is_one(piece):
    rows = encode(piece, V)[0]
    assert is_piece(rows, V)
    assert grammatical(rows)


@given(pieces(), st.data())
def test_a_changed_piece_is_one_where_the_grammar_says_so(piece, data):
    rows = encode(piece, V)[0]
    for _ in range(data.draw(st.integers(1, 2))):
        row, field = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(FIELDS) - 1))
        near = np.clip(int(rows[row, field]) + data.draw(st.integers(-2, 2)), -(2**15), 2**15 - 1)
        edges = [-2, ABSENT, 0, V.sizes[field] - 1, V.sizes[field], -(2**15), 2**15 - 1]
        rows[row, field] = data.draw(st.sampled_from([near, *edges]))
    if data.draw(st.booleans()):
        rows = rows[data.draw(st.permutations(range(len(rows))))]
    if data.draw(st.booleans()):
        rows = rows[data.draw(st.integers(0, 1)) : data.draw(st.integers(0, len(rows)))]
    assert is_piece(rows, V) == grammatical(rows)


HEADER, NOTE, END = PIECE[0], PIECE[1], PIECE[4]


def with_field(row, field, value):
    out = row.copy()
    out[field] = value
    return out


@pytest.mark.parametrize(
    "rows",
    [
        [HEADER, END, HEADER, END],
        [HEADER, END, END],
        [HEADER, END, HEADER],
        [HEADER, NOTE],
        [NOTE, END],
        [END],
        [HEADER],
        [HEADER, NOTE, NOTE, END],
        [HEADER, with_field(NOTE, POSITION, 48), END],  # of 48 positions in 4/4
        [HEADER, with_field(NOTE, PITCH, 128), END],
        [HEADER, with_field(NOTE, PITCH, ABSENT), END],
        [HEADER, NOTE, with_field(END, PITCH, 1)],
    ],
)
def test_what_is_no_piece(rows):
    rows = np.array(rows, dtype=np.int16)
    assert not is_piece(rows, V)
    assert not grammatical(rows)


def test_small_pieces_are_pieces():
    last = with_field(NOTE, POSITION, 47)
    for rows in ([HEADER, END], [HEADER, NOTE, HEADER, NOTE, END], [HEADER, NOTE, last, END]):
        assert is_piece(np.array(rows, dtype=np.int16), V)


def test_real_pieces_are_pieces(real, tmp_path):
    shard = make_shard(real("band")[:10], V, tmp_path / "rows-1")
    assert all(is_piece(shard.piece(i), V) for i in range(len(shard)))
