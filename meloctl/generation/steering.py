"""What steers new bars through their plans: a piece whose course they follow, or texts.

Shape letters: L rows, F fields, T new bars as rows count them, D width of a plan, A attributes, E numbers of an encoder's vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Floats, Floats32, Ints
from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_file import DESCRIPTION, WEIGHTS, Bridge, BridgeJson, load_bridge
from meloctl.bridge.bridge_sampler import MOST_STRENGTH, STEPS, sample_plans
from meloctl.formatting import count
from meloctl.generation.steady_tempo import steady_tempo
from meloctl.model.bar_plans import BarPlans, PlanChannel
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes
from meloctl.rows.codec import Rows, nearest_tempo
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, TEMPO, Vocabulary
from meloctl.text.encoders import DEFAULT_ENCODER, load_encoder
from meloctl.text.text_reading import reader
from meloctl.text.texts_over_bars import TextCourse, course_of_texts
from meloctl.weights.default_weights import bridge_beside
from meloctl.workspace import LATEST, Workspace, file_hash, text_hash

_GUIDANCE = 2.0
"""The bridge's guidance at text strength 1. Music follows a plan by part of what it says: with guidance 2 attributes come nearer
to what is asked than with 1 (docs/experiments.md). A tempo that is said is set as it is said."""

_MOST_LEVEL = 3.0
"""Of tempo, however strongly a text is followed."""


@dataclass(frozen=True, kw_only=True)
class SteeredBars:
    """Which bars of a piece are steered, all as rows count them."""

    first: int
    """How many bars stand before them."""

    bars: int
    """T."""

    piece_bars: int
    """All bars of the piece."""

    def plans(self, vectors: Floats32) -> BarPlans:
        """Plans of all bars of the piece: of these bars as far as there are vectors (n, D), of the others none."""
        vectors = vectors[: self.bars]
        rest = self.piece_bars - self.first - len(vectors)
        given = np.zeros(self.piece_bars, dtype=np.bool_)
        given[self.first : self.first + len(vectors)] = True
        return BarPlans(vectors=np.pad(vectors, ((self.first, rest), (0, 0))), given=given)


@dataclass(frozen=True, kw_only=True, eq=False)
class SteeredPiece:
    """What steers one piece."""

    plans: BarPlans
    """Of all its bars."""

    tempo: Ints
    """(T,) of each new bar, as an index of the vocabulary's tempos; ABSENT where the model chooses."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LikeMusic:
    """New bars are to be like those of a piece, one by one."""

    file: str
    rows: Rows
    """(L, F) of the piece from the bar on that the first new one is to be like."""

    def pieces(
        self, channel: PlanChannel, vocabulary: Vocabulary, where: SteeredBars, seeds: Sequence[int]
    ) -> list[SteeredPiece]:
        """The same for every seed: the piece's plans, and its tempos; bars behind its last one are free."""
        tempo = self.rows[self.rows[:, INSTRUMENT] == vocabulary.bar, TEMPO].astype(np.int64)[: where.bars]
        tempo = np.pad(tempo, (0, where.bars - len(tempo)), constant_values=ABSENT)
        plans = where.plans(channel.of_rows(self.rows, vocabulary))
        return [SteeredPiece(plans=plans, tempo=tempo)] * len(seeds)

    def wanted(self, vocabulary: Vocabulary, where: SteeredBars) -> Floats:
        """(T, A) attributes that each new bar should have, NaN where there are none."""
        own = bar_attributes(self.rows, vocabulary)[: where.bars]
        return np.concatenate([own, np.full((where.bars - len(own), len(ATTRIBUTES)), np.nan)])

    def inputs(self) -> dict[str, Any]:
        """For the recipe; the file's hash stands there with those of other files."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """What was asked, for the manifest."""
        return {"like": self.file}


@dataclass(frozen=True, kw_only=True, eq=False)
class AskedMusic:
    """New bars are to be as texts say."""

    course: TextCourse
    vectors: Floats32
    """(K, E) of the texts, by the bridge's encoder."""

    bridge: Bridge
    bridge_folder: Path
    strength: float

    @property
    def scale(self) -> AttributeScale:
        """From levels to attributes."""
        return self.bridge.about.scale

    def pieces(
        self, channel: PlanChannel, vocabulary: Vocabulary, where: SteeredBars, seeds: Sequence[int]
    ) -> list[SteeredPiece]:
        """Plans that the bridge makes, others for each seed. The tempo is what texts say of it, else what the plans do."""
        conditions = BarConditions(
            wants=self.course.wants.astype(np.float32),
            texts=self.vectors,
            text=self.course.text_of_bars,
            first_bar=where.first,
            piece_bars=where.piece_bars,
        )
        vectors = sample_plans(self.bridge.network, conditions, seeds, text_strength=_GUIDANCE * self.strength)
        return [
            SteeredPiece(
                plans=where.plans(of_seed), tempo=self._tempo(steady_tempo(channel.read_out(of_seed)[:, 0]), vocabulary)
            )
            for of_seed in vectors
        ]

    def _tempo(self, planned: Floats, vocabulary: Vocabulary) -> Ints:
        """(T,) indices of tempos, of log2 tempos (T,) that plans say."""
        said = self.scale.attributes(np.clip(self.strength * self.course.wants, -_MOST_LEVEL, _MOST_LEVEL))[:, 0]
        tempo = np.where(np.isfinite(said) & (self.strength > 0), said, planned)
        return nearest_tempo(np.exp2(np.clip(tempo, *np.log2(vocabulary.tempos)[[0, -1]])), vocabulary)

    def wanted(self, vocabulary: Vocabulary, where: SteeredBars) -> Floats:
        """(T, A) attributes that each new bar should have, NaN where nothing is said."""
        del vocabulary, where
        return self.scale.attributes(self.course.wants)

    def inputs(self) -> dict[str, Any]:
        """For the recipe: what turns texts into plans."""
        wants = np.round(np.nan_to_num(self.course.wants, nan=99.0), 4).tolist()
        return {
            "encoder": self.bridge.about.encoder.fingerprint,
            "wants": text_hash(str(wants)),
            **bridge_inputs(self.bridge_folder),
        }

    def to_json(self) -> dict[str, Any]:
        """What was asked, for the manifest."""
        texts = [{"bar": text.bar, "text": text.reading.text} for text in self.course.texts]
        return {"texts": texts, "understood": self.course.lines}


Steering = LikeMusic | AskedMusic


def like_music(name: str, rows: Rows, vocabulary: Vocabulary, *, from_bar: int = 0) -> LikeMusic:
    """A piece that new bars are to be like.

    Args:
        name: of its file.
        rows: (L, F) of the piece.
        vocabulary: of the rows.
        from_bar: the bar, from 0, that the first new one is to be like.

    Raises:
        MeloError: the piece ends before that bar.
    """
    opens = np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar)
    if from_bar >= len(opens):
        raise MeloError(
            f"{name} has {count(len(opens), 'bar')}, and the first bar to replace is {from_bar + 1}; give a longer piece",
            field="like",
        )
    return LikeMusic(file=name, rows=rows[opens[from_bar] :])


def asked_music(
    space: Workspace,
    texts: Sequence[str],
    where: SteeredBars,
    *,
    model_weights: str,
    encoder: str | None,
    strength: float,
) -> AskedMusic:
    """What texts ask for, and the bridge that makes plans of it.

    Args:
        space: the workspace, where a bridge is looked for first.
        texts: "calm" from the first new bar on, "17: storm" from the 17th on.
        where: the new bars.
        model_weights: hash of the music model's weights.
        encoder: makes the vectors of the texts; None for the default one.
        strength: how far from music of which nothing is said; 1 is usual.

    Raises:
        MeloError: a text is none, or nothing of it was understood; there is no bridge, or it is damaged, of another model or of
            another encoder.
    """
    most = MOST_STRENGTH / _GUIDANCE
    if not 0 <= strength <= most:
        raise MeloError(f"give 0 (ignores the text) to {most:g}", field="text_strength", given=strength)
    read_by = reader()
    course = course_of_texts(texts, where.bars, read_by)
    for text in course.texts:
        if not text.reading.says_something:
            raise MeloError(
                "nothing of it was understood; say how the music moves (fast, soft, high, dense, legato, leaping, major, many "
                "parts) or name a scene, such as 'a thunderstorm'",
                field="text",
                given=text.reading.text,
            )
    wanted = encoder or DEFAULT_ENCODER
    used = read_by.encoder if wanted == DEFAULT_ENCODER else load_encoder(wanted)
    folder = bridge_folder(space, model_weights, used.fingerprint)
    bridge = load_bridge(folder, model_weights=model_weights, encoder_fingerprint=used.fingerprint)
    return AskedMusic(
        course=course,
        vectors=course.vectors(used),
        bridge=bridge,
        bridge_folder=folder,
        strength=strength,
    )


def bridge_inputs(folder: Path) -> dict[str, Any]:
    """For recipes: the bridge of a folder, with its scale, and the numbers with which texts become plans and tempos."""
    return {
        "bridge": {name: file_hash(folder / name) for name in (WEIGHTS, DESCRIPTION)},
        "text_plans": {"guidance": _GUIDANCE, "steps": STEPS, "most_level": _MOST_LEVEL},
    }


def bridge_folder(space: Workspace, model_weights: str, encoder: str) -> Path:
    """The workspace's bridge if it is of this model and encoder, else the one that came with meloctl if that is; where neither
    is, the first there is, which is refused with its reason."""
    found = [space.latest("bridge").folder] if (space.root / "bridge" / LATEST).is_file() else []
    found += [beside] if (beside := bridge_beside()) else []
    if not found:
        raise MeloError(
            "there is no bridge from text to this model's music yet; make one: meloctl train-bridge", field="text"
        )
    for folder in found:
        about = BridgeJson.read(folder / DESCRIPTION)
        if (about.music_model.weights, about.encoder.fingerprint) == (model_weights, encoder):
            return folder
    return found[0]
