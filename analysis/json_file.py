"""JSON that anyone may have written: read without harm, unknown keys refused."""

import json
from pathlib import Path
from typing import Any

from analysis.errors import MeloError


def read_json(path: Path, *, what: str, most_bytes: int = 64 << 20) -> object:
    """Parsed JSON of a file; `what` names its kind in errors. Raises MeloError when it is missing, huge or not JSON."""
    try:
        if path.stat().st_size > most_bytes:
            raise MeloError(f"{path}: larger than a {what} can be ({most_bytes >> 20} MiB)")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeloError(f"{path}: cannot read this {what}: {(error.strerror or 'unknown reason').lower()}") from error
    except (ValueError, RecursionError) as error:
        raise MeloError(
            f"{path}: damaged, it is not JSON ({str(error)[:80]}); give a {what} as meloctl writes it"
        ) from error


def refuse_unknown(data: dict[str, Any], known: set[str], where: str) -> None:
    """Raise MeloError when an object holds a key that its format does not have."""
    unknown = sorted(map(str, set(data) - known))
    if unknown:
        raise MeloError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
