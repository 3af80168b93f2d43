"""The page that shows and plays pieces: one HTML file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.piece import Piece
from meloctl.formatting import clock, count
from meloctl.html.document import document, resource
from meloctl.html.markup import Html, tag
from meloctl.play.asked import AskedPiece
from meloctl.play.asked_section import asked_section

COLOURS = 12
"""Colours of parts in player.css; the 13th part has the first one again."""


@dataclass(frozen=True, kw_only=True)
class PlayedPiece:
    """A piece with its piano roll and its sound."""

    name: str
    """Name of its file."""

    piece: Piece
    roll: dict[str, Any]
    """JSON values, see `meloctl.play.roll.piano_roll`."""

    audio: str
    """Its sound as a data URI."""

    audio_seconds: float
    original: str | None = None
    """The recording that it was transcribed from, as a data URI."""

    asked: AskedPiece | None = None
    """What was asked of its new bars, if anything was."""


def play_page(title: str, pieces: Sequence[PlayedPiece]) -> str:
    """The whole document; where there are several pieces, one chooses from a list."""
    data = [
        {**p.roll, "audio": p.audio, "audio_seconds": round(p.audio_seconds, 3), "original": p.original} for p in pieces
    ]
    return document(
        f"{title}: piano roll",
        tag("header", tag("p", "meloctl play", class_="kicker"), tag("h1", title), _choice(pieces)),
        tag("noscript", tag("p", "The piano roll and the sound need JavaScript, which is switched off here.")),
        tag(
            "main",
            *(_facts(i, p) for i, p in enumerate(pieces)),
            _player(pieces),
            *(asked_section(i, p.asked) for i, p in enumerate(pieces) if p.asked is not None),
        ),
        style=resource("meloctl.play", "player.css"),
        script=resource("meloctl.play", "player.js"),
        data={"pieces": data},
        allow=("media-src data:",),
    )


def _choice(pieces: Sequence[PlayedPiece]) -> Html | None:
    if len(pieces) == 1:
        return None
    options = [tag("option", p.name, value=str(i)) for i, p in enumerate(pieces)]
    return tag("label", "Piece ", tag("select", *options, id="choice", autocomplete="off"))


def _facts(index: int, piece: PlayedPiece) -> Html:
    text = piece_in_words(piece.piece) + sections_in_words(piece.roll["sections"])
    return tag("p", text, class_="facts", data_piece=str(index), hidden=index > 0)


def _legend(index: int, piece: PlayedPiece) -> Html:
    """A button for each part of a piece, which shows and hides it."""
    buttons = [
        tag(
            "button",
            tag("span", "", class_=f"swatch part-{i % COLOURS}"),
            part["name"],
            type="button",
            aria_pressed="true",
            data_part=str(i),
        )
        for i, part in enumerate(piece.roll["parts"])
    ]
    return tag(
        "div",
        *buttons,
        class_="legend",
        role="group",
        aria_label="Parts, shown or hidden",
        data_piece=str(index),
        hidden=index > 0,
    )


def _player(pieces: Sequence[PlayedPiece]) -> Html:
    controls = tag(
        "div",
        tag("button", "Play", type="button", id="play"),
        _sounds() if any(p.original for p in pieces) else None,
        tag("output", "", id="clock"),
        tag("span", tag("button", "−", **_named("narrower", "Narrower bars")), _WIDER, class_="zoom"),
        class_="controls",
    )
    view = tag(
        "div",
        tag("div", tag("canvas", ""), tag("div", "", id="cursor"), id="paper"),
        id="view",
        tabindex="0",
        role="region",
        aria_label="Piano roll: time from left to right, pitch from bottom to top, drums below",
    )
    seek = tag("input", type="range", id="seek", min="0", step="any", value="0", aria_label="Time in seconds")
    legends = [_legend(i, p) for i, p in enumerate(pieces)]
    help_text = "Space plays and pauses, ← and → go a bar back and on; click the roll or a section to go there."
    if any(p.original for p in pieces):
        help_text += " S changes between the recording and the MIDI."
    keys = tag("p", help_text, class_="keys")
    hint = tag("p", "A part's button hides it in the roll; it still sounds.", class_="hint")
    trouble = tag("p", "This browser cannot play the sound.", id="trouble", role="alert", hidden=True)
    return tag(
        "section", controls, trouble, view, seek, *legends, keys, hint, tag("audio", "", preload="auto"), id="player"
    )


def _sounds() -> Html:
    """Two buttons that choose what sounds; the recording first."""
    return tag(
        "span",
        tag("button", "Recording", type="button", data_sound="original", aria_pressed="true"),
        tag("button", "MIDI", type="button", data_sound="audio", aria_pressed="false"),
        class_="sounds",
        id="sounds",
        role="group",
        aria_label="What sounds",
    )


def _named(name: str, label: str) -> dict[str, str]:
    return {"type": "button", "id": name, "aria_label": label, "title": label}


_WIDER = tag("button", "+", **_named("wider", "Wider bars"))


def piece_in_words(piece: Piece) -> str:
    """A piece in a sentence: "32 bars of 4/4, 563 notes in 4 parts, 1:33, 96 quarter notes a minute"."""
    bars, notes, parts = (
        count(piece.n_bars, "bar"),
        count(len(piece.notes), "note"),
        count(len(piece.parts), "part"),
    )
    last = int(piece.notes.onset_tick.max())
    tempos = piece.tempo[piece.tempo_tick <= last]
    slow, fast = round(float(tempos.min())), round(float(tempos.max()))
    tempo = f"{slow}" if slow == fast else f"{slow} to {fast}"
    return (
        f"{bars} of {_meters(piece, last)}, {notes} in {parts}, {clock(piece.seconds)}, {tempo} quarter notes a minute"
    )


def sections_in_words(sections: list[dict[str, Any]]) -> str:
    """The form of a piece: ". Sections: A from bar 1, B from bar 9"; nothing where there is only one."""
    if len(sections) == 1:
        return ""
    return ". Sections: " + ", ".join(f"{s['letter']} from bar {s['bar'] + 1}" for s in sections)


def _meters(piece: Piece, last: int) -> str:
    """The time signatures up to tick `last`, three at most, in order of appearance."""
    bars = piece.bars
    pairs = zip(bars.numerator.tolist(), bars.denominator.tolist(), bars.signature_tick.tolist(), strict=True)
    found = list(dict.fromkeys(f"{n}/{d}" for n, d, tick in pairs if tick <= last))
    return ", ".join(found[:3]) + (" and more" if len(found) > 3 else "")
