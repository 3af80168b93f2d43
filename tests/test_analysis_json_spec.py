"""JSON that anyone may have written: read into checked structs, or refused with one line that says what is wrong where."""

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from analysis.errors import MeloError
from analysis.json_spec import JsonSpec, parse_json, read_json

Share = Annotated[float, Meta(ge=0, le=1)]


class Reach(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    near: Annotated[int, Meta(ge=0, le=9)]
    far: tuple[Annotated[int, Meta(ge=1)], ...] = ()

    def __post_init__(self) -> None:
        if self.near in self.far:
            raise MeloError(f"{self.near} is both near and far")


class Window(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="melo.window/2"):
    noun: ClassVar[str] = "window"
    made_by: ClassVar[str] = "meloctl window FOLDER"

    bars: Annotated[int, Meta(ge=1, le=4096)]
    notes: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    share: Share = 0.5
    fast: bool = False
    relation: Literal["same", "cross"] = "same"
    name: Annotated[str, Meta(max_length=8, pattern="^[a-z]*$")] = ""
    offsets: Literal["full"] | tuple[Annotated[int, Meta(ge=1)], ...] = "full"
    priors: Mapping[Annotated[int, Meta(ge=0, le=99)], Share] = {}
    reach: Reach | None = None
    interval: tuple[float, float] | None = None
    pieces: Annotated[tuple[Reach, ...], Meta(max_length=2)] = ()


LEAST = {"format": "melo.window/2", "bars": 4}


def test_a_spec_comes_back_as_it_was():
    spec = Window(
        bars=3,
        share=0.25,
        fast=True,
        offsets=(1, 4),
        priors={2: 0.5},
        reach=Reach(near=1, far=(4,)),
        interval=(0.0, 1.5),
        pieces=(Reach(near=0),),
    )
    assert Window.from_json(json.loads(spec.to_text())) == spec
    assert next(iter(spec.to_json().items())) == ("format", "melo.window/2")
    assert spec.to_json()["priors"] == {"2": 0.5}
    assert spec.to_json()["offsets"] == [1, 4]
    for change in ({"bars": 4}, {"share": 0.5}, {"offsets": "full"}, {"priors": {}}, {"reach": None}, {"pieces": []}):
        assert Window.from_json({**spec.to_json(), **change}) != spec


def test_what_is_left_out_has_its_default():
    assert Window.from_json(LEAST) == Window(bars=4)
    assert Window.from_json({**LEAST, "share": 1}).share == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bars": 0}, "bars is 0; it must be a whole number, 1 to 4,096"),
        ({"bars": 2.0}, "bars is 2.0; it must be a whole number, 1 to 4,096"),
        ({"bars": True}, "bars is True; it must be a whole number, 1 to 4,096"),
        ({"bars": None}, "bars is None; it must be a whole number, 1 to 4,096"),
        ({"bars": 10**50}, f"bars is 1{'0' * 38}…; it must be a whole number, 1 to 4,096"),
        ({"bars": 10**5000}, "bars is a huge number; it must be a whole number, 1 to 4,096"),
        ({"notes": 1 << 63}, "notes is 9223372036854775808; it must be a whole number ≥ 0"),
        ({"share": 1.5}, "share is 1.5; it must be a number from 0 to 1"),
        ({"share": float("nan")}, "share is nan; it must be a number from 0 to 1"),
        ({"share": "0.5"}, "share is '0.5'; it must be a number from 0 to 1"),
        ({"share": True}, "share is True; it must be a number from 0 to 1"),
        ({"share": 10**400}, f"share is 1{'0' * 38}…; it must be a number from 0 to 1"),
        ({"fast": 1}, "fast is 1; it must be true or false"),
        ({"relation": "beside"}, 'relation is \'beside\'; it must be "cross" or "same"'),
        ({"name": "x" * 9}, "name is 'xxxxxxxxx'; it must be a text of at most 8 characters that matches ^[a-z]*$"),
        ({"offsets": [1, 0]}, "offsets[1] is 0; it must be a whole number ≥ 1"),
        ({"offsets": "all"}, "offsets is 'all'; it must be \"full\", or a list, each a whole number ≥ 1"),
        ({"offsets": {}}, 'offsets is {}; it must be "full", or a list, each a whole number ≥ 1'),
        ({"priors": {"one": 1}}, "priors: its key 'one' must be a whole number, 0 to 99"),
        ({"priors": {"01": 1}}, "priors: its key '01' must be a whole number, 0 to 99"),
        ({"priors": {"9" * 5000: 1}}, f"priors: its key '{'9' * 38}… must be a whole number, 0 to 99"),
        ({"priors": {"0": 1, "7": 2}}, "priors['7'] is 2; it must be a number from 0 to 1"),
        (
            {"priors": [1]},
            "priors is [1]; it must be an object, each key a whole number, 0 to 99, each value a ",
        ),
        ({"reach": {"near": 10}}, "reach.near is 10; it must be a whole number, 0 to 9"),
        ({"reach": {"near": 1, "wide": 2}}, "reach: unknown key 'wide'; known are far, near"),
        ({"reach": {}}, "reach: no 'near' in it; it must be a whole number, 0 to 9"),
        ({"reach": {"near": 2, "far": [2]}}, "reach: 2 is both near and far"),
        ({"reach": []}, "reach is []; it must be an object with near, far, or null"),
        ({"interval": [1]}, "interval is [1]; it must be a list of 2: a number, a number, or null"),
        ({"interval": [1, "x"]}, "interval[1] is 'x'; it must be a number"),
        ({"pieces": [{"near": 1}, {"near": -1}]}, "pieces[1].near is -1; it must be a whole number, 0 to 9"),
        ({"pieces": [{"near": 1}] * 3}, "it must be a list of at most 2, each an object with near, far"),
        ({"pieces": [7]}, "pieces[0] is 7; it must be an object with near, far"),
        ({"tempo": 120}, "unknown key 'tempo'; known are bars, fast, format, interval, name, notes, "),
        ({"\ud800": 1}, "unknown key '\\ud800'"),
        (
            {"format": "melo.window/1"},
            'of another version of meloctl (its "format" is \'melo.window/1\', not "melo.window/2")',
        ),
        (
            {"format": "melo.mask/2"},
            'not a window (its "format" is not "melo.window/2"); make one with: meloctl window FOLDER',
        ),
        ({"format": 2}, 'not a window (its "format" is not "melo.window/2"); make one with: meloctl window FOLDER'),
    ],
)
def test_a_mistake_is_one_line_that_says_what_and_where(change, message):
    with pytest.raises(MeloError) as caught:
        Window.from_json({**LEAST, **change}, where="a.json")
    assert str(caught.value).startswith("a.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [[], None, 7, "window", {}, [LEAST]])
def test_what_is_no_object_of_this_format_is_refused(data):
    with pytest.raises(
        MeloError, match=r'^window: not a window \(its "format" is not "melo.window/2"\); make one with'
    ):
        Window.from_json(data)
    with pytest.raises(MeloError, match=r"^r: (not a object \(it must be an object\)|no 'near' in it; .*)$"):
        Reach.from_json(data if data != [LEAST] and data != {} else {}, where="r")


def test_a_spec_that_code_builds_can_be_checked():
    Window(bars=1, offsets=(1, 2), reach=Reach(near=1)).check()
    with pytest.raises(MeloError, match=r"^bars is 0; it must be a whole number, 1 to 4,096$"):
        Window(bars=0).check()
    with pytest.raises(MeloError, match=r"^offsets\[0\] is 0; it must be a whole number ≥ 1$"):
        Window(bars=1, offsets=(0,)).check()
    with pytest.raises(ValueError, match="not JSON compliant"):
        Window(bars=1, share=float("nan")).to_json()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"[" * 1_000_000, "it is not JSON"),
        (b'{"a":' * 1_000_000, "it is not JSON"),
        (b"[" * 990 + b"]" * 990, "it is not JSON"),
        (b"\xff\x00", "it is not JSON"),
        (b'"\xff"', "it is not JSON"),
        (b'"\xed\xa0\x80"', "it is not JSON"),
        (b'"\\ud800"', "it is not JSON"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
        ("{}".encode("utf-16"), "it is not JSON"),
        (b"NaN", "it is not JSON"),
        (b"[-Infinity]", "it is not JSON"),
        (b"1e400", "it is not JSON"),
        (b"9" * 5000, "it is not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' stands twice in an object"),
        (b'{"0": 1, "-0": 2}', "key '0' stands twice in an object"),
        (b"{} {}", "it is not JSON"),
        (b'{"' + b'":0,"'.join(b"%d" % i for i in [*range(300_000), 299_999]) + b'":0}', "key '299999' stands twice"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(
        MeloError, match=f"a.json: damaged, .*{message}.*; give a window as meloctl writes it"
    ) as caught:
        Window.read(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_or_huge_are_refused(tmp_path):
    with pytest.raises(MeloError, match=r"none.json: cannot read this window: no such file or directory$"):
        Window.read(tmp_path / "none.json")
    with pytest.raises(MeloError, match="cannot read this window: is a directory"):
        Window.read(tmp_path)
    path = tmp_path / "a.json"
    path.write_text(Window(bars=1).to_text())
    assert Window.read(path) == Window(bars=1)
    path.write_bytes(b" " * (3 << 20) + b"{}")
    assert read_json(path, what="note") == {}
    with pytest.raises(MeloError, match=r"a.json: larger than a note can be \(2 MiB\)$"):
        read_json(path, what="note", max_bytes=2 << 20)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["near", "far", "1", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(Window.__struct_fields__), values, max_size=4))
def test_anything_is_read_or_refused_and_what_is_read_comes_back(change):
    try:
        spec = Window.from_json({**LEAST, **change})
    except MeloError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may also be none
        return
    if all(float("-inf") < x < float("inf") for x in spec.interval or ()):
        assert Window.from_json(parse_json(spec.to_text(), what="window", where="a")) == spec
