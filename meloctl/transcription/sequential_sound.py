"""Files of sound that are read from their beginning to their end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile


class SequentialSound(soundfile.SoundFile):
    """A file of sound, opened for reading; what is wrong with it is raised, not printed.

    soundfile 0.14.0 seeks after each block to where it is; libsndfile then loses what follows in an MP3, of which blocks of 4,096
    frames keep 6 dB of signal over noise. What cannot seek is read in blocks as it is read at once.
    """

    def __init__(self, path: Path) -> None:
        with _no_output():
            super().__init__(path)

    def seekable(self) -> bool:
        """Never."""
        return False


@contextmanager
def _no_output() -> Iterator[None]:
    """Drop what C libraries write to stderr: mpg123 warns there of an MP3 that was cut short."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
