"""The band plays: phrases laid out in the form, each time a little otherwise, with fills, crashes and an ending."""

import numpy as np

from meloctl.corpus.composer.band_parts import BASS_RANGE, CHORDS_RANGE, LEAD_RANGE, Hit, nearest
from meloctl.corpus.composer.drums import with_crash, with_fill, with_last_stroke
from meloctl.corpus.composer.harmony import tonic_chord, voicings
from meloctl.corpus.composer.material import BASS, CHORDS, DRUMS, LEAD, Band, Material

Played = list[list[list[Hit]]]
"""Notes by bar and part, in the order DRUMS, BASS, CHORDS, LEAD."""

_ORNAMENTS = {DRUMS: 0.12, BASS: 0.06, CHORDS: 0.06, LEAD: 0.12}
"""Share of bars in which a part leaves something out, or the lead adds a note."""

_CADENCE = 0.14
"""Share of bars of a through-composed piece that end in a fill."""

_SPREAD = 3.5
"""Standard deviation of velocities around what is meant."""


def perform(
    rng: np.random.Generator, band: Band, material: dict[str, Material], *, form: str, phrase: int, section: int
) -> Played:
    """The piece, bar by bar.

    A phrase comes back as written but for an ornament here and there. Sections start with a crash and end in a fill; a
    through-composed piece has them at irregular distances, or they would plant a period. The last bar comes to rest on the
    tonic.
    """
    bars = [(letter, b) for letter in form for b in range(section)]
    out: Played = []
    crash = True
    for number, (letter, b) in enumerate(bars):
        written, at = (material[letter], b % phrase) if phrase else (material[form], number)
        played = [_varied(rng, band, part, line[at]) for part, line in enumerate(written.lines)]
        if crash:
            played[DRUMS] = with_crash(played[DRUMS])
        crash = rng.random() < _CADENCE if not phrase else b == section - 1
        if number == len(bars) - 1:
            played = _ending(band, played)
        elif crash:
            played[DRUMS] = with_fill(rng, band.feel, played[DRUMS])
        out.append(played)
    return out


def _varied(rng: np.random.Generator, band: Band, part: int, hits: list[Hit]) -> list[Hit]:
    """The bar as written, or now and then with one small change; its first onset and its harmony stay."""
    if rng.random() >= _ORNAMENTS[part] or len({h.step for h in hits}) < 3:
        return hits
    if part == LEAD and rng.random() < 0.6:
        return _grace(rng, hits, tonic_chord(band.key).scale)
    soft = [h for h in hits if h.step and h.step not in band.feel.beats]
    if not soft:
        return hits
    gone = soft[int(rng.integers(len(soft)))]
    if part == DRUMS:
        return [h for h in hits if h != gone]
    return [h for h in hits if h.step != gone.step]


def _grace(rng: np.random.Generator, hits: list[Hit], scale: frozenset[int]) -> list[Hit]:
    """A leap after a long note gets a quick note of the scale in its middle."""
    for i in rng.permutation(len(hits) - 1).tolist():
        here, goal = hits[i], hits[i + 1]
        if goal.step - here.step >= 12 and abs(goal.pitch - here.pitch) > 2:
            middle = (here.pitch + goal.pitch) // 2
            quick = Hit(goal.step - 3, 3, middle if middle % 12 in scale else middle + 1, 78)
            return [*hits[:i], here._replace(length=quick.step - here.step), quick, *hits[i + 1 :]]
    return hits


def _ending(band: Band, played: list[list[Hit]]) -> list[list[Hit]]:
    """The last bar: as written, then from its middle the tonic in all parts, near to where the bass and the lead were."""
    half, rest = band.feel.half, band.feel.steps - band.feel.half
    drums, *others = (
        [h._replace(length=min(h.length, half - h.step)) for h in hits if h.step < half] for hits in played
    )
    bass, _, lead = others
    chord = tonic_chord(band.key)
    high = lead[-1].pitch if lead else band.lead_centre
    (shape,) = voicings([chord], low=CHORDS_RANGE[0], high=CHORDS_RANGE[1])
    tonic = (
        [(nearest(chord.root, bass[-1].pitch, BASS_RANGE), 90)],
        [(pitch, 76) for pitch in shape],
        [(min((nearest(t, high, LEAD_RANGE) for t in chord.tones[:2]), key=lambda p: abs(p - high)), 96)],
    )
    return [with_last_stroke(drums, half)] + [
        [*line, *(Hit(half, rest, *note) for note in notes)] for line, notes in zip(others, tonic, strict=True)
    ]


def with_dynamics(rng: np.random.Generator, played: Played, *, form: str) -> Played:
    """Velocities as hands give them; sections of different letters differ a little in loudness."""
    loudness = {letter: int(rng.integers(-5, 6)) for letter in dict.fromkeys(form)}
    section = len(played) // len(form)
    return [[_struck(rng, hits, loudness[form[b // section]]) for hits in bar] for b, bar in enumerate(played)]


def _struck(rng: np.random.Generator, hits: list[Hit], more: int) -> list[Hit]:
    spread = (more + rng.normal(0, _SPREAD, len(hits))).tolist()
    return [h._replace(velocity=min(127, max(1, round(h.velocity + s)))) for h, s in zip(hits, spread, strict=True)]
