"""The music model, the bridge and the reader that `meloctl evaluate --text` judges, as one `text_cells.PlannedMusic`.

Words of the lexicon's test split are in no training caption, so the bridge never saw them; the reader in use knows them from its
tables, and a second one, to which they are new, does not. Shape letters: N pieces, T bars, A attributes, D width of a plan, L
rows, F fields, E width of an embedding.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.arrays import Floats, Floats32
from meloctl.bridge.bridge_file import load_bridge
from meloctl.evaluation.text_cells import PlannedBars
from meloctl.generation.constraints import Constraints
from meloctl.generation.new_pieces import new_piece_writers
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate
from meloctl.generation.steady_tempo import steady_tempo
from meloctl.generation.steering import AskedMusic, SteeredBars, SteeredPiece
from meloctl.machine import computes_in_half
from meloctl.model.bar_plans import BarPlans
from meloctl.model.checkpoint import load_model, read_description
from meloctl.plans.planned_model import check_planned, plan_channel
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.codec import Rows, nearest_tempo
from meloctl.text.captions import caption
from meloctl.text.lexicon import LANGUAGES, Split
from meloctl.text.text_reading import reader
from meloctl.text.texts_over_bars import TextCourse, course_of_texts
from meloctl.workspace import file_hash

_MOST_TOGETHER = 32
"""Pieces that are written side by side."""

TRAIN_WORDS: tuple[Split, ...] = ("train",)
"""Splits that a reader knows to whom the words of the lexicon's test split are new."""

_LOUDER = 1.5
"""Levels that no word says are multiplied by this, until one does."""


class BridgedMusic:
    """A music model with plans, its bridge, and a reader of texts."""

    def __init__(self, model: Path, bridge: Path) -> None:
        """Load all three.

        Args:
            model: folder of a model that was trained with plans.
            bridge: folder of the bridge of its plans.

        Raises:
            MeloError: a model without plans; one of the three is missing, damaged, or not made for the others.
        """
        check_planned(read_description(model), model, field="model")
        self._model, _ = load_model(model)
        self._channel = plan_channel(self._model)
        self._readers = {False: reader(), True: reader(splits=TRAIN_WORDS)}
        self._encoder, self._bridge_folder = reader().encoder, bridge
        self._bridge = load_bridge(
            bridge,
            model_weights=file_hash(model / "model.safetensors"),
            encoder_fingerprint=self._encoder.fingerprint,
        )
        self.vocabulary = self._model.vocabulary
        self.scale = self._bridge.about.scale

    @property
    def plan_width(self) -> int:
        """D."""
        return self._bridge.about.sizes.plan_width

    def weights_hash(self) -> str:
        """SHA-256 of the music model's weights as they are in memory now."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def plans_of(self, rows: Rows) -> Floats32:
        """(T, D) plans of a piece of rows (L, F)."""
        return self._channel.of_rows(rows, self.vocabulary)

    def of_texts(
        self, texts: Sequence[tuple[str, ...]], bars: int, seeds: Sequence[int], *, unseen: bool
    ) -> list[PlannedBars]:
        """What steers N pieces, each by a text, or by two texts, one of each half.

        Args:
            unseen: read by what knows the words of training captions alone; else as in use.
        """
        steered: dict[int, PlannedBars] = {}
        for some in dict.fromkeys(texts):
            its = [n for n, other in enumerate(texts) if other == some]
            lines = [some[0], *(f"{bars // 2 + 1}: {text}" for text in some[1:])]
            course = course_of_texts(lines, bars, self._readers[unseen])
            vectors = course.vectors(self._encoder)
            steered |= zip(its, self._of_course(course, vectors, [seeds[n] for n in its]), strict=True)
        return [steered[n] for n in range(len(texts))]

    def of_wants(self, wants: Floats, bars: int, seeds: Sequence[int]) -> list[PlannedBars]:
        """What steers N pieces by levels (N, A), NaN where nothing is said, without words."""
        nothing = np.zeros((1, self._bridge.about.sizes.text_width), dtype=np.float32)
        courses = [
            TextCourse(wants=np.tile(levels, (bars, 1)), text_of_bars=np.full(bars, -1), texts=()) for levels in wants
        ]
        return [
            one for course, seed in zip(courses, seeds, strict=True) for one in self._of_course(course, nothing, [seed])
        ]

    def _of_course(self, course: TextCourse, vectors: Floats32, seeds: Sequence[int]) -> list[PlannedBars]:
        """What steers pieces by one course, and the vectors (K, E) of its texts, made as `meloctl generate --text` makes it."""
        asked = AskedMusic(
            course=course,
            vectors=vectors,
            bridge=self._bridge,
            bridge_folder=self._bridge_folder,
            strength=1.0,
        )
        where = SteeredBars(first=0, bars=len(course.wants), piece_bars=len(course.wants))
        pieces = asked.pieces(self._channel, self.vocabulary, where, seeds)
        return [PlannedBars(plans=one.plans.vectors.astype(np.float64), tempo=one.tempo) for one in pieces]

    def caption(self, levels: Floats, random: np.random.Generator) -> tuple[str, Floats]:
        """Words of the test split for levels (A,), in a random language, and the levels (A,) that they say."""
        language = LANGUAGES[int(random.integers(len(LANGUAGES)))]
        while True:
            nowhere = np.zeros(len(ATTRIBUTES))  # music that agrees with no scene
            found = caption(levels, language=language, split="test", random=random, music_A=nowhere)
            if found.text:
                return found.text, found.wants
            levels = levels * _LOUDER

    def write(self, steered: Sequence[PlannedBars | None], bars: int, seeds: Sequence[int]) -> list[Rows]:
        """Pieces (L, F) under plans, or without."""
        rows: list[Rows] = []
        for first in range(0, len(seeds), _MOST_TOGETHER):
            together = slice(first, first + _MOST_TOGETHER)
            some = [self._steering(one) for one in steered[together]]
            writers = new_piece_writers(self._model, Constraints(bars=bars), some, seeds[together])
            plans = [None if one is None else one.plans for one in some]
            generate(self._model, writers, Sampling(), half=computes_in_half("cpu"), plans=plans)
            rows += [writers.rows(n) for n in range(len(some))]
        return rows

    def _steering(self, one: PlannedBars | None) -> SteeredPiece | None:
        """Plans and tempo as the model is given them."""
        if one is None:
            return None
        vectors, tempo = one.plans.astype(np.float32), one.tempo
        if tempo is None:
            planned = steady_tempo(self._channel.read_out(vectors)[:, 0])
            tempo = nearest_tempo(np.exp2(planned), self.vocabulary)
        return SteeredPiece(plans=BarPlans(vectors=vectors, given=np.ones(len(vectors), dtype=np.bool_)), tempo=tempo)
