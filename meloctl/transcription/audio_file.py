"""Sound out of a file, block by block: one channel at the transcriber's sample rate, whatever the file holds and however long."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import soxr

from analysis.errors import MeloError
from meloctl.transcription.constant_q import SAMPLE_RATE
from meloctl.transcription.notes import Singles
from meloctl.transcription.sequential_sound import SequentialSound

FORMATS = "WAV, FLAC, OGG, MP3 or AIFF"

MOST_CHANNELS = 64
LOWEST_RATE, HIGHEST_RATE = 2_000, 768_000
MOST_HOURS = 24

_BLOCK_SAMPLES = 1 << 18
"""Numbers that are read at a time, over all channels."""


class AudioFile:
    """An open file of sound. `blocks()` may be called once.

    Args:
        path: a regular file of a format that libsndfile reads.

    Raises:
        MeloError: it is none, is damaged, holds no sound, or is out of the limits of this module.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            raise MeloError(f"{path}: there is no such file")
        if not path.is_file():
            raise MeloError(f"{path}: give a file of sound ({FORMATS})")
        try:
            self._file = SequentialSound(path)
        except PermissionError:
            raise MeloError(f"{path}: may not be read; change its permissions") from None
        except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError):
            raise MeloError(f"{path}: cannot be read as sound; give {FORMATS}") from None
        if not LOWEST_RATE <= self._file.samplerate <= HIGHEST_RATE or not 1 <= self._file.channels <= MOST_CHANNELS:
            rate, channels = self._file.samplerate, self._file.channels
            self._file.close()
            raise MeloError(
                f"{path}: holds {channels} channels of {rate:,} samples a second; "
                f"give 1 to {MOST_CHANNELS} of {LOWEST_RATE:,} to {HIGHEST_RATE:,}"
            )
        self.stated_s = max(self._file.frames, 0) / self._file.samplerate
        """Seconds of sound by the file's header, which may be wrong."""

        self.read_s = 0.0
        """Seconds of sound that were read."""

        self.peak = 0.0
        """The largest sample that was read, in any channel; full scale is 1."""

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def missing_s(self) -> float:
        """Seconds that the header states and the file lacks, once all was read."""
        return max(self.stated_s - self.read_s, 0.0)

    def blocks(self) -> Iterator[Singles]:
        """Blocks (n,) of the mean of all channels at `SAMPLE_RATE`, full scale 1.

        Raises:
            MeloError: a sample is no number, the file is longer than `MOST_HOURS`, or nothing could be read of it.
        """
        rate = self._file.samplerate
        resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        for mono in self._read(max(_BLOCK_SAMPLES // self._file.channels, 1)):
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def _read(self, frames: int) -> Iterator[Singles]:
        done, rate = 0, self._file.samplerate
        while True:
            block: Any
            try:
                block = self._file.read(frames, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
                if not done:
                    raise MeloError(f"{self.path}: no sound could be read of it ({_reason(error)})") from None
                return
            if not len(block):
                break
            peak = float(np.abs(block).max())
            if not np.isfinite(peak):
                raise MeloError(
                    f"{self.path}: holds samples that are no numbers near {done / rate:.1f} s; write it anew"
                )
            done += len(block)
            self.peak, self.read_s = max(self.peak, peak), done / rate
            if self.read_s > MOST_HOURS * 3600:
                raise MeloError(f"{self.path}: lasts more than {MOST_HOURS} hours; cut it")
            yield block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
        if not done:
            raise MeloError(f"{self.path}: holds no sound: 0 samples")


def _reason(error: Exception) -> str:
    """What libsndfile says, without its "Error : "."""
    return str(getattr(error, "error_string", error)).rstrip(".").lower()
