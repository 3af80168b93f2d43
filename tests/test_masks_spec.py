import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MeloError
from masks.spec import MaskSpec, read_spec, spec_text

SEED = MaskSpec(
    same="full",
    near=2,
    far=(4,),
    summaries=True,
    same_prior={1: 0.5},
    cross_prior={0: 0.25},
    reasons=("because",),
    source={"rule": "seed"},
)


@st.composite
def specs(draw, most=12):
    offsets = st.lists(st.integers(1, most), unique=True, max_size=5).map(sorted)
    near = draw(st.integers(0, 4))
    return MaskSpec(
        same=draw(st.one_of(st.just("full"), offsets.map(tuple))),
        near=near,
        far=tuple(k for k in draw(offsets) if k > near),
        drums=draw(st.sampled_from(["masked", "exempt"])),
        summaries=draw(st.booleans()),
    )


def test_what_the_seeds_mask_shows():
    assert all(SEED.sees("same", k) for k in range(100))
    assert [k for k in range(100) if SEED.sees("cross", k)] == [0, 1, 2, 4]


def test_ones_own_bar_is_always_seen():
    spec = replace(SEED, same=(4,), near=0, far=())
    assert [k for k in range(9) if spec.sees("same", k)] == [0, 4]
    assert [k for k in range(9) if spec.sees("cross", k)] == [0]


def test_masked_drums_are_a_part_like_any_other():
    assert [SEED.sees("drums", k) for k in range(100)] == [SEED.sees("cross", k) for k in range(100)]


def test_exempt_drums_see_and_are_seen_at_every_earlier_bar():
    spec = replace(SEED, same=(2,), drums="exempt")
    assert all(spec.sees("drums", k) for k in range(100))
    assert [k for k in range(100) if spec.sees("cross", k)] == [0, 1, 2, 4]  # other parts as before
    assert [k for k in range(100) if spec.sees("same", k)] == [0, 2]  # what drums see of themselves too


@pytest.mark.parametrize("relation", ["own", "", "Same", None])
def test_a_relation_that_does_not_exist_is_refused(relation):
    with pytest.raises(ValueError, match="is not one of same, cross, drums"):
        SEED.sees(relation, 0)


def test_a_file_from_before_drums_could_be_exempt_masks_them():
    old = SEED.to_json()
    del old["drums"]
    assert MaskSpec.from_json(old) == SEED


@given(specs())
def test_json_round_trip(spec):
    again = MaskSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec


@pytest.mark.parametrize(
    "change",
    [
        {"same": (1,)},
        {"near": 3},
        {"far": (5,)},
        {"drums": "exempt"},
        {"summaries": False},
        {"same_prior": {}},
        {"cross_prior": {1: 0.1}},
        {"reasons": ()},
        {"source": {}},
    ],
)
def test_a_changed_spec_stays_changed(change):
    changed = replace(SEED, **change)
    assert MaskSpec.from_json(changed.to_json()) == changed != SEED


def test_the_format_is_the_documented_one():
    assert SEED.to_json() == {
        "format": "meloctl.mask/1",
        "same": "full",
        "cross": {"near": 2, "far": [4]},
        "drums": "masked",
        "summaries": True,
        "priors": {"same": {"1": 0.5}, "cross": {"0": 0.25}},
        "reasons": ["because"],
        "source": {"rule": "seed"},
    }


def broken(**change):
    return {**SEED.to_json(), **change}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("full", "not a mask"),
        (broken(format="meloctl.mask/2"), "not a mask"),
        (broken(window=3), "unknown key 'window'"),
        (broken(cross={"near": 2, "far": [4], "wide": 1}), "cross: unknown key 'wide'"),
        (broken(priors={"both": {}}), "priors: unknown key 'both'"),
        (broken(same="half"), '"same" must be "full" or a list'),
        (broken(same=[0]), r"same is \[0\]"),
        (broken(same=[2, 1]), r"same is \[2, 1\]"),
        (broken(same=[1, 1]), r"same is \[1, 1\]"),
        (broken(same=[True]), r"same is \[True\]"),
        (broken(cross={"near": -1, "far": []}), "cross.near is -1"),
        (broken(cross={"near": 1.0, "far": []}), "cross.near is 1.0"),
        (broken(cross={"far": []}), "cross.near is None"),
        (broken(cross={"near": 4, "far": [4]}), r"cross.far is \[4\]; it must hold offsets 5"),
        (broken(cross={"near": 4}), "cross.far"),
        (broken(cross=[]), "must be objects"),
        (broken(drums="off"), 'drums is \'off\'; it must be "masked" or "exempt"'),
        (broken(drums=None), "drums is None"),
        (broken(drums=["exempt"]), "drums is"),
        (broken(summaries=1), "summaries is 1"),
        (broken(priors={"same": {"one": 0.1}}), "offset 'one'"),
        (broken(priors={"same": {"1": 2}}), "offset 1 is 2"),
        (broken(priors={"same": {"1": 10**400}}), "offset 1 is 1000"),
        (broken(priors={"same": {"9" * 5000: 1}}), "offset '99999"),
        (broken(priors={"same": {"01": 1}}), "offset '01'"),
        (broken(cross={"near": 10**400, "far": []}), "cross.near is 1000"),
        (broken(priors={"same": [1]}), "a prior must be an object"),
        (broken(reasons="why"), '"reasons" must be a list'),
        (broken(source=[]), '"source" an object'),
    ],
)
def test_bad_specs_are_refused(data, message):
    with pytest.raises(MeloError, match=message):
        MaskSpec.from_json(data)


def test_a_file_round_trip(tmp_path):
    (tmp_path / "mask.json").write_text(spec_text(SEED))
    assert read_spec(tmp_path / "mask.json") == SEED
    with pytest.raises(MeloError, match=r"none\.json: cannot read this mask"):
        read_spec(tmp_path / "none.json")
