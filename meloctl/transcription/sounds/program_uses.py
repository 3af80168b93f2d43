"""How General MIDI programs are played when sound to train on is made: their ranges, how they sound, how often they are taken."""

from dataclasses import dataclass

_TABLE = (
    (
        3.0,
        True,
        True,
        "40:55-94 41:48-82 42:36-76 43:28-60 56:54-83 57:38-71 58:28-58 59:54-81 60:38-76 64:56-86 "
        "65:48-81 66:43-75 67:36-68 68:58-89 69:52-81 70:34-73 71:50-89 72:74-101 73:60-95 74:60-91 "
        "75:58-90 78:72-96 79:60-90 109:50-80 110:55-90 111:58-86",
    ),
    (1.5, True, True, "22:55-90 52:45-80 53:48-80 54:45-80 80:48-90 81:45-90 82:50-90 85:48-80"),
    (
        1.2,
        True,
        False,
        "16:36-92 17:36-92 18:36-90 19:36-92 20:40-86 21:48-86 23:50-84 44:50-90 48:38-88 49:38-88 "
        "50:36-86 61:45-80 88:45-85 89:45-85 91:45-85",
    ),
    (
        1.2,
        False,
        False,
        "0:26-100 1:26-100 2:28-96 3:30-96 4:34-92 5:34-92 6:34-88 7:34-86 24:40-84 25:40-86 26:40-82 "
        "27:40-84 28:40-80 46:28-96",
    ),
    (0.8, False, True, "29:40-80 30:40-80 45:36-88"),
    (1.2, False, True, "32:28-58 33:28-58 34:28-58 35:28-60 36:28-58 37:28-58 38:28-58 39:28-58"),
    (
        0.7,
        False,
        False,
        "8:60-101 9:72-103 10:58-94 11:53-89 12:46-92 13:65-98 14:58-84 15:55-82 104:45-80 105:46-80 "
        "106:48-80 107:45-80 108:58-86",
    ),
)
"""(weight, sustained, monophonic, "program:lowest-highest pitch …"); programs whose notes have no one pitch are left out."""


@dataclass(frozen=True, kw_only=True)
class ProgramUse:
    """How a program is played."""

    low: int
    high: int
    """Lowest and highest MIDI pitch."""

    sustained: bool
    """It sounds as long as it is played; others fade by themselves."""

    monophonic: bool
    """It plays one note at a time."""

    weight: float
    """How often it is taken, relative to others."""


def _uses() -> dict[int, ProgramUse]:
    uses = {}
    for weight, sustained, monophonic, ranges in _TABLE:
        for program, (low, high) in ((entry.split(":")[0], entry.split(":")[1].split("-")) for entry in ranges.split()):
            uses[int(program)] = ProgramUse(
                low=int(low), high=int(high), sustained=sustained, monophonic=monophonic, weight=weight
            )
    return uses


PROGRAM_USES = _uses()
"""{program: how it is played}."""
