"""The vocabulary: what each value of each field of a row means. It is JSON and lives inside the checkpoint.

A row is eight integers, one a field, −1 where its kind lacks the field:

    header         instrument = "bar", time_signature, tempo
    note           instrument, instance, position, pitch, duration, velocity
    end            instrument = "end", nothing else; the last row of a piece

Infill (fill-in-the-middle, see `meloctl.dataset.infill_windows`) adds two:

    header         instrument = "masked_bar" instead of "bar": notes of this bar are left out here and come in the middle
    infill header  instrument = "infill_bar", time_signature and tempo as in the header of its bar: opens a masked bar in the
                   middle, behind all headers, for the notes that were left out of it
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from analysis.errors import MeloError
from analysis.families import PROGRAMS_IN_BAR

FORMAT = "meloctl.rows/3"
"""The first format had no infill, the second other names for instances and for the two instruments of infill."""

FIELDS = ("instrument", "instance", "position", "pitch", "duration", "velocity", "time_signature", "tempo")
"""Columns of a row matrix (L, F), in the order in which the model predicts them."""

INSTRUMENT, INSTANCE, POSITION, PITCH, DURATION, VELOCITY, TIME_SIGNATURE, TEMPO = range(len(FIELDS))
NOTE_FIELDS = (INSTANCE, POSITION, PITCH, DURATION, VELOCITY)
"""What follows the instrument in a note row."""

HEADER_FIELDS = (TIME_SIGNATURE, TEMPO)
"""What follows the instrument in a header row."""

ABSENT = -1


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Meaning of every value. Value i of a field is entry i of its list; positions, instances and pitches count from 0."""

    steps_per_quarter: int
    """Grid: steps in a quarter note, for positions and durations."""

    positions: int
    """Positions in a bar, so the longest bar in steps."""

    instances: int
    """How many parts of one piece may share an instrument."""

    instruments: tuple[str, ...]
    """"bar", "drums", General MIDI programs as "program 32", and "end", in the order in which they stand in a bar; then
    "infill_bar" and "masked_bar"."""

    durations: tuple[int, ...]
    """Lengths in steps, ascending."""

    velocities: tuple[int, ...]
    """MIDI velocities, ascending."""

    time_signatures: tuple[str, ...]
    """"4/4" and the like."""

    tempos: tuple[float, ...]
    """Quarter notes a minute, ascending."""

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """(F,) how many values each field has, in the order of FIELDS."""
        return (
            len(self.instruments),
            self.instances,
            self.positions,
            128,
            len(self.durations),
            len(self.velocities),
            len(self.time_signatures),
            len(self.tempos),
        )

    @cached_property
    def bar(self) -> int:
        """Instrument of a header row: 0, so that it comes before every part of its bar."""
        return self.instruments.index("bar")

    @cached_property
    def drums(self) -> int:
        """Instrument of a drums part."""
        return self.instruments.index("drums")

    @cached_property
    def end(self) -> int:
        """Instrument of the end row."""
        return self.instruments.index("end")

    @cached_property
    def infill_bar(self) -> int:
        """Instrument of an infill header row."""
        return self.instruments.index("infill_bar")

    @cached_property
    def masked_bar(self) -> int:
        """Instrument of the header row of a masked bar."""
        return self.instruments.index("masked_bar")

    @cached_property
    def signatures(self) -> tuple[tuple[int, int], ...]:
        """(numerator, denominator) of each time signature."""
        return tuple((int(n), int(d)) for n, _, d in (s.partition("/") for s in self.time_signatures))

    @cached_property
    def bar_steps(self) -> tuple[int, ...]:
        """Positions in a bar of each time signature; half a step before its end the next bar begins (3/32, 4.5 steps, has 4)."""
        return tuple(
            math.ceil(Fraction(4 * self.steps_per_quarter * n, d) - Fraction(1, 2)) for n, d in self.signatures
        )

    def instrument_of(self, program: int, is_drum: bool) -> int:
        """Index of a program's or the drums' instrument."""
        return self.drums if is_drum else self._programs[program]

    def program_of(self, instrument: int) -> tuple[int, bool]:
        """(program, is_drum) of an instrument's index; drums are given program 0."""
        return (
            (0, True)
            if instrument == self.drums
            else (int(self.instruments[instrument].removeprefix("program ")), False)
        )

    @cached_property
    def _programs(self) -> dict[int, int]:
        return {int(t.removeprefix("program ")): i for i, t in enumerate(self.instruments) if t.startswith("program ")}

    def to_json(self) -> dict[str, Any]:
        """The JSON object `meloctl.rows/3`."""
        data = {k: list(v) if isinstance(v, tuple) else v for k, v in _declared(self).items()}
        return {"format": FORMAT, **data}

    @staticmethod
    def from_json(data: object, *, where: str = "vocabulary") -> "Vocabulary":
        """A vocabulary from parsed JSON. Raises MeloError unless it is exactly one that this version can use."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise MeloError(
                f'{where}: not a vocabulary (its "format" is not "{FORMAT}"); train again with this version: meloctl train'
            )
        ours = default_vocabulary()
        known = {"format", *_declared(ours)}
        unknown = sorted(map(str, set(data) - known))
        if unknown:
            raise MeloError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        if data != ours.to_json():
            wrong = next(k for k, v in ours.to_json().items() if data.get(k) != v)
            raise MeloError(
                f"{where}: its {wrong!r} is not what {FORMAT} says; the file is damaged or was made by another version"
            )
        return ours


def default_vocabulary() -> Vocabulary:
    """The vocabulary of format meloctl.rows/3: 12 steps a quarter, bars of up to 16 quarters, all 128 programs and drums."""
    steps, quarters = 12, 16
    fine, middle, coarse = range(1, 49), range(51, 97, 3), [*range(108, 193, 12), *range(240, 769, 48)]
    return Vocabulary(
        steps_per_quarter=steps,
        positions=steps * quarters,
        instances=64,
        instruments=("bar", "drums", *(f"program {p}" for p in PROGRAMS_IN_BAR), "end", "infill_bar", "masked_bar"),
        durations=(*fine, *middle, *coarse),
        velocities=(*range(4, 125, 4), 127),
        time_signatures=tuple(
            f"{n}/{d}" for d in (1, 2, 4, 8, 16, 32, 64) for n in range(1, min(64, quarters * d // 4) + 1)
        ),
        tempos=tuple(round(120 * 2 ** (k / 24), 4) for k in range(-72, 49)),
    )


def _declared(vocabulary: Vocabulary) -> dict[str, Any]:
    """The dataclass fields, without what is cached beside them."""
    return {name: getattr(vocabulary, name) for name in Vocabulary.__dataclass_fields__}
