"""How files are read, as a user chooses: which bars, and which ends of notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.errors import MeloError
from analysis.piece import meter as parse_meter

READER = "meloctl.reader/2"
"""Version of the rules by which files are read (docs/conventions.md). Stands in the recipe of every run that reads files, so
that runs of another version are not taken for it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Choices for all files of a corpus; by default each is read as it stands."""

    meter: tuple[int, int] | None = None
    """(numerator, denominator) that overrides every time signature."""

    pedal: bool = False
    """Notes last as long as the sustain pedal holds them."""

    fix_bars: bool = False
    """Bar lines that lie beside the accents are moved there."""

    @staticmethod
    def of(meter: str | None = None, *, pedal: bool = False, fix_bars: bool = False) -> "Reading":
        """With a time signature as "4/4". Raises MeloError where it is none."""
        return Reading(meter=None if meter is None else parse_meter(meter), pedal=pedal, fix_bars=fix_bars)

    @staticmethod
    def from_json(values: Mapping[str, Any], *, where: str) -> "Reading":
        """From an object that has other keys too; keys that are missing mean what is read by default.

        Raises:
            MeloError: a value is of another kind; `where` says in which object.
        """
        meter, *switches = (values.get(key, default) for key, default in Reading().to_json().items())
        if not isinstance(meter, str | None) or not all(isinstance(s, bool) for s in switches):
            raise MeloError(f'{where}: "meter" is "4/4" or null, "pedal" and "fix_bars" true or false')
        pedal, fix_bars = switches
        return Reading.of(meter, pedal=pedal, fix_bars=fix_bars)

    def to_json(self) -> dict[str, Any]:
        """Keys that stand among others in manifests and reports."""
        return {"meter": self.meter and "{}/{}".format(*self.meter), "pedal": self.pedal, "fix_bars": self.fix_bars}

    def words(self) -> str:
        """In words: "bars of 4/4, the files' own ends of notes"."""
        bars = "bars of {}/{}".format(*self.meter) if self.meter else "the files' own bars"
        mended = ", moved to the accents" if self.fix_bars else ""
        return f"{bars}{mended}, " + ("notes held by the pedal" if self.pedal else "the files' own ends of notes")

    def or_else(self, other: "Reading") -> "Reading":
        """What this one leaves at its default, as another says."""
        return Reading(
            meter=self.meter or other.meter,
            pedal=self.pedal or other.pedal,
            fix_bars=self.fix_bars or other.fix_bars,
        )


AS_IT_STANDS = Reading()
"""What no option changes."""
