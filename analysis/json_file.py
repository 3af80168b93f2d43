"""The check for unknown keys of formats that are not yet specs (`analysis.json_spec`)."""

from typing import Any

from analysis.errors import MeloError
from analysis.json_spec import read_json as read_json


def refuse_unknown(data: dict[str, Any], known: set[str], where: str) -> None:
    """Raise MeloError when an object holds a key that its format does not have."""
    unknown = sorted(map(str, set(data) - known))
    if unknown:
        raise MeloError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
