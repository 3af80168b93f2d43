"""What new bars must be, in the vocabulary's values, and the limits that hold for any piece."""

from dataclasses import dataclass

from analysis.errors import MeloError
from meloctl.rows.parts import PartId
from meloctl.score.key import Key

MOST_BARS = 10_000
"""Bars of a piece, those of a prompt among them."""

MOST_ROWS_IN_BAR = 512
"""A bar that has this many new notes is closed."""

MOST_EMPTY = 4
"""Bars without a note that may follow each other; the next one must hold one."""

MOST_PITCHED, MOST_PARTS = 15, 16
"""Parts that a new piece may have: MIDI has 16 channels, one of them for drums."""


@dataclass(frozen=True, kw_only=True)
class ChannelRoom:
    """Which parts may play in new bars, by the channels that there are for them."""

    own: frozenset[PartId] = frozenset()
    """Parts that have a channel on which their program is in force."""

    pitched: int = MOST_PITCHED
    """How many other pitched parts may play: each needs a free channel."""

    parts: int = MOST_PARTS
    """How many other parts may play, drums among them."""

    drums: bool = True
    """Whether other drums may play: they need a channel that plays drums."""


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What new bars must be; None leaves a choice to the model.

    Raises:
        MeloError: on values out of range.
    """

    bars: int
    """How many new bars, as rows count them."""

    parts: tuple[PartId, ...] | None = None
    """The parts that play in them: each of these, and no others."""

    time_signature: int | None = None
    """Of every new bar, as an index of the vocabulary's `time_signatures`."""

    tempo: int | None = None
    """Of every new bar, as an index of the vocabulary's `tempos`."""

    key: Key | None = None
    """Of the new notes."""

    def __post_init__(self) -> None:
        check_bars(self.bars)


def check_bars(bars: int, prompt_bars: int = 0) -> None:
    """Raises MeloError for a number of new bars out of range, `prompt_bars` bars standing before them."""
    if not 1 <= bars <= MOST_BARS - prompt_bars:
        raise MeloError(f"give a whole number of bars, 1 to {MOST_BARS - prompt_bars}", field="bars", given=bars)
