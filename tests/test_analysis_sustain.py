import numpy as np
from conftest import note, smf
from hypothesis import given
from hypothesis import strategies as st

from analysis.midi_events import read_events
from analysis.sustain import SILENCE, PedalEvents, pedal_events, sustained_end

END = 1000


def pedals(*events):
    """From (tick, value) on channel 0, or (tick, value, channel)."""
    rows = np.array([(t, v, *(c or [0])) for t, v, *c in events], dtype=np.int64).reshape(-1, 3)
    return PedalEvents(tick=rows[:, 0], channel=rows[:, 2], value=rows[:, 1])


def ends(notes, *events):
    """Ends of notes (onset, end, pitch) on channel 0, or (onset, end, pitch, channel)."""
    rows = np.array([(*n, 0)[:4] for n in notes], dtype=np.int64).reshape(-1, 4)
    return sustained_end(*rows.T, rows[:, 3], pedals=pedals(*events), last_tick=END).tolist()


def test_a_note_released_under_the_pedal_sounds_until_it_is_lifted():
    assert ends([(0, 10, 60)], (5, 127), (50, 0)) == [50]
    assert ends([(0, 10, 60)], (5, 64), (50, 63)) == [50]
    assert ends([(0, 10, 60)], (5, 63), (50, 0)) == [10]


def test_a_note_released_before_or_after_is_as_it_was():
    assert ends([(0, 10, 60), (20, 60, 62)], (12, 127), (50, 0)) == [10, 60]
    assert ends([(0, 10, 60)]) == [10]


def test_the_next_strike_of_the_same_key_ends_it():
    assert ends([(0, 10, 60), (30, 40, 60), (20, 25, 72)], (5, 127), (50, 0)) == [30, 50, 50]
    assert ends([(0, 10, 60), (10, 20, 60)], (5, 127), (50, 0)) == [10, 50]


def test_at_the_tick_of_the_release_the_pedal_counts_as_it_was_before():
    assert ends([(0, 10, 60)], (10, 127), (50, 0)) == [10]
    assert ends([(0, 10, 60)], (5, 127), (10, 0), (10, 127), (50, 0)) == [10]


def test_a_pedal_that_is_never_lifted_holds_to_the_end():
    assert ends([(0, 10, 60), (20, END + 5, 62)], (5, 127)) == [END, END + 5]
    assert ends([(0, 10, 60)], (5, 127), (END + 7, 0)) == [END + 7]  # lifted later than that


def test_channels_have_pedals_and_keys_of_their_own():
    notes = [(0, 10, 60, 0), (0, 10, 60, 1), (20, 25, 60, 1), (0, 10, 64, 16)]
    assert ends(notes, (5, 127, 0), (5, 127, 16), (40, 0, 1), (50, 0, 0), (60, 0, 16)) == [50, 10, 25, 60]


def test_the_pedal_of_a_manager_acts_on_its_channels_too():
    """Two notes of one pitch, each on a channel of its own, under the pedal of channel 0."""
    onset, end, pitch, channel = np.array([(0, 10, 60, 1), (20, 25, 60, 2), (30, 35, 60, 1)], dtype=np.int64).T
    found = sustained_end(onset, end, pitch, channel, channel * 0, pedals=pedals((5, 127), (50, 0)), last_tick=END)
    assert found.tolist() == [30, 50, 50]
    own = sustained_end(onset, end, pitch, channel, channel * 0, pedals=pedals((5, 127, 1), (60, 0, 1)), last_tick=END)
    assert own.tolist() == [30, 25, 60]


def test_all_sound_off_ends_what_is_held_and_leaves_the_pedal_down():
    assert ends([(0, 10, 60), (40, 45, 62)], (5, 127), (30, SILENCE), (50, 0)) == [30, 50]


def test_a_note_of_no_length_is_held_too_but_not_ended_by_its_own_strike():
    assert ends([(10, 10, 60)], (5, 127), (50, 0)) == [50]


def test_the_pedals_of_a_file_are_those_of_each_port_and_channel():
    track = [
        (0, b"\xb2\x40\x7f"),
        *note(60, 10, channel=2),
        (0, b"\xff\x21\x01\x03"),
        (5, b"\xb2\x40\x28"),
        (0, b"\xb2\x07\x10"),
        (5, b"\xb2\x79\x00"),
        (0, b"\xb0\x78\x00"),
    ]
    other = [(3, b"\xb2\x40\x50")]
    found = pedal_events(read_events(smf(track, other)))
    rows = zip(found.tick.tolist(), found.channel.tolist(), found.value.tolist(), strict=True)
    assert list(rows) == [(0, 2, 127), (3, 2, 80), (15, 50, 40), (20, 50, 0), (20, 48, SILENCE)]


notes_of_a_file = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(60, 62), st.integers(0, 1)), min_size=1, max_size=12
)
pedals_of_a_file = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from([0, 63, 64, 127, SILENCE]), st.integers(0, 1)), max_size=10
)


@given(notes_of_a_file, pedals_of_a_file)
def test_the_ends_are_those_of_a_player_that_goes_through_the_ticks(notes, events):
    notes = [(onset, onset + length, pitch, channel) for onset, length, pitch, channel in notes]
    events = sorted(events, key=lambda e: e[0])
    assert ends(notes, *events) == [played(n, notes, events) for n in notes]


def played(own, notes, events):
    """The end of one note, tick by tick."""
    onset, release, pitch, channel = own
    down = False
    for tick, value, on in events:
        if on == channel and tick < release and value != SILENCE:
            down = value >= 64
    if not down:
        return release
    for tick in range(release, END):
        if any(t == tick and on == channel and value < 64 for t, value, on in events):
            return tick
        if any((t, p, on) == (tick, pitch, channel) and t > onset for t, _, p, on in notes):
            return tick
    return END
