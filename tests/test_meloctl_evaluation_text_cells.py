"""Cells of `evaluate --text` with a music model that does what plans say, and words that say plainly what they ask for."""

import numpy as np
import pytest

from analysis.errors import MeloError
from meloctl.evaluation.plan_rivals import PlannedCorpus
from meloctl.evaluation.text_cases import CourseCase, SceneCase, TextCases, TextPair
from meloctl.evaluation.text_cells import CellMaker, PlannedBars, TextCell, cells_of, load_cell, measure_cells
from meloctl.evaluation.text_evaluation_json import TextResults
from meloctl.evaluation.text_evaluation_tables import text_evaluation_lines, text_evaluation_page
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.codec import nearest_tempo
from meloctl.rows.vocabulary import (
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    default_vocabulary,
)

V = default_vocabulary()
BARS, PIECES = 6, 4
TEMPO_A, REGISTER_A, LOUDNESS_A = (ATTRIBUTES.index(name) for name in ("tempo", "register", "loudness"))
SCALE = AttributeScale(mean=(7.0, 0.0, 0.0, 0.6, 0.0, 2.0, 0.0, 0.0), deviation=(0.5, 1, 0.5, 0.1, 1, 1, 1, 1))

CASES = TextCases(
    pairs=tuple(
        TextPair(attribute=attribute, language="en", high=f"{attribute} up", low=f"{attribute} down")
        for attribute in ("tempo", "register", "loudness", "leaps")
    ),
    scenes=(SceneCase(language="zh", text="tempo up register down", high=("tempo",), low=("register",)),),
    courses=(
        CourseCase(attribute="loudness", language="en", texts=("loudness down", "loudness up"), rises=True),
        CourseCase(attribute="register", language="en", texts=("register up", "register down"), rises=False),
    ),
)


class PlainMusic:
    """Plan number a is the level of attribute a; of these the tempo, the register and the loudness are played."""

    plan_width = len(ATTRIBUTES)

    def __init__(self, deaf=False):
        self.deaf, self.asked = deaf, []

    def of_texts(self, texts, bars, seeds, *, unseen):
        if unseen:  # it knows no word
            return [PlannedBars(plans=np.zeros((bars, self.plan_width)))] * len(texts)
        self.asked += texts
        plans = np.zeros((len(texts), bars, self.plan_width))
        for plan, some in zip(plans, texts, strict=True):
            for half, text in zip(np.array_split(plan, len(some)), some, strict=True):
                words = text.split()
                for attribute, side in zip(words[::2], words[1::2], strict=True):
                    half[:, ATTRIBUTES.index(attribute)] = float(side) if side not in ("up", "down") else 0
                    if side in ("up", "down"):
                        half[:, ATTRIBUTES.index(attribute)] = 1 if side == "up" else -1
        return [PlannedBars(plans=plan) for plan in plans]

    def of_wants(self, wants, bars, seeds):
        return [PlannedBars(plans=np.tile(levels, (bars, 1))) for levels in np.nan_to_num(wants)]

    def caption(self, wants, random):
        said = [(name, level) for name, level in zip(ATTRIBUTES, wants, strict=True) if np.isfinite(level)]
        return " ".join(f"{name} {level:.3f}" for name, level in said), wants

    def write(self, steered, bars, seeds):
        plans = [one and one.plans for one in steered]
        return [self._piece(plan, bars, seed) for plan, seed in zip(plans, seeds, strict=True)]

    def _piece(self, plan, bars, seed):
        random = np.random.default_rng(seed)
        levels = np.zeros((bars, self.plan_width)) if plan is None or self.deaf else plan.copy()
        levels = levels + random.normal(0, 0.2, (1, self.plan_width))
        attributes = SCALE.attributes(levels)
        rows = []
        for tempo, pitch, loud in attributes[:, [TEMPO_A, REGISTER_A, LOUDNESS_A]]:
            header, note = np.full((2, len(FIELDS)), -1)
            header[INSTRUMENT], header[TIME_SIGNATURE] = V.bar, V.time_signatures.index("4/4")
            header[TEMPO] = nearest_tempo(np.array([2**tempo]), V)[0]
            note[[INSTRUMENT, INSTANCE, POSITION, DURATION]] = V.instrument_of(0, False), 0, 0, 5
            note[PITCH] = round(60 + 12 * pitch)
            note[VELOCITY] = np.abs(np.array(V.velocities) - 127 * loud).argmin()
            rows += [header, note]
        end = np.full(len(FIELDS), -1)
        end[INSTRUMENT] = V.end
        return np.array([*rows, end], dtype=np.int16)


def corpus():
    levels = np.random.default_rng(0).normal(size=(240, len(ATTRIBUTES)))
    levels = np.repeat(levels[::BARS], BARS, axis=0)
    return PlannedCorpus(plans=np.clip(levels, -1, 1), levels=levels, first=np.arange(0, 241, BARS))


def evaluated(folder, music, *, with_corpus=True):
    maker = CellMaker(
        music=music, vocabulary=V, corpus=corpus() if with_corpus else None, pieces=PIECES, bars=BARS, seed=3
    )
    cells = measure_cells(maker, cells_of(CASES, rivals=with_corpus), folder, lambda: None)
    real = corpus().plans.reshape(-1, BARS, 8) if with_corpus else None
    return {
        **TextResults(CASES, cells, SCALE, seed=0).to_json(real),
        "pieces": PIECES,
        "bars": BARS,
        "seed": 3,
        "model": "plain",
        "weights_before": "a" * 64,
        "weights_after": "a" * 64,
        "understood": {"tempo up": ["understood: fast", "understood: nothing"]},
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("cells"), PlainMusic())


def test_music_that_does_what_is_asked(found):
    tempo, register, loudness, leaps = found["pairs"]
    for pair in (tempo, register, loudness):
        assert pair["effect"]["value"] > 4
        assert pair["clear"]
        assert pair["unseen"]["value"] == 0  # the same seeds under the same plans
        assert not pair["unseen_clear"]
        assert abs(pair["nulls"]["none"]["value"]) < 3
        assert pair["nulls"]["zero"] == pair["nulls"]["none"]  # a plan of zeros is no plan to it
        assert abs(pair["nulls"]["other"]["value"]) < 1e-9
        assert all(pair["rivals"][name]["value"] > 1 for name in ("difference", "linear", "wants"))
    assert leaps["effect"] == {"value": None, "interval": [None, None]}  # one note a bar has none
    assert not leaps["clear"]
    assert found["summary"]["pairs"] == 4
    assert found["summary"]["clear"] == 3


def test_scenes_and_courses_of_it(found):
    assert [(side["attribute"], side["right"]) for side in found["scenes"][0]["attributes"]] == [
        ("tempo", True),
        ("register", True),
    ]
    assert found["scenes"][0]["attributes"][1]["moved"]["value"] == pytest.approx(-1, abs=0.3)
    assert all(course["followed"]["value"] > 0.95 and course["clear"] for course in found["courses"])
    assert found["courses"][0]["nulls"]["none"]["value"] == 0  # it does not vary


def test_random_wants_of_it(found):
    for entry in found["correlations"]:
        if entry["attribute"] == "density":
            assert abs(entry["captions"]["value"] or 0) < 0.7  # a note a bar whatever is asked
        else:
            assert entry["captions"]["value"] > 0.9
            assert entry["random"]["value"] > 0.9
            assert abs(entry["captions_other"]["value"]) < 0.7
    assert found["tempo"]["captions"]["near"]["value"] > 0.9
    assert found["plans"]["random"]["variance"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["plans"]["real"]["variance"]["value"] == pytest.approx(0, abs=1e-9)  # its pieces stay as they begin
    assert found["plans"]["text"]["variance"]["value"] > 0.01  # courses move


def test_deaf_music_is_found_out(tmp_path):
    deaf = evaluated(tmp_path, PlainMusic(deaf=True), with_corpus=False)
    assert deaf["summary"]["clear"] == 0
    assert deaf["pairs"][0]["effect"]["value"] == 0  # the same seeds
    assert deaf["pairs"][0]["rivals"]["nearest"]["value"] is None
    assert not any(course["clear"] for course in deaf["courses"])


def test_finished_cells_are_not_made_again(tmp_path):
    first = PlainMusic()
    evaluated(tmp_path, first)
    assert first.asked
    again, files = PlainMusic(), sorted(tmp_path.rglob("*.npz"))
    evaluated(tmp_path, again)
    assert not again.asked
    files[0].unlink()
    evaluated(tmp_path, again)
    assert sorted(tmp_path.rglob("*.npz")) == files


def test_a_damaged_cell_is_named(tmp_path):
    path = tmp_path / "cell.npz"
    path.write_bytes(b"PK\x03\x04 and then nothing of use")
    with pytest.raises(MeloError, match=r"cell\.npz: a damaged cell"):
        load_cell(path)


def test_each_cell_has_files_of_its_own():
    cells = cells_of(CASES, rivals=True)
    assert len({cell.name for cell in cells}) == len(cells)
    assert TextCell(condition="none").size(20) == 40


def test_it_is_shown_in_words(found):
    lines = text_evaluation_lines(found)
    assert any("3 of 4 pairs move the wanted way" in line for line in lines)
    assert any("tempo, en" in line and "yes" in line for line in lines)
    assert lines[-1] == "  tempo up: understood: fast. Where its words are new, understood: nothing"
    page = text_evaluation_page(found)
    assert page.count("<table") == 6
    assert "difference in means" in page
