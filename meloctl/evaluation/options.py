"""Options of `meloctl evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from analysis.errors import MeloError
from analysis.reading import AS_IT_STANDS, Reading

PIECES, MOST_PIECES = 20, 1000
BARS, LEAST_BARS, MOST_BARS = 16, 4, 256


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Which music and which model are evaluated.

    Raises:
        MeloError: a number is out of range, or options contradict each other.
    """

    folder: Path | None = None
    """Music to evaluate; None: the model alone."""

    reference: Path | None = None
    """Real music; None: the corpus of the latest `meloctl stats`, if there is one."""

    model: Path | None = None
    """A run of `meloctl train`; None: the latest one if there is no folder, else none."""

    reading: Reading = AS_IT_STANDS
    """How the music is read."""

    text: bool = False
    """Judge how well the model does what words ask for, and nothing else."""

    bridge: Path | None = None
    """With `text`, the folder of the bridge of the model's plans; None: the workspace's latest, else the default
    one."""

    pieces: int | None = None
    """With `text`, pieces of each text; None: PIECES."""

    bars: int | None = None
    """With `text`, bars of each piece; None: BARS."""

    seed: int = 0
    """Of the resamples for intervals, and of the random reference pieces."""

    threads: int | None = None
    """That compute a model's loss; None: the fastest number, as measured."""

    def __post_init__(self) -> None:
        if self.text:
            self._check_text()
            return
        for name in ("bridge", "pieces", "bars"):
            if (given := getattr(self, name)) is not None:
                raise MeloError("it is for the evaluation of texts; give `text` too", field=name, given=given)

    def _check_text(self) -> None:
        if self.folder is not None:
            raise MeloError("it does not go with `text`, which writes its own pieces; leave it out", field="folder")
        if self.reading != AS_IT_STANDS:
            field = next(name for name, value in self.reading.to_json().items() if value)
            raise MeloError("it does not go with `text`, which writes its own pieces; leave it out", field=field)
        pieces, bars = self.text_size
        if not 2 <= pieces <= MOST_PIECES:
            raise MeloError(
                f"give how many pieces to write of each text, 2 to {MOST_PIECES}", field="pieces", given=pieces
            )
        if not LEAST_BARS <= bars <= MOST_BARS:
            raise MeloError(f"give how many bars a piece has, {LEAST_BARS} to {MOST_BARS}", field="bars", given=bars)

    @property
    def text_size(self) -> tuple[int, int]:
        """Pieces of each text, and bars of each piece."""
        return PIECES if self.pieces is None else self.pieces, BARS if self.bars is None else self.bars
