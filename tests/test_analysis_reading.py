import pytest
from conftest import note, smf
from shifted_songs import pickup_song

from analysis.errors import MeloError
from analysis.midi import parse_midi, parse_source, read_midi
from analysis.reading import AS_IT_STANDS, Reading

DOWN, UP = (0, b"\xb0\x40\x7f"), (0, b"\xb0\x40\x00")


def held(reading, *, channel=0):
    """Durations of a note released under the pedal, and of one struck behind it."""
    track = [DOWN, *note(60, 480, channel=channel), (480, b"\xb0\x07\x40"), UP, *note(62, 480, channel=channel)]
    return parse_midi(smf(track), reading=reading).notes.duration_tick.tolist()


def test_by_default_a_file_is_read_as_it_stands():
    assert held(AS_IT_STANDS) == [480, 480]
    assert parse_midi(pickup_song()).bars.signature_tick.tolist() == [0]


def test_under_the_pedal_notes_sound_until_it_is_lifted_but_drums_do_not():
    assert held(Reading(pedal=True)) == [960, 480]
    assert held(Reading(pedal=True), channel=1) == [480, 480]  # the pedal of another channel
    track = [(0, b"\xb9\x40\x7f"), *note(36, 10, channel=9), (90, b"\xb9\x40\x00")]
    assert parse_midi(smf(track), reading=Reading(pedal=True)).notes.duration_tick.tolist() == [10]


def test_a_pedal_that_is_never_lifted_holds_to_the_last_release_however_late_the_track_ends():
    track = [DOWN, *note(60, 480), *note(62, 480), (1 << 27, b"\xb0\x07\x40")]
    assert parse_midi(smf(track), reading=Reading(pedal=True)).notes.duration_tick.tolist() == [960, 480]


def test_the_pedal_of_an_mpe_zone_holds_the_notes_of_its_channels():
    zone = [(0, b"\xb0\x65\x00"), (0, b"\xb0\x64\x06"), (0, b"\xb0\x06\x03")]
    track = [*zone, DOWN, *note(60, 480, channel=1), (480, b"\xb0\x07\x40"), UP, *note(62, 480, channel=2)]
    for data, durations in ((smf(track), [960, 480]), (smf(track[3:]), [480, 480])):
        assert parse_midi(data, reading=Reading(pedal=True)).notes.duration_tick.tolist() == durations


def test_a_source_read_under_the_pedal_names_the_events_of_each_note():
    track = [DOWN, *note(60, 480), *note(60, 100), *note(64, 200), (480, b"\xb0\x07\x40"), UP]
    plain, source = (parse_source(smf(track), reading=reading) for reading in (AS_IT_STANDS, Reading(pedal=True)))
    assert source.piece.notes.duration_tick.tolist() == [480, 200 + 480 + 100, 680]
    assert source.note_on.tolist() == plain.note_on.tolist()
    assert source.note_off.tolist() == plain.note_off.tolist()


def test_fixed_bars_begin_at_the_accents():
    piece = parse_midi(pickup_song(), reading=Reading(fix_bars=True))
    assert piece.bars.signature_tick.tolist() == [0, 480]
    assert [piece.bars.signature(0), piece.bars.signature(1)] == [(1, 4), (4, 4)]
    assert piece.n_bars == 25


def test_a_meter_comes_before_the_fixing():
    piece = parse_midi(pickup_song(), reading=Reading(meter=(2, 4), fix_bars=True))
    assert piece.bars.numerator.tolist() in ([1, 2], [3, 2])  # each second bar of 2/4 opens with a bass note


@pytest.mark.parametrize("reading", [AS_IT_STANDS, Reading(meter=(6, 8)), Reading(pedal=True), Reading(fix_bars=True)])
def test_json_gives_the_same_reading_again(reading):
    assert Reading.from_json({**reading.to_json(), "seed": 0}, where="x") == reading
    others = (AS_IT_STANDS, Reading(meter=(6, 8)), Reading(pedal=True), Reading(fix_bars=True))
    assert sum(other.to_json() == reading.to_json() for other in others) == 1


def test_older_manifests_without_the_keys_read_plainly():
    assert Reading.from_json({"meter": "4/4"}, where="x") == Reading(meter=(4, 4))
    assert Reading.from_json({}, where="x") == AS_IT_STANDS


@pytest.mark.parametrize("wrong", [{"meter": 4}, {"pedal": 1}, {"fix_bars": None}, {"meter": "4/5"}])
def test_other_values_are_refused(wrong):
    with pytest.raises(MeloError, match="meter"):
        Reading.from_json(wrong, where="x")


def test_what_one_leaves_open_another_says():
    given, other = Reading(meter=(3, 4)), Reading(meter=(4, 4), pedal=True)
    assert given.or_else(other) == Reading(meter=(3, 4), pedal=True)
    assert AS_IT_STANDS.or_else(other) == other


def test_words_name_what_is_unlike_the_file():
    assert AS_IT_STANDS.words() == "the files' own bars, the files' own ends of notes"
    assert (
        Reading(meter=(4, 4), fix_bars=True).words()
        == "bars of 4/4, moved to the accents, the files' own ends of notes"
    )
    assert Reading(pedal=True).words() == "the files' own bars, notes held by the pedal"


def test_the_pedal_lengthens_notes_of_real_performances_and_no_note_shortens(real):
    path = real("asap")[0]
    plain, heard = read_midi(path), read_midi(path, reading=Reading(pedal=True))
    assert len(plain.notes) == len(heard.notes)
    assert heard.notes.duration_tick.sum() > plain.notes.duration_tick.sum()
    columns = [sorted(zip(*n.columns[:1], n.pitch, n.duration_tick, strict=True)) for n in (plain.notes, heard.notes)]
    assert all(a[2] <= b[2] for a, b in zip(*columns, strict=True))
