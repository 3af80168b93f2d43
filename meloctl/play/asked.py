"""What was asked of the new bars of pieces that `meloctl generate --like` or `--text` wrote, from the manifest of their run.

Shape letters: T new bars, A attributes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.workspace import MANIFEST, manifest_beside

_Bar = Annotated[tuple[float | None, ...], Meta(min_length=len(ATTRIBUTES), max_length=len(ATTRIBUTES))]


class AskedText(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text, and the new bar from which on it holds."""

    bar: Annotated[int, Meta(ge=1)]
    text: str


class AskedBars(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What new bars should be like."""

    noun: ClassVar[str] = "record of what was asked"

    first_bar: Annotated[int, Meta(ge=1)]
    """The first new bar, as rows count them from 1."""

    wanted: tuple[_Bar, ...]
    """(T, A) attributes; None where nothing is said."""

    like: str | None = None
    """Name of the file that the bars should be like."""

    texts: tuple[AskedText, ...] = ()
    understood: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AskedPiece:
    """What was asked of a piece, and what it came to."""

    asked: AskedBars
    measured: tuple[_Bar, ...]
    """(T, A) of the new bars."""


def asked_of(files: Iterable[Path]) -> dict[Path, AskedPiece]:
    """What was asked of each of some MIDI files that lie as `meloctl generate` wrote them, in the folder of their run.

    Files that lie elsewhere, were changed, or of which nothing was asked are left out.
    """
    found = {}
    for path in files:
        manifest = manifest_beside(path, command="generate")
        if manifest is None or "asked" not in manifest.results:
            continue
        pieces = [p for p in manifest.results.get("pieces", []) if isinstance(p, dict) and p.get("file") == path.name]
        where = str(path.with_name(MANIFEST))
        asked = AskedBars.from_json(manifest.results["asked"], where=where)
        measured = _Measured.from_json({"attributes": pieces[0].get("attributes") if pieces else None}, where=where)
        found[path] = AskedPiece(asked=asked, measured=measured.attributes)
    return found


class _Measured(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attributes: tuple[_Bar, ...]


def asked_values(asked: dict[Path, AskedPiece]) -> dict[str, Any]:
    """What was asked as JSON values, for a recipe: {file name: …}."""
    return {path.name: [piece.asked.to_json(), piece.measured] for path, piece in asked.items()}
