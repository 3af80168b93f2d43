"""The playing page: it says what the piece holds to the second, sounds when it says so, and a hostile file stays text."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import note, signature, smf
from html_page import Page
from typer.testing import CliRunner

from analysis.errors import MeloError
from analysis.midi import parse_midi
from meloctl.cli.main import app
from meloctl.play import sound
from meloctl.play.original import originals_of
from meloctl.play.play_page import PlayedPiece, play_page
from meloctl.play.roll import piano_roll
from meloctl.workspace import Recipe, Workspace, file_hash

HOSTILE = '</script><script>alert("1")<!--&'
TEMPO_120, TEMPO_60 = b"\xff\x51\x03\x07\xa1\x20", b"\xff\x51\x03\x0f\x42\x40"


def track_name(text):
    return 0, b"\xff\x03" + bytes([len(text)]) + text.encode()


def small(name="lead"):
    """A bar of 4/4 at 120, then 3/4 at 60; 480 ticks a quarter. So bars start at 0, 2, 5 and end at 8 seconds.

    The second note of the lead begins a quarter before the change and ends a quarter after it.
    """
    conductor = [(0, TEMPO_120), signature(4, 2), (1920, TEMPO_60), signature(3, 2)]
    lead = [track_name(name), *note(60, 480), *note(64, 960, rest=960)]
    drums = [*note(75, 240, channel=9, velocity=100), *note(75, 240, rest=3360 - 240, channel=9, velocity=120)]
    return smf(conductor, lead, drums)


ROLL = {
    "bars": [0.0, 2.0, 5.0, 8.0],
    "seconds": 8.0,
    "sections": [{"bar": 0, "letter": "A"}],
    "parts": [
        {
            "name": "lead",
            "drums": False,
            "start": [0.0, 1.5],
            "end": [0.5, 3.0],
            "pitch": [60, 64],
            "velocity": [64, 64],
        },
        {
            "name": "drums",
            "drums": True,
            "start": [0.0, 5.0],
            "end": [0.25, 5.5],
            "pitch": [75, 75],
            "velocity": [100, 120],
        },
    ],
}


def run(*arguments):
    """stdout of a command in this process; a user's mistake comes out as MeloError."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def pieces_of(markup):
    (data,) = [s for s in Page(markup).all("script") if s.attributes.get("id") == "pieces"]
    return json.loads(data.text)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The folder, the workspace, and the JSON that `meloctl play --out` printed for the small piece."""
    root = tmp_path_factory.mktemp("play")
    (root / "small.mid").write_bytes(small())
    result = json.loads(run("play", root / "small.mid", "--work", root / "melo", "--out", root / "p.html", "--json"))
    return root, root / "melo", result


@pytest.fixture(scope="module")
def markup(played):
    return (played[0] / "p.html").read_text(encoding="utf-8")


# What it says


def test_the_roll_is_the_piece_to_the_second(markup):
    assert piano_roll(parse_midi(small())) == ROLL
    (piece,) = pieces_of(markup)
    assert {key: piece[key] for key in ROLL} == ROLL


def test_seconds_go_through_every_tempo():
    piece = parse_midi(small())
    assert piece.seconds_at([0, 480, 1920, 2400, 3360]).tolist() == [0.0, 0.5, 2.0, 3.0, 5.0]
    assert piece.seconds == 5.5


def test_facts_and_legend(markup):
    found = Page(markup)
    (facts,) = [p.text for p in found.all("p") if p.attributes.get("class") == "facts"]
    assert facts == "3 bars of 4/4, 3/4, 4 notes in 2 parts, 0:06, 60 to 120 quarter notes a minute"
    assert [b.text for b in found.all("button") if "data-part" in b.attributes] == ["lead", "drums"]
    assert not found.all("select")


def test_the_sound_is_in_time_with_the_roll(markup):
    """The claves are struck at 0 and, after the change of tempo, at 5 seconds, and the lead is silent from 3 on."""
    (piece,) = pieces_of(markup)
    head, encoded = piece["audio"].split(",")
    assert head == "data:audio/mpeg;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    loud = np.abs(samples).max(axis=1)
    assert loud.max() < 1
    assert len(samples) / rate == pytest.approx(piece["audio_seconds"], abs=0.01)
    struck = loud[round(4.5 * rate) :]
    assert 4.5 + np.argmax(struck > struck.max() / 4) / rate == pytest.approx(5.0, abs=0.02)


# What files say comes out as text


def test_hostile_names_are_text(tmp_path):
    name = "".join(c for c in HOSTILE if c != "/")
    (tmp_path / f"{name}.mid").write_bytes(small(HOSTILE))
    run("play", tmp_path / f"{name}.mid", "--work", tmp_path / "melo", "--out", tmp_path / "p.html")
    markup = (tmp_path / "p.html").read_text(encoding="utf-8")
    found = Page(markup)
    assert len(found.all("script")) == 2
    assert "alert" not in "".join(s.text for s in found.all("script") if "type" not in s.attributes)
    assert [b.text for b in found.all("button") if "data-part" in b.attributes] == [HOSTILE, "drums"]
    assert found.all("h1")[0].text == name
    assert pieces_of(markup)[0]["parts"][0]["name"] == HOSTILE
    assert HOSTILE not in markup
    assert 'alert("1")' not in markup


@pytest.fixture
def transcribed(tmp_path):
    """A run of `meloctl transcribe`: the small piece, made from a stereo recording of 8 seconds at 96 kHz with a click at 5."""
    samples = np.zeros((8 * 96_000, 2), np.float32)
    samples[5 * 96_000 : 5 * 96_000 + 4000] = 0.5
    soundfile.write(tmp_path / "song.flac", samples, 96_000, subtype="PCM_24")
    space = Workspace(tmp_path / "melo")
    recipe = Recipe(
        stage="transcription",
        command="transcribe",
        inputs={"recording": file_hash(tmp_path / "song.flac")},
        options={},
        label="song",
    )
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    (folder / "song.mid").write_bytes(small())
    space.finish(recipe, files=["song.mid"], results={"sound": str(tmp_path / "song.flac")})
    return folder


def test_a_transcription_is_played_beside_its_recording(transcribed, tmp_path, body):
    result = json.loads(run("play", transcribed, "--work", tmp_path / "melo", "--json"))
    markup = Path(result["path"]).read_text(encoding="utf-8")
    (piece,) = pieces_of(markup)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(piece["original"].split(",")[1])))
    assert rate == 48_000
    loud = np.abs(samples).max(axis=1)
    assert np.argmax(loud > 0.2) / rate == pytest.approx(5.0, abs=0.06)
    assert [b.text for b in Page(markup).all("button") if "data-sound" in b.attributes] == ["Recording", "MIDI"]
    body_tag, _ = body(Path(result["path"]), "t=3.5")
    assert "data-error" not in body_tag
    assert 'data-sound="original"' in body_tag
    assert number(body_tag, "time") == 3.5
    page = Path(result["path"]).with_name("pressed.html")
    markup = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", markup)
    press = "document.querySelector('[data-sound=audio]').click();"
    page.write_text(markup.replace("</body>", f"<script>{press}</script></body>"), encoding="utf-8")
    body_tag, _ = body(page, "t=3.5")
    assert 'data-sound="audio"' in body_tag
    assert number(body_tag, "time") == 3.5


def test_an_mp3_in_blocks_is_the_mp3_at_once(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 44_100)
    soundfile.write(tmp_path / "a.mp3", noise, 44_100)
    encoded = []
    for block in (4096, 1 << 20):
        monkeypatch.setattr(sound, "_BLOCK", block)
        encoded.append(sound.recording_data_uri(tmp_path / "a.mp3"))
    samples = [soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])))[0] for uri, _ in encoded]
    np.testing.assert_allclose(samples[0], samples[1], atol=1e-6)


def test_a_recording_that_is_gone_or_another_is_left_out(transcribed, tmp_path):
    (tmp_path / "song.flac").write_bytes(b"other")
    done = CliRunner().invoke(app, ["play", str(transcribed), "--work", str(tmp_path / "melo"), "--json"])
    assert (
        "song.flac: not the recording that song.mid was transcribed from; the page plays the MIDI alone" in done.stderr
    )
    (piece,) = pieces_of(Path(json.loads(done.stdout)["path"]).read_text(encoding="utf-8"))
    assert piece["original"] is None
    (transcribed / "song.mid").write_bytes(small("changed"))
    assert originals_of([transcribed / "song.mid"]) == ({}, [])


def test_long_and_missing_names():
    bass = [(0, b"\xc1\x21"), *note(40, 480, channel=1)]
    piece = parse_midi(smf([track_name("x" * 100), *note(60, 480)], bass, bass))
    assert [part["name"] for part in piano_roll(piece)["parts"]] == ["x" * 39 + "…", "fingered bass", "fingered bass 2"]


def test_the_page_needs_no_network(markup):
    bare = re.sub(r"data:audio/mpeg;base64,[A-Za-z0-9+/=]*", "data:", markup)
    assert len(bare) < len(markup)
    assert not re.search(r"https?:|[\"'(=]\s*//\w", bare)
    assert "url(" not in bare
    assert "@import" not in bare
    (policy,) = [m.attributes["content"] for m in Page(markup).all("meta") if "http-equiv" in m.attributes]
    assert "default-src 'none'" in policy
    assert "media-src data:" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]* (style|on\w+)=", bare)


# The workspace and the arguments


def test_nothing_is_redone(played):
    root, work, result = played
    assert result["path"] == str(root / "p.html")
    assert result["pieces"] == [
        {
            "file": "small.mid",
            "bars": 3,
            "parts": 2,
            "instruments": ["lead", "drums"],
            "notes": 4,
            "seconds": 5.5,
        }
    ]
    again = run("play", root / "small.mid", "--work", work)
    assert again.startswith("3 bars, 4 notes in 2 parts (lead, drums), 0:06\nUnchanged since ")
    (kept,) = (work / "play").glob("*/play.html")
    assert kept.read_bytes() == (root / "p.html").read_bytes()
    assert f"Open it in a browser: {kept.resolve().as_uri()}" in again


def test_the_latest_run_with_several_pieces(tmp_path):
    space = Workspace(tmp_path / "melo")
    recipe = Recipe(stage="out", command="generate", inputs={}, options={}, label="tiny")
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    names = ["piece-9.mid", "piece-10.mid"]
    for name in names:
        (folder / name).write_bytes(small(name))
    space.finish(recipe, files=names, results={})
    result = json.loads(run("play", "--work", space.root, "--json"))
    assert [piece["file"] for piece in result["pieces"]] == names
    markup = Path(result["path"]).read_text(encoding="utf-8")
    assert [option.text for option in Page(markup).all("option")] == names
    assert [piece["parts"][0]["name"] for piece in pieces_of(markup)] == names
    for kind, name in (("p", "facts"), ("div", "legend")):
        elements = [e for e in Page(markup).all(kind) if e.attributes.get("class") == name]
        assert ["hidden" in e.attributes for e in elements] == [False, True]
    named = json.loads(run("play", folder, "--work", space.root, "--json"))
    assert named == result


def test_mistakes_say_what_to_do(tmp_path):
    work = tmp_path / "melo"
    (tmp_path / "text.mid").write_text("no music")
    minutes = [*note(60, 480), *note(60, 480, rest=30 * 60 * 960)]
    (tmp_path / "long.mid").write_bytes(smf(minutes))
    (tmp_path / "empty").mkdir()
    (tmp_path / "many").mkdir()
    for i in range(2):
        (tmp_path / "many" / f"{i}.mid").write_bytes(smf([*note(60, 480), *note(60, 480, rest=20 * 60 * 960)]))
    for arguments, message in (
        ([], "run first: meloctl generate"),
        ([tmp_path / "none.mid"], "no such file; give a MIDI file or a folder"),
        ([tmp_path / "text.mid"], "text.mid: not a MIDI file"),
        ([tmp_path / "empty"], "no MIDI file in it; give"),
        ([tmp_path / "long.mid"], "30 minutes of music; a page holds 30: cut the file"),
        ([tmp_path / "many"], r"more than 30 minutes of music in 2 files.*meloctl play .*0\.mid"),
        ([tmp_path / "long.mid", "--out", tmp_path / "p.txt"], "give one that ends in .html"),
    ):
        with pytest.raises(MeloError, match=message):
            run("play", *arguments, "--work", work)
    assert not work.exists()


# In a browser


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A function from a page and what follows # in its address to the attributes that its script leaves on the body."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    profile = tmp_path_factory.mktemp("chromium")

    def attributes(path, address):
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--window-size=1280,900", "--virtual-time-budget=3000", "--dump-dom", f"{path.as_uri()}#{address}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
        return re.search(r"<body([^>]*)>", done.stdout).group(1), done.stdout

    return attributes


def number(attributes, name):
    return float(re.search(rf'data-{name}="([^"]*)"', attributes).group(1))


@pytest.mark.parametrize(("seconds", "bar"), [(0, 1), (1.9, 1), (3.5, 2), (5, 3)])
def test_the_cursor_stands_where_the_address_says(played, body, seconds, bar):
    body_tag, dom = body(played[0] / "p.html", f"t={seconds}")
    assert "data-error" not in body_tag
    assert (number(body_tag, "drawn"), number(body_tag, "time"), number(body_tag, "bar")) == (4, seconds, bar)
    left = number(body_tag, "cursor") - seconds * number(body_tag, "scale")
    assert left == pytest.approx(44)
    assert f"0:0{int(seconds)} / 0:08 · bar {bar} of 3" in dom


def test_twenty_thousand_notes_are_drawn(tmp_path, body):
    """200 bars of 100 notes; at 96 pixels a bar about 13 bars are in view."""
    piece = parse_midi(smf([e for i in range(20_000) for e in note(40 + i % 40, 19)], division=480))
    assert len(piece.notes) == 20_000
    shown = PlayedPiece(name="many.mid", piece=piece, roll=piano_roll(piece), audio="data:,", audio_seconds=0.0)
    (tmp_path / "many.html").write_text(play_page("many", [shown]), encoding="utf-8")
    body_tag, _ = body(tmp_path / "many.html", "t=0")
    assert "data-error" not in body_tag
    bars_in_view = (1280 - 2 * 38.4 - 44) / 96
    assert 0.8 * bars_in_view < number(body_tag, "drawn") / (1920 / 19) < 1.2 * bars_in_view


def test_a_second_piece_is_chosen_by_the_address(tmp_path, body):
    piece = parse_midi(smf([*note(60, 480), *note(62, 480), *note(64, 480)]))
    shown = [
        PlayedPiece(name=f"{i}.mid", piece=p, roll=piano_roll(p), audio="data:,", audio_seconds=0.0)
        for i, p in enumerate((parse_midi(small()), piece))
    ]
    (tmp_path / "two.html").write_text(play_page("two", shown), encoding="utf-8")
    body_tag, dom = body(tmp_path / "two.html", "piece=2&t=0.75")
    assert "data-error" not in body_tag
    assert (number(body_tag, "drawn"), number(body_tag, "bar")) == (3, 1)
    assert "bar 1 of 1" in dom


@pytest.fixture
def with_sections(tmp_path):
    """A page of 32 bars of 2 seconds in the form A A B A, without sound."""
    random = np.random.default_rng(0)
    a, b = ([[int(p) for p in random.integers(40, 80, 8)] for _ in range(8)] for _ in range(2))
    pitches = [p for bar in a + a + b + a for p in bar]
    piece = parse_midi(smf([(0, TEMPO_120), *(event for p in pitches for event in note(p, 240))]))
    shown = PlayedPiece(name="form.mid", piece=piece, roll=piano_roll(piece), audio="data:,", audio_seconds=0.0)
    path = tmp_path / "form.html"
    path.write_text(play_page("form", [shown]), encoding="utf-8")
    return path


def test_sections_stand_in_the_facts(with_sections):
    found = Page(with_sections.read_text(encoding="utf-8")).all("p")
    (facts,) = [p.text for p in found if p.attributes.get("class") == "facts"]
    assert facts.endswith(". Sections: A from bar 1, A from bar 9, B from bar 17, A from bar 25")


def test_sections_are_drawn_above_the_bars(with_sections, body):
    body_tag, dom = body(with_sections, "t=33")
    assert "data-error" not in body_tag
    assert number(body_tag, "sections") == 3  # 12 bars are in view, from bar 16 on: the ends of two and all of B
    assert "0:33 / 1:04 · bar 17 of 32 · B" in dom


@pytest.mark.parametrize(("y", "bar"), [(8, 9), (90, 11)])
def test_a_click_on_a_section_goes_to_its_beginning(with_sections, body, y, bar):
    """A click above bar 11, in the band of sections and in the roll."""
    markup = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", with_sections.read_text(encoding="utf-8"))
    place = f"{{ bubbles: true, clientX: corner.left + 44 + 10.5 * 2 * scale, clientY: corner.top + {y} }}"
    click = f"const corner = paper.getBoundingClientRect(); view.dispatchEvent(new MouseEvent('click', {place}));"
    with_sections.write_text(markup.replace("</body>", f"<script>{click}</script></body>"), encoding="utf-8")
    body_tag, _ = body(with_sections, "")
    assert "data-error" not in body_tag
    assert number(body_tag, "bar") == bar
