"""The cells of a small band, as pictures of a mask show them."""

from masks.small_band import bars_to_draw, cell_kind, numbered_bars
from masks.spec import MaskSpec


def spec_of(**fields):
    return MaskSpec(**{"same": "full", "near": 0, "far": (), "summaries": False, **fields})


def test_every_offset_has_a_bar_up_to_36():
    assert bars_to_draw(spec_of()) == 12
    assert bars_to_draw(spec_of(far=(16,))) == 20
    assert bars_to_draw(spec_of(same=(1, 24), near=2)) == 28
    assert bars_to_draw(spec_of(near=10_000)) == 36


def test_bars_are_numbered_one_by_one_as_long_as_there_is_room():
    assert list(numbered_bars(3)) == [0, 1, 2]
    assert list(numbered_bars(17)) == [0, 4, 8, 12, 16]


def test_a_cell_is_what_the_mask_sees_of_it():
    spec = spec_of(same=(4,), near=1, drums="masked")
    assert [cell_kind(spec, 1, 1, k) for k in (0, 1, 4)] == ["same", "hidden", "same"]
    assert [cell_kind(spec, 1, 2, k) for k in (0, 1, 2)] == ["cross", "cross", "hidden"]
    assert cell_kind(spec, 1, 0, 2) == "hidden"
    exempt = spec_of(same=(4,), near=1, drums="exempt")
    assert [cell_kind(exempt, *cells, 9) for cells in ((1, 0), (0, 1), (0, 0), (1, 2))] == [
        "drums",
        "drums",
        "hidden",
        "hidden",
    ]
