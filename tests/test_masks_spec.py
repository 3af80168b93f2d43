import json

import pytest
from hypothesis import given
from msgspec.structs import replace
from small_masks import SEED
from strategies import specs

from analysis.errors import MeloError
from masks.spec import MaskSpec


def test_what_the_seeds_mask_shows():
    assert all(SEED.sees("same", k) for k in range(100))
    assert [k for k in range(100) if SEED.sees("cross", k)] == [0, 1, 2, 4]


def test_the_own_bar_is_always_shown():
    spec = replace(SEED, same=(4,), near=0, far=())
    assert [k for k in range(9) if spec.sees("same", k)] == [0, 4]
    assert [k for k in range(9) if spec.sees("cross", k)] == [0]


def test_masked_drums_are_a_part_like_any_other():
    assert [SEED.sees("drums", k) for k in range(100)] == [SEED.sees("cross", k) for k in range(100)]


def test_exempt_drums_attend_both_ways_at_every_earlier_bar():
    spec = replace(SEED, same=(2,), drums="exempt")
    assert all(spec.sees("drums", k) for k in range(100))
    assert [k for k in range(100) if spec.sees("cross", k)] == [0, 1, 2, 4]  # other parts as before
    assert [k for k in range(100) if spec.sees("same", k)] == [0, 2]  # what drums see of themselves too


@pytest.mark.parametrize("relation", ["own", "", "Same", None])
def test_a_relation_that_does_not_exist_is_refused(relation):
    with pytest.raises(ValueError, match="is not one of same, cross, drums"):
        SEED.sees(relation, 0)


def test_drums_are_masked_where_a_file_does_not_say():
    assert MaskSpec.from_json(without("drums")) == SEED


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
        "format": "meloctl.mask/2",
        "same": "full",
        "near": 2,
        "far": [4],
        "drums": "masked",
        "summaries": True,
        "same_prior": {"1": 0.5},
        "cross_prior": {"0": 0.25},
        "reasons": ["because"],
        "source": {"rule": "seed"},
    }


def broken(**change):
    return {**SEED.to_json(), **change}


def without(key):
    return {k: v for k, v in SEED.to_json().items() if k != key}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("full", "not a mask"),
        (broken(format="meloctl.mask/1"), "another version of meloctl .*make one with: meloctl derive-mask"),
        (broken(format="meloctl.gates/1"), "not a mask"),
        (broken(window=3), "unknown key 'window'"),
        (broken(cross={"near": 2, "far": [4]}), "unknown key 'cross'"),
        (broken(priors={"both": {}}), "unknown key 'priors'"),
        (broken(same="half"), "same is 'half'; it must be \"full\", or a list"),
        (broken(same=[0]), r"same is \[0\]; it must hold offsets 1 to 10000"),
        (broken(same=[2, 1]), r"same is \[2, 1\]"),
        (broken(same=[1, 1]), r"same is \[1, 1\]"),
        (broken(same=[True]), r"same\[0\] is True"),
        (broken(same={}), "same is"),
        (broken(near=-1), "near is -1; it must be a whole number, 0 to 10,000"),
        (broken(near=1.0), "near is 1.0"),
        (broken(near=10_001, far=[]), "near is 10001"),
        (without("near"), "no 'near' in it"),
        (broken(near=4, far=[4]), r"far is \[4\]; it must hold offsets 5"),
        (broken(far=[10_001]), r"far\[0\] is 10001"),
        (broken(far=list(range(2, 10_000))), r"far is \[2, 3, .*…; it must hold offsets 3"),
        (without("far"), "no 'far' in it"),
        (broken(far={}), "far is"),
        (broken(drums="off"), 'drums is \'off\'; it must be "exempt" or "masked"'),
        (broken(drums=None), "drums is None"),
        (broken(drums=["exempt"]), "drums is"),
        (broken(summaries=1), "summaries is 1; it must be true or false"),
        (without("summaries"), "no 'summaries' in it"),
        (broken(same_prior={"one": 0.1}), "same_prior: its key 'one' must be a whole number"),
        (broken(same_prior={"1": 2}), r"same_prior\['1'\] is 2; it must be a number from 0 to 1"),
        (broken(same_prior={"1": 10**400}), r"same_prior\['1'\] is 1000"),
        (broken(same_prior={"9" * 5000: 1}), "its key '99999"),
        (broken(same_prior={"01": 1}), "its key '01'"),
        (broken(near=10**400, far=[]), "near is 1000"),
        (broken(cross_prior=[1]), "cross_prior is .* it must be an object"),
        (broken(reasons="why"), "reasons is 'why'; it must be a list"),
        (broken(source=[]), "source is .* it must be an object"),
    ],
)
def test_bad_specs_are_refused(data, message):
    with pytest.raises(MeloError, match=message):
        MaskSpec.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"near": -1},
        {"near": True},
        {"far": (2,)},
        {"same": (0,)},
        {"drums": "off"},
        {"summaries": 1},
        {"same_prior": {1: 2.0}},
    ],
)
def test_bad_specs_cannot_be_built(change):
    with pytest.raises(MeloError, match=f"^{next(iter(change))}.* is "):
        replace(SEED, **change)


def test_a_file_round_trip(tmp_path):
    (tmp_path / "mask.json").write_text(SEED.to_text())
    assert MaskSpec.read(tmp_path / "mask.json") == SEED
    with pytest.raises(MeloError, match=r"none\.json: cannot read this mask"):
        MaskSpec.read(tmp_path / "none.json")
