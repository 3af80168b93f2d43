import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import pieces

from analysis.corpus import group_of, merged_groups, split_of
from analysis.midi import read_midi
from analysis.near_duplicates import (
    FEWEST,
    FEWEST_OF_PART,
    SAME_PART,
    Links,
    Sketch,
    clusters,
    estimated_similarity,
    near_duplicates,
    shingles,
    sketch,
)
from analysis.piece import Notes, Part, Piece


def with_notes(piece: Piece, keep=None, **columns) -> Piece:
    """The piece with other columns, then only the notes to keep; parts that lose all notes go."""
    n = piece.notes
    fields = {k: np.asarray(columns.get(k, getattr(n, k))) for k in vars(n)}
    keep = np.ones(len(n), dtype=bool) if keep is None else keep
    used = np.unique(fields["part"][keep])
    fields = {k: v[keep] for k, v in fields.items()}
    fields["part"] = np.searchsorted(used, fields["part"])
    return replace(piece, parts=tuple(piece.parts[i] for i in used), notes=Notes.of(**fields))


def pitched(piece):
    return ~np.array([p.is_drum for p in piece.parts])[piece.notes.part]


def transposed(piece, random):
    return with_notes(piece, pitch=piece.notes.pitch + 5 * pitched(piece))


def other_tempo(piece, random):
    return replace(piece, tempo=piece.tempo * 1.3)


def without_a_part(piece, random):
    of_pitch = np.unique(piece.notes.part[pitched(piece)])
    return with_notes(piece, piece.notes.part != random.choice(of_pitch)) if len(of_pitch) > 1 else None


def intro_cut(piece, random):
    start = int(piece.bars.start_tick(4))
    keep = piece.notes.onset_tick >= start
    return with_notes(piece, keep, onset_tick=np.maximum(piece.notes.onset_tick - start, 0))


def edited(piece, random):
    step = (random.random(len(piece.notes)) < 0.05) * random.choice([-3, -2, -1, 1, 2, 3], len(piece.notes))
    return with_notes(piece, pitch=np.clip(piece.notes.pitch + step, 0, 127))


def other_programs(piece, random):
    return replace(piece, parts=tuple(replace(p, program=int(random.integers(128))) for p in piece.parts))


def other_resolution(piece, random):
    old, new = piece.ticks_per_quarter, 384
    onset, duration = ((2 * c * new + old) // (2 * old) for c in (piece.notes.onset_tick, piece.notes.duration_tick))
    bars = replace(piece.bars, ticks_per_quarter=new, signature_tick=piece.bars.signature_tick * new // old)
    return replace(with_notes(piece, onset_tick=onset, duration_tick=duration), bars=bars)


KINDS = [transposed, other_tempo, without_a_part, intro_cut, edited, other_programs, other_resolution]


def song(seed: int, bars: int = 24) -> Piece:
    """Three lines of random steps and waits, and drums that every song has."""
    random, notes = np.random.default_rng(seed), []
    for part, (low, waits) in enumerate([(72, (3, 6, 12)), (55, (6, 12)), (36, (12, 24))]):
        at, pitch = 0, low
        while at < 48 * bars:
            wait = int(random.choice(waits))
            notes.append((part, at, wait, pitch))
            at, pitch = at + wait, low + (pitch - low + int(random.integers(-5, 6))) % 17
    notes += [(3, 12 * i, 6, 36 + 2 * (i % 2)) for i in range(4 * bars)]
    parts = tuple(Part(program=p, is_drum=False) for p in (73, 0, 33)) + (Part(program=0, is_drum=True),)
    return piece_of(notes, parts=parts)


def planted(kind, originals):
    """(share of copies that are found, links between different songs) for copies of every original."""
    random = np.random.default_rng(5)
    copies = [(i, c) for i, p in enumerate(originals) if (c := kind(p, random)) is not None]
    own = [*range(len(originals)), *(i for i, _ in copies)]
    links = near_duplicates([sketch(p) for p in originals] + [sketch(c) for _, c in copies])
    pairs = list(zip(links.first.tolist(), links.second.tolist(), strict=True))
    found = sum(own[a] == own[b] for a, b in pairs)
    return found / len(copies), len(pairs) - found


def test_a_shingle_is_six_notes_and_knows_no_key_or_tempo():
    tune = [60, 62, 65, 64, 60, 67]  # steps 2, 3, -1, -4, 7
    plain = piece_of([(0, 12 * i, 12, p) for i, p in enumerate(tune)])
    assert len(shingles(plain)) == 1
    higher_and_slower = piece_of([(0, 24 * i, 6, p + 9) for i, p in enumerate(tune)])
    assert np.array_equal(shingles(plain), shingles(higher_and_slower))
    dotted = piece_of([(0, 12 * i + 6 * (i % 2), 6, p) for i, p in enumerate(tune)])
    assert len(np.intersect1d(shingles(plain), shingles(dotted))) == 0
    assert len(shingles(piece_of([(0, 12 * i, 12, p) for i, p in enumerate(tune[:5])]))) == 0


def test_scales_and_drums_have_no_shingles():
    scale = [(0, 12 * i, 12, 40 + i) for i in range(40)]
    assert len(shingles(piece_of(scale))) == 0
    tune = [(0, 12 * i, 12, 40 + i * i % 11) for i in range(40)]
    assert len(shingles(piece_of(tune, parts=(Part(program=0, is_drum=True),)))) == 0
    assert len(shingles(piece_of(tune))) > 0


def test_of_a_chord_only_the_top_counts():
    tune = [(0, 12 * i, 12, 60 + i * i % 11) for i in range(40)]
    chords = tune + [(0, 12 * i, 12, 40) for i in range(40)]
    assert np.array_equal(shingles(piece_of(tune)), shingles(piece_of(chords)))


def test_a_run_does_not_go_from_part_to_part():
    tune = [60, 62, 65, 64, 60, 67]
    apart = piece_of([(i // 3, 12 * i, 12, p) for i, p in enumerate(tune)])
    assert len(shingles(apart)) == 0


def test_what_returns_counts_up_to_three_times():
    tune = [0, 2, 5, 4, 0, 7, 3, 9, 1, 8, 2, 6]
    times = [len(shingles(piece_of([(0, 12 * i, 12, 60 + tune[i % 12]) for i in range(12 * n)]))) for n in (2, 3, 4, 9)]
    assert times == [19, 31, 36, 36]  # 12 n − 5 runs, each of 12 at most three times


@given(pieces())
def test_similarity_is_one_with_itself_and_a_sketch_travels(piece):
    own = sketch(piece)
    assert estimated_similarity(own, own) == float(len(shingles(piece)) >= FEWEST)
    assert pickle.loads(pickle.dumps(own)) == own
    assert all(len(s) == 256 for s in (own.whole or bytes(256), *own.parts))


def test_the_estimate_is_the_jaccard_index():
    """Two pieces that share half of their bars, against the exact index; 128 min-hashes err by at most 0.045 (one sigma)."""
    errors = []
    for seed in range(12):
        a, b = song(seed), song(seed + 100)
        mixed = with_notes(
            replace(a, parts=a.parts * 2),
            onset_tick=a.notes.onset_tick,
            keep=a.notes.onset_tick < 48 * 12,
        )
        sets = shingles(a), shingles(mixed)
        both = len(np.intersect1d(*sets))
        exact = both / (len(sets[0]) + len(sets[1]) - both)
        assert 0.3 < exact < 0.7
        errors.append(estimated_similarity(sketch(a), sketch(mixed)) - exact)
        assert estimated_similarity(sketch(a), sketch(b)) < 0.1
    assert abs(np.mean(errors)) < 0.04
    assert np.std(errors) < 0.07


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_planted_copies_are_found(kind):
    recall, strangers = planted(kind, [song(seed) for seed in range(20)])
    assert recall == 1
    assert strangers == 0


def test_another_arrangement_keeps_nothing_but_the_tune():
    songs = [song(seed, bars=48) for seed in range(8)]
    tunes = [with_notes(s, s.notes.part == 0, pitch=s.notes.pitch - 2) for s in songs]
    sets = []
    for tune, other in zip(tunes, songs[1:] + songs[:1], strict=True):
        t, o = tune.notes, with_notes(other, np.isin(other.notes.part, (1, 3))).notes
        columns = {k: np.concatenate([getattr(t, k), getattr(o, k) + (k == "part")]) for k in vars(t)}
        parts = (tune.parts[0], other.parts[1], other.parts[3])
        sets.append(replace(other, parts=parts, notes=Notes.of(**columns)))
    links = near_duplicates([sketch(p) for p in songs + sets])
    pairs = set(zip(links.first.tolist(), links.second.tolist(), strict=True))
    assert {(i, 8 + i) for i in range(8)} <= pairs
    assert not any(b < 8 for a, b in pairs)  # the songs themselves are strangers


def test_drums_alone_and_short_pieces_are_like_nothing():
    drums = with_notes(song(1), song(1).notes.part == 3)
    jingle = piece_of([(0, 12 * i, 12, 60 + i * i % 11) for i in range(20)])
    assert sketch(drums) == Sketch(whole=b"", parts=(), key="")
    assert (sketch(jingle).whole, sketch(jingle).parts) == (b"", ())
    assert estimated_similarity(sketch(drums), sketch(drums)) == 0
    assert len(near_duplicates([sketch(drums), sketch(jingle), sketch(drums)])) == 0
    assert len(near_duplicates([])) == 0


def test_a_key_is_shared_by_copies_with_the_same_lines_and_not_by_strangers():
    random = np.random.default_rng(1)
    songs = [song(seed) for seed in range(30)]
    keys = [sketch(s).key for s in songs]
    assert len(set(keys)) == 30
    for kind in (transposed, other_tempo, other_programs, other_resolution):
        assert [sketch(kind(s, random)).key for s in songs] == keys, kind.__name__
    assert sum(sketch(edited(s, random)).key == k for s, k in zip(songs, keys, strict=True)) > 5
    nine_notes = piece_of([(0, 12 * i, 12, 60 + i * i % 11) for i in range(9)])
    assert sketch(nine_notes).key == ""
    ten_notes = piece_of([(0, 12 * i, 12, 60 + i * i % 11) for i in range(10)])
    assert len(sketch(ten_notes).key) == 16


def test_only_long_parts_stand_for_their_piece():
    assert sketch(song(1, bars=8)).parts == ()
    long = sketch(song(1, bars=64))
    assert len(long.parts) == 3
    alone = with_notes(song(1, bars=64), song(1, bars=64).notes.part == 0)
    assert sketch(alone).parts == ()
    assert sketch(alone).whole in long.parts
    assert len(shingles(alone)) >= FEWEST_OF_PART


def test_a_flood_of_copies_is_one_cluster_and_links_stay_few():
    flood = [sketch(with_notes(song(1), song(1).notes.part == 0))] * 500
    links = near_duplicates(flood)
    assert len(links) == sum(min(32, 499 - i) for i in range(500))  # each with the 32 after it
    assert set(clusters(links, [str(i) for i in range(500)]).tolist()) == {0}
    assert (links.first < links.second).all()
    assert (links.similarity == 1).all()


def link(*pairs):
    first, second = (
        (np.array(c, dtype=np.int64) for c in zip(*pairs, strict=True)) if pairs else (np.zeros(0, int),) * 2
    )
    return Links(first=first, second=second, similarity=np.full(len(first), 0.5))


def test_clusters_join_links_and_equal_names():
    #   0 – 1   2   3 – 4 – 5, and 2 has the name of 5
    label = clusters(link((0, 1), (3, 4), (4, 5)), ["a", "b", "z", "d", "e", "z"]).tolist()
    assert label[0] == label[1]
    assert label[2] == label[3] == label[4] == label[5]
    assert len(set(label)) == 2
    assert len(set(clusters(link(), ["a", "b", "c"]).tolist())) == 3
    assert clusters(link(), []).tolist() == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.randoms())
def test_a_cluster_takes_the_name_nearest_to_training_and_adding_files_never_takes_from_it(labels, random):
    names = [f"{random.getrandbits(64):016x}" for _ in labels]
    merged = merged_groups(names, labels)
    order = ["train", "validation", "test"]
    for label in set(labels):
        own = [n for n, x in zip(names, labels, strict=True) if x == label]
        (name,) = {m for m, x in zip(merged, labels, strict=True) if x == label}
        assert name in own
        assert split_of(name) == min(map(split_of, own), key=order.index)
    fewer = merged_groups(names[:-1], labels[:-1])
    assert all(order.index(split_of(m)) <= order.index(split_of(f)) for m, f in zip(merged, fewer, strict=False))
    joined = merged_groups(names, [x // 2 for x in labels])  # an added file may link clusters
    assert all(order.index(split_of(j)) <= order.index(split_of(m)) for j, m in zip(joined, merged, strict=True))


def test_files_without_copies_keep_their_names():
    assert merged_groups(["a", "b", "c"], [2, 0, 1]) == ["a", "b", "c"]


@settings(max_examples=20)
@given(pieces())
def test_the_same_notes_make_the_same_sketch(piece):
    fine = other_resolution(piece, None) if 384 % piece.ticks_per_quarter == 0 else piece
    assert group_of(fine) == group_of(piece)
    assert sketch(fine) == sketch(piece)


@pytest.mark.parametrize("name", ["chorales", "band", "lieder", "quartets"])
def test_planted_copies_of_real_music_are_found(real, name):
    every = real(name)
    originals = [p for p in map(read_midi, every[:: -(-len(every) // 24)]) if p.n_bars > 8]
    assert len(originals) > 10
    for kind in KINDS:
        recall, strangers = planted(kind, originals)
        assert recall >= 0.95, kind.__name__
        assert strangers == 0, kind.__name__


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("chorales", 0.06), ("band", 0.01), ("lieder", 0), ("quartets", 0)])
def test_few_files_of_real_sets_are_joined(real, name, most):
    files = real(name)
    links = near_duplicates([sketch(read_midi(p)) for p in files])
    label = clusters(links, [str(p) for p in files]).tolist()
    sizes = Counter(label)
    assert sum(sizes[x] > 1 for x in label) <= most * len(files)


@pytest.mark.slow
def test_songs_that_stand_twice_in_pop909_are_joined(real):
    files = real("pop909")
    links = near_duplicates([sketch(read_midi(p)) for p in files])
    pairs = {(files[a].stem, files[b].stem) for a, b in zip(links.first, links.second, strict=True)}
    assert pairs == {("262", "805"), ("492", "666")}
    assert (links.similarity >= SAME_PART).all()
