"""The options of `meloctl generate`, as they were given."""

from dataclasses import dataclass, field
from pathlib import Path

from analysis.errors import MeloError
from meloctl.threads import check_threads

DEFAULT_BARS = 32
"""New bars, where no number is given."""

MOST_PIECES = 1000
SOUNDS = ("wav", "flac", "none")
"""Formats of a piece's sound."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How values are sampled from the model's probabilities.

    Raises:
        MeloError: on values out of range.
    """

    temperature: float = 1.0
    """Divides the logits: below 1 is safer, above 1 wilder."""

    top_p: float = 0.95
    """Values are sampled from the likeliest ones that together have this probability."""

    top_k: int | None = None
    """And from so many of them at most; None for any number."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.temperature <= 5:
            raise MeloError(
                "give a number from 0.05 to 5; 1 is the model's own", field="temperature", given=self.temperature
            )
        if not 0 < self.top_p <= 1:
            raise MeloError("give a number above 0 and up to 1; 1 leaves nothing out", field="top_p", given=self.top_p)
        if self.top_k is not None and self.top_k < 1:
            raise MeloError("give how many values to sample from, 1 or more", field="top_k", given=self.top_k)


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """What to generate; None where an option is not given.

    Raises:
        MeloError: a number is out of range, or options contradict each other.
    """

    model: str | None = None
    """Its folder, or "default" for the weights that come with meloctl; None: the workspace's latest, without one these."""

    bars: int | None = None
    """New bars."""

    seed: int = 0
    count: int = 1
    """How many pieces; their seeds follow each other."""

    instruments: str | None = None
    meter: str | None = None
    tempo: float | None = None
    """Quarter notes a minute."""

    key: str | None = None
    prompt: Path | None = None
    """A MIDI file whose first bars are kept; the new bars come behind them."""

    keep_bars: int | None = None
    """How many bars of the prompt are kept; None for all."""

    infill: Path | None = None
    """A MIDI file of which some bars or parts are replaced."""

    bars_range: str | None = None
    """Which of its bars; None for all."""

    parts: str | None = None
    """Which of its parts; None for all."""

    like: Path | None = None
    """A MIDI file whose course the new bars follow, bar by bar; see `meloctl.generation.steering`."""

    text: tuple[str, ...] = ()
    """What the new bars should be like, in words: "calm", and "17: storm" from the 17th new bar on."""

    text_strength: float | None = None
    """How far the texts are followed; None: 1."""

    encoder: str | None = None
    """Text encoder by its name or folder; None for the default one."""

    sampling: Sampling = field(default_factory=Sampling)
    sound: str = "none"
    """One of SOUNDS."""

    threads: int | None = None
    """That read prompts and write rows; None: one."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        if not 0 <= self.seed < 1 << 63:
            raise MeloError("give a whole number, 0 or more", field="seed", given=self.seed)
        if self.sound not in SOUNDS:
            raise MeloError("give wav, flac or none", field="sound", given=self.sound)
        if not 1 <= self.count <= MOST_PIECES:
            raise MeloError(f"give how many pieces to write, 1 to {MOST_PIECES}", field="count", given=self.count)
        self._check_steering()
        if self.infill is None:
            self._check_no_infill()
        else:
            self._check_infill()

    @property
    def new_bars(self) -> int:
        """New bars, without an infill."""
        return DEFAULT_BARS if self.bars is None else self.bars

    def _check_steering(self) -> None:
        if self.like is not None and self.text:
            raise MeloError(
                "the course of a piece and texts both say what bars are like; give one of them", field="like"
            )
        for name in ("text_strength", "encoder"):
            if getattr(self, name) is not None and not self.text:
                raise MeloError("says how a text is read; give one too: `text calm`", field=name)

    def _check_no_infill(self) -> None:
        for name in ("bars_range", "parts"):
            if getattr(self, name) is not None:
                raise MeloError("says what of a file to replace; give the file too: `infill FILE`", field=name)
        if self.prompt is None and self.keep_bars is not None:
            raise MeloError("says how much of a prompt to keep; give the prompt too: `prompt FILE`", field="keep_bars")

    def _check_infill(self) -> None:
        for name in ("bars", "instruments", "meter", "tempo", "prompt", "keep_bars"):
            if getattr(self, name) is not None:
                raise MeloError(
                    "does not go with `infill`, which keeps the bars of its file as they are; leave it out", field=name
                )
        if self.bars_range is None and self.parts is None:
            raise MeloError("say what to replace: `bars_range 9:16`, `parts bass`, or both", field="infill")
