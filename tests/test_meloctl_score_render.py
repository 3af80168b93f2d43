"""Sound of MIDI files: pitch, level, controllers, decay and ring are what the file and the soundfont say."""

import numpy as np
import pytest
import soundfile
from conftest import note, smf
from scipy.io import wavfile
from soundfonts import COARSE_TUNE, EXCLUSIVE, RELEASE, keys, write_sine_font

from analysis.errors import MeloError
from meloctl.score import performance_sound
from meloctl.score.render import write_sound
from meloctl.score.soundfont import find_soundfont, read_soundfont

RATE = 48_000
QUARTER = 480
SECOND = 2 * QUARTER
"""Ticks; a file without a tempo has 120 quarter notes a minute."""

DRY = [(0, b"\xb0\x5b\x00")]
"""Channel 1 without reverb."""

HIHAT_CLOSED, HIHAT_OPEN, CRASH = 42, 46, 49


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    """A soundfont: program 0 is a sine, program 1 one that fades for long; of the drums 42 ends 46, and 49 rings."""
    always = keys(0, 127)
    drums = [(keys(42, 46), (EXCLUSIVE, 1), (RELEASE, 2400)), (keys(49, 49), (RELEASE, 2400))]
    presets = {(0, 0): [(always,)], (0, 1): [(always, (RELEASE, 2400))], (128, 0): drums}
    return write_sine_font(tmp_path_factory.mktemp("font") / "sine.sf2", presets)


def heard(folder, *tracks, font=None, **options):
    """The samples (frames, 2) of a file of these tracks, as floats; full scale is 1."""
    (folder / "a.mid").write_bytes(smf(*tracks, **options))
    seconds = write_sound(folder / "a.mid", folder / "a.wav", soundfont=font or find_soundfont())
    rate, samples = wavfile.read(folder / "a.wav")
    assert (rate, samples.dtype, samples.shape) == (RATE, np.int16, (round(seconds * RATE), 2))
    return samples / 32768


def level(samples, start, stop=None):
    """Decibels of the samples between two seconds; of a tenth of a second without the second."""
    some = samples[round(start * RATE) : round((stop or start + 0.1) * RATE)]
    return 10 * np.log10((some**2).mean() + 1e-12)


def hertz(samples, start, stop):
    """The strongest frequency between two seconds."""
    some = samples[round(start * RATE) : round(stop * RATE)].mean(axis=1)
    spectrum = np.abs(np.fft.rfft(some * np.hanning(len(some)), 1 << 21))
    return spectrum.argmax() * RATE / (1 << 21)


def semitones(samples, start, stop):
    """Semitones above 440 Hz of the strongest frequency."""
    return 12 * np.log2(hertz(samples, start, stop) / 440)


def control(number, value, *, delta=0, channel=0):
    return delta, bytes((0xB0 | channel, number, value))


# Pitch


NO_PITCH = {
    78: "whistle: in this font nine semitones low, by FluidSynth too",
    111: "shanai: its fifth partial is louder than all others, and the fourth or sixth of other pitches",
    **dict.fromkeys((112, *range(115, 128)), "tinkle bell, drums, noises and effects"),
}
"""Programs whose a' has no pitch to be told from its partials."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """All 128 programs, two seconds each: an a' of one and a half."""
    folder = tmp_path_factory.mktemp("programs")
    halves = []
    for first in (0, 64):  # a file has at most 64 parts
        track = []
        for program in range(first, first + 64):
            track += [(0, bytes((0xC0, program))), *note(69, 3 * QUARTER, velocity=100), (QUARTER, b"\xff\x06\x00")]
        halves.append(heard(folder, track)[: 128 * RATE])
    return np.concatenate(halves)


@pytest.mark.parametrize("program", [p for p in range(128) if p not in NO_PITCH])
def test_every_program_is_in_tune(programs, program):
    tone = programs[round((2 * program + 0.1) * RATE) : round((2 * program + 1.4) * RATE)].mean(axis=1)
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), size))
    cents = np.arange(-300, 301, 10)
    bins = 440 * 2 ** (cents[:, None] / 1200) * np.arange(1, 7) / RATE * size  # of the partials of each pitch
    near = np.rint(bins).astype(int)[..., None] + np.arange(-3, 4)
    best = cents[spectrum[near].max(axis=2).sum(axis=1).argmax()]
    assert abs(best) <= 30, f"{best} cents off"


@pytest.mark.parametrize("first", [0, 60, 120])
def test_no_program_spoils_what_follows(tmp_path, first):
    # what is not a number would stay in the reverb, and all sound after it be lost
    chords = []
    some = range(first, min(first + 60, 128))
    for program in some:
        pitches = range(program % 5, 128, 5)
        chords += [(0, bytes((0xC1, program))), *((0, bytes((0x91, pitch, 127))) for pitch in pitches)]
        chords += [(60 if pitch < 5 else 0, bytes((0x81, pitch, 0))) for pitch in pitches]
    a = heard(tmp_path, [*note(69, SECOND), *chords, *note(69, SECOND, rest=12 * SECOND)])
    last = 1 + len(some) * 60 / SECOND + 12
    assert level(a, last + 0.1, last + 0.9) == pytest.approx(level(a, 0.1, 0.9), abs=1)


# Level


@pytest.mark.parametrize("value", [127, 100, 64, 32])
@pytest.mark.parametrize("what", ["velocity", "volume", "expression"])
def test_half_the_value_is_a_quarter_of_the_sound(tmp_path, sine, what, value):
    # SoundFont 2.04, section 8.4: 40 log10(127 / value) decibels by velocity, controller 7 and controller 11 alike
    def second(value):
        controls = {"volume": [control(7, value)], "expression": [control(11, value)]}.get(what, [])
        return [*controls, *note(69, SECOND, velocity=value if what == "velocity" else 127)]

    a = heard(tmp_path, [*DRY, *second(127), *second(value)], font=sine)
    assert level(a, 0.5) - level(a, 1.5) == pytest.approx(40 * np.log10(127 / value), abs=0.2)


def test_volume_and_expression_act_while_a_note_sounds(tmp_path, sine):
    on, off = note(69, SECOND, velocity=127)
    a = heard(tmp_path, [*DRY, on, control(11, 64, delta=SECOND), off], font=sine)
    assert level(a, 0.5) - level(a, 1.5) == pytest.approx(11.9, abs=0.2)


def test_pan_moves_the_sound(tmp_path, sine):
    a = heard(tmp_path, [*DRY, *[e for pan in (0, 64, 127) for e in (control(10, pan), *note(69, SECOND))]], font=sine)
    sides = [[level(a[:, [side]], second + 0.5) for side in (0, 1)] for second in range(3)]
    assert sides[0][0] - sides[0][1] > 35
    assert sides[1][0] == pytest.approx(sides[1][1], abs=0.3)
    assert sides[2][1] - sides[2][0] > 35  # 127 is not quite all of the way
    assert sides[0][0] - sides[1][0] == pytest.approx(3.0, abs=0.3)  # equal power


def test_the_loudest_sample_lies_at_minus_one_decibel(tmp_path, sine):
    for velocity in (20, 127):
        a = heard(tmp_path, note(69, SECOND, velocity=velocity), font=sine)
        assert np.abs(a).max() == pytest.approx(10 ** (-1 / 20), abs=0.001)


def test_loud_chords_are_not_clipped(tmp_path, sine):
    # 30 sines in phase on 15 channels go four times over full scale: what is clipped has a third harmonic
    tracks = [[(0, bytes((0xB0 | c, 91, 0))), *note(69, SECOND, velocity=127, channel=c)] for c in range(16) if c != 9]
    a = heard(tmp_path, *tracks, *tracks, font=sine)
    spectrum = np.abs(np.fft.rfft(a[RATE // 4 : 3 * RATE // 4, 0]))  # 2 Hz a bin
    assert 20 * np.log10(spectrum[3 * 220] / spectrum[220]) < -60


# Pedals and bends


@pytest.mark.parametrize(("pedal", "held"), [(64, True), (66, True), (67, False), (None, False)])
def test_a_pedal_holds_the_note(tmp_path, sine, pedal, held):
    on, off = note(69, QUARTER)
    down = [control(pedal, 127)] if pedal else []
    up = [control(pedal, 0, delta=2 * SECOND)] if pedal else []
    a = heard(tmp_path, [*DRY, on, *down, off, *up, *note(45, QUARTER, rest=2 * SECOND)], font=sine)
    assert (level(a, 2.0) > level(a, 0.2) - 1) == held
    assert (level(a, 2.0) < level(a, 0.2) - 60) == (not held)
    if held:
        assert level(a, 2.7) < level(a, 0.2) - 60  # the pedal is up


def test_sostenuto_does_not_hold_what_comes_later(tmp_path, sine):
    on, off = note(69, SECOND)
    a = heard(tmp_path, [*DRY, control(66, 127), on, off, *note(45, QUARTER, rest=2 * SECOND)], font=sine)
    assert level(a, 2.0) < level(a, 0.2) - 60


@pytest.mark.parametrize(
    ("before", "bend", "rise"),
    [
        ([], 0x3FFF, 2),
        ([], 0x0000, -2),
        ([(101, 0), (100, 0), (6, 12), (38, 0)], 0x3FFF, 12),
        ([(101, 0), (100, 0), (6, 12), (101, 127), (100, 127), (6, 3)], 0x3FFF, 12),  # no parameter is chosen
        ([(101, 0), (100, 0), (6, 12), (99, 1), (98, 8), (6, 64)], 0x3FFF, 12),  # GS: the rate of the vibrato
        ([(101, 0), (100, 2), (6, 67)], 0x2000, 3),  # coarse tuning
        ([(101, 0), (100, 1), (6, 96)], 0x2000, 0.5),  # fine tuning
        ([(101, 0), (100, 0), (6, 12), (121, 0)], 0x3FFF, 12),  # a reset of controllers leaves the range
    ],
)
def test_bends_and_tuning(tmp_path, sine, before, bend, rise):
    events = [control(number, value) for number, value in before]
    on, off = note(69, SECOND)
    a = heard(tmp_path, [*DRY, *events, (0, bytes((0xE0, bend & 127, bend >> 7))), on, off], font=sine)
    assert semitones(a, 0.1, 0.9) == pytest.approx(rise, abs=0.02)


def test_a_bend_moves_a_note_that_sounds(tmp_path, sine):
    on, off = note(69, SECOND)
    a = heard(tmp_path, [*DRY, on, (SECOND, b"\xe0\x7f\x7f"), off], font=sine)
    assert semitones(a, 0.1, 0.9) == pytest.approx(0, abs=0.02)
    assert semitones(a, 1.1, 1.9) == pytest.approx(2, abs=0.02)


# Decay, ring and choke


def test_a_guitar_fades_and_an_organ_does_not(tmp_path):
    def fall(program):
        a = heard(tmp_path, [*DRY, (0, bytes((0xC0, program))), *note(57, 4 * SECOND, velocity=100)])
        return level(a, 0.1, 0.3) - level(a, 2.1, 2.3)

    assert 6 < fall(25) < 40
    assert abs(fall(19)) < 3


def test_a_cymbal_rings_after_a_short_note(tmp_path):
    struck = note(CRASH, QUARTER // 8, channel=9, velocity=110)
    a = heard(tmp_path, [(0, b"\xb9\x5b\x00"), *struck])
    assert level(a, 0, 0.1) - level(a, 1.0) < 40
    assert len(a) / RATE > 1.2


def test_a_closed_hihat_ends_an_open_one(tmp_path):
    dry = [(0, b"\xb9\x5b\x00")]
    on = [(0, bytes((0x99, HIHAT_OPEN, 100))), (QUARTER // 2, bytes((0x89, HIHAT_OPEN, 0)))]
    closed = note(HIHAT_CLOSED, 10, channel=9, velocity=1)  # itself too soft to be heard
    ringing, choked = (heard(tmp_path, [*dry, *on, *more, (SECOND, b"\xb9\x07\x64")]) for more in ([], closed))
    scale = np.abs(ringing[: RATE // 8]).max() / np.abs(choked[: RATE // 8]).max()
    assert level(ringing, 0.3) - level(choked * scale, 0.3) > 20


def test_the_sound_ends_when_it_has_died_away(tmp_path, sine):
    # a release of 2400 timecents takes 4 s; midirenderer lets it go 60 dB below full scale, which is not half-way for a soft note
    a = heard(tmp_path, [*DRY, (0, b"\xc0\x01"), *note(69, SECOND, velocity=127)], font=sine)
    assert 3 < len(a) / RATE < 5
    assert level(a, 0.5) - level(a, len(a) / RATE - 0.2) > 35
    assert np.abs(a[-1]).max() < 0.002


def test_the_sound_lasts_to_the_end_of_the_track(tmp_path, sine):
    a = heard(tmp_path, [*DRY, *note(69, QUARTER), (4 * SECOND - QUARTER, b"\xff\x06\x03end")], font=sine)
    assert len(a) / RATE == pytest.approx(4.0, abs=0.001)
    assert not a[2 * RATE :].any()


# Channels, ports and drums


def test_drums_sound_as_on_channel_10_wherever_they_are(tmp_path):
    def crash(*before, channel):
        notes = [event for rest in (0, SECOND) for event in note(CRASH, QUARTER, rest=rest, channel=channel)]
        dry = (0, bytes((0xB0 | channel, 91, 0)))
        return heard(tmp_path, [*((0, event) for event in before), dry, *notes, (SECOND, b"\xb0\x07\x64")])

    plain = crash(channel=9)
    assert np.array_equal(crash(b"\xb2\x00\x7f", b"\xc2\x00", channel=2), plain)  # XG: bank 127
    assert np.array_equal(crash(b"\xb2\x00\x78", b"\xc2\x00", channel=2), plain)  # GM2: bank 120
    gs = b"\xf0\x0a\x41\x10\x42\x12\x40\x13\x15\x01\x17\xf7"  # channel 3 plays drums
    assert np.array_equal(crash(gs, channel=2), plain)
    tr808 = crash(b"\xc9\x19", channel=9)
    assert not np.array_equal(tr808, plain)
    assert np.array_equal(crash(b"\xb9\x00\x7f", b"\xc9\x19", channel=9), tr808)  # the bank leaves the kit


def test_channel_10_made_melodic_plays_an_instrument(tmp_path, sine):
    melodic = b"\xf0\x0a\x41\x10\x42\x12\x40\x10\x15\x00\x1b\xf7"
    a = heard(tmp_path, [(0, melodic), (0, b"\xb9\x5b\x00"), *note(72, SECOND, channel=9)], font=sine)
    assert semitones(a, 0.1, 0.9) == pytest.approx(3, abs=0.02)


def test_ports_have_channels_of_their_own(tmp_path, sine):
    def part(port, volume, pitch, rest):
        start = [(0, bytes((0xFF, 0x21, 1, port))), *DRY, control(7, volume)]
        return [*start, *note(pitch, SECOND, rest=rest, velocity=127)]

    a = heard(tmp_path, part(0, 127, 69, 0), part(1, 64, 57, SECOND), font=sine)
    assert level(a, 0.5) - level(a, 1.5) == pytest.approx(11.9, abs=0.3)


def test_a_kit_change_acts_from_its_tick_on(tmp_path, sine):
    both = {(128, 0): [(keys(0, 127),)], (128, 25): [(keys(0, 127), (COARSE_TUNE, 12))], (0, 0): [(keys(0, 127),)]}
    font = write_sine_font(tmp_path / "kits.sf2", both)
    a = heard(tmp_path, [*note(69, SECOND, channel=9), (0, b"\xc9\x19"), *note(69, SECOND, channel=9)], font=font)
    assert [round(semitones(a, second + 0.1, second + 0.9)) for second in (0, 1)] == [0, 12]


def test_the_notes_of_an_mpe_zone_bend_apart(tmp_path, sine):
    # the manager's volume acts on all members, whose bends reach 48 semitones: an eighth of the way up is 6
    zone = [control(101, 0), control(100, 6), control(6, 2), control(7, 127)]
    dry = [control(91, 0, channel=member) for member in (1, 2)]
    bend = (0, b"\xe2\x00\x48")
    a = heard(tmp_path, [*zone, *dry, bend, *note(57, SECOND, channel=1), *note(57, SECOND, channel=2)], font=sine)
    assert semitones(a, 0.1, 0.9) == pytest.approx(-12, abs=0.02)
    assert semitones(a, 1.1, 1.9) == pytest.approx(-12 + 6, abs=0.02)
    quiet = heard(
        tmp_path, [*zone, *dry, *note(57, SECOND, channel=1), control(7, 64), *note(57, SECOND, channel=2)], font=sine
    )
    assert level(quiet, 0.5) - level(quiet, 1.5) == pytest.approx(11.9, abs=0.2)


def test_two_drum_channels_sound_together(tmp_path, sine):
    gs = (0, b"\xf0\x0a\x41\x10\x42\x12\x40\x13\x15\x01\x17\xf7")
    first = [gs, *note(CRASH, SECOND, channel=9)]
    one, both = (heard(tmp_path, *tracks, font=sine) for tracks in ([first], [first, note(43, SECOND, channel=2)]))
    low, high = (440 * 2 ** ((pitch - 69) / 12) for pitch in (43, CRASH))
    assert hertz(one, 0.1, 0.9) == pytest.approx(high, abs=1)
    spectrum = np.abs(np.fft.rfft(both[RATE // 10 : RATE + RATE // 10, 0] * np.hanning(RATE)))
    assert spectrum[round(low)] == pytest.approx(spectrum[round(high)], rel=0.3)


def test_all_sound_off_ends_a_note_that_the_pedal_holds(tmp_path, sine):
    on, off = note(69, QUARTER)
    a = heard(
        tmp_path,
        [*DRY, control(64, 127), on, off, control(120, 0, delta=SECOND), (2 * SECOND, b"\xff\x06\x00")],
        font=sine,
    )
    assert level(a, 1.2) > level(a, 0.2) - 1
    assert level(a, 1.7) < level(a, 0.2) - 60


def test_a_system_reset_brings_controllers_back(tmp_path, sine):
    gm_on = (0, b"\xf0\x05\x7e\x7f\x09\x01\xf7")
    quiet = [control(7, 20), control(10, 0)]
    a = heard(tmp_path, [*note(69, SECOND), *quiet, *note(69, SECOND), gm_on, *note(69, SECOND)], font=sine)
    assert level(a, 1.5) < level(a, 0.5) - 20
    assert level(a, 2.5) == pytest.approx(level(a, 0.5), abs=0.3)


def test_a_key_of_two_notes_sounds_until_the_later_one_ends(tmp_path, sine):
    end = (SECOND, b"\xff\x06\x00")
    a = heard(tmp_path, [*DRY, *note(69, 2 * SECOND), end], note(69, SECOND, rest=QUARTER), font=sine)
    assert level(a, 1.8) > level(a, 0.2) - 1
    assert level(a, 2.2) < level(a, 0.2) - 40


def test_a_key_that_is_struck_again_is_let_go_first(tmp_path, sine):
    a = heard(tmp_path, [*DRY, *note(69, 2 * SECOND)], note(69, SECOND, rest=SECOND), font=sine)
    assert level(a, 1.5) == pytest.approx(level(a, 0.5), abs=0.2)  # two voices would be 6 dB louder


# Long and hostile


def long_track(seconds):
    """Notes of a program, pan and reverb that the start sets, over a drone and a pedal, hi-hats, bends and volumes."""
    track = [(0, b"\xc0\x01"), control(10, 20), control(91, 0), (0, bytes((0x91, 45, 100)))]
    for i in range(seconds):
        volume, bend = control(7, 60 + i % 60), (0, bytes((0xE0, 0, 40 + i % 40)))
        pedal = control(64, 127 * (i % 3 > 0))
        hat = bytes((0x99, HIHAT_OPEN if i % 2 else HIHAT_CLOSED, 90))
        track += [volume, bend, pedal, (0, hat), *note(60 + i % 12, QUARTER), (QUARTER, bytes((0x89, hat[1], 0)))]
    return [*track, (0, bytes((0x81, 45, 0)))]


@pytest.mark.parametrize("parts", [2, 17])
def test_the_samples_are_the_same_for_any_number_of_threads(tmp_path, sine, parts, monkeypatch):
    # minutes of two seconds, with a note over each of their ends; 17 parts need a second call of the synthesizer for each
    monkeypatch.setattr(performance_sound, "_SEGMENT", 2 * RATE)
    notes = [note(50 + part, 3 * SECOND + part) * 4 for part in range(parts)]
    (tmp_path / "a.mid").write_bytes(smf(*notes))
    written = []
    for threads in (1, 2, 5):
        write_sound(tmp_path / "a.mid", tmp_path / "a.wav", soundfont=sine, threads=threads)
        written.append((tmp_path / "a.wav").read_bytes())
    assert len(written[0]) > 4 * 12 * RATE
    assert written[0] == written[1] == written[2]


def test_what_a_minute_raises_ends_the_rendering_and_leaves_no_file(tmp_path, sine, monkeypatch):
    monkeypatch.setattr(performance_sound, "_SEGMENT", RATE)
    (tmp_path / "a.mid").write_bytes(smf(note(60, 100 * SECOND)))
    minutes = []

    def stop():
        minutes.append(1)
        if len(minutes) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sound(tmp_path / "a.mid", tmp_path / "a.wav", soundfont=sine, threads=2, on_minute=stop)
    assert len(minutes) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid"]


def test_minutes_join_without_a_seam(tmp_path, sine, monkeypatch):
    track = long_track(14)
    monkeypatch.setattr(performance_sound, "_SEGMENT", 3600 * RATE)
    whole = heard(tmp_path, track, font=sine)
    monkeypatch.setattr(performance_sound, "_SEGMENT", 4 * RATE)
    parts = heard(tmp_path, track, font=sine)
    assert whole.shape == parts.shape
    assert level(whole - parts, 0, 14) < level(whole, 0, 14) - 50


def test_music_of_hours_is_refused(tmp_path, sine):
    slow = (0, b"\xff\x51\x03\xff\xff\xff")
    with pytest.raises(MeloError, match=r"hours of music; at most 2 are made into sound"):
        heard(tmp_path, [slow, *note(69, QUARTER, rest=480 * 500)], font=sine)
    assert not (tmp_path / "a.wav").exists()


def test_a_drone_fades_after_the_longest_time(tmp_path, sine, monkeypatch):
    monkeypatch.setattr(performance_sound, "_SEGMENT", RATE)
    monkeypatch.setattr(performance_sound, "MOST_HELD_SECONDS", 1)
    monkeypatch.setattr(performance_sound, "RING_SECONDS", 1)
    a = heard(tmp_path, [*DRY, *note(69, 5 * SECOND)], font=sine)
    assert level(a, 0.5) == pytest.approx(level(a, 1.5), abs=0.1)
    assert len(a) == 5 * RATE
    assert not a[3 * RATE :].any()


def test_flac_holds_the_samples_of_wav(tmp_path):
    wav = heard(tmp_path, [(0, b"\xc0\x13"), *note(69, 2 * SECOND)])
    seconds = write_sound(tmp_path / "a.mid", tmp_path / "a.flac", soundfont=find_soundfont())
    assert seconds == len(wav) / RATE
    flac, rate = soundfile.read(tmp_path / "a.flac")
    assert soundfile.info(tmp_path / "a.flac").subtype == soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"
    assert rate == RATE
    assert np.abs(wav).max() > 0.1
    assert np.array_equal(flac, wav)
    assert (tmp_path / "a.flac").stat().st_size < 0.7 * (tmp_path / "a.wav").stat().st_size
    assert {p.name for p in tmp_path.iterdir()} == {"a.mid", "a.wav", "a.flac"}


# Soundfonts


def test_a_whole_soundfont_is_read(sine):
    assert read_soundfont(sine) == sine.read_bytes()
    assert read_soundfont(find_soundfont())[:4] == b"RIFF"


def test_what_is_no_soundfont_is_refused(tmp_path, sine):
    data = sine.read_bytes()
    font = tmp_path / "a.sf2"
    with pytest.raises(MeloError, match="cannot be read: no such file"):
        read_soundfont(font)
    for content in (b"", b"no soundfont", b"RIFF\x04\x00\x00\x00WAVE"):
        font.write_bytes(content)
        with pytest.raises(MeloError, match="not a soundfont"):
            read_soundfont(font)
    for length in [*range(12, 200, 7), *range(200, len(data), 4999), len(data) - 1]:
        font.write_bytes(data[:length])
        with pytest.raises(MeloError, match=r"a damaged soundfont: .*install it again"):
            read_soundfont(font)


def test_a_sample_outside_of_the_font_is_found(tmp_path, sine):
    data = sine.read_bytes()
    at = data.index(b"shdr") + 8 + 20
    font = tmp_path / "a.sf2"
    for place in (at, at + 4):
        font.write_bytes(data[:place] + b"\xff\xff\xff\x0f" + data[place + 4 :])
        with pytest.raises(MeloError, match="a sample lies outside of it"):
            read_soundfont(font)


def test_a_synthesizer_that_gives_up_says_one_line(tmp_path, sine, monkeypatch):
    class PanicException(BaseException):
        """What Rust's panics become in Python."""

    def fail(error):
        def render_wave_from(*_):
            raise error

        monkeypatch.setattr("midirenderer.render_wave_from", render_wave_from)

    for error in (PanicException("index out of bounds"), RuntimeError("SoundFont error:\n the list is missing")):
        fail(error)
        with pytest.raises(MeloError, match="soundfont") as caught:
            heard(tmp_path, note(69, QUARTER), font=sine)
        assert "\n" not in str(caught.value)
    fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        heard(tmp_path, note(69, QUARTER), font=sine)
    assert {p.name for p in tmp_path.iterdir()} == {"a.mid"}
