"""The sound of generated pieces, rendered in threads beside what else there is to do."""

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from analysis.cores import usable_cores
from analysis.errors import MeloError
from meloctl.score.render import TooLongForSoundError, write_sound


@contextmanager
def sounds_beside(midis: Sequence[Path], *, ending: str, soundfont: Path | None) -> Iterator[list[Future[str]]]:
    """Render MIDI files into sound files beside them while the block runs; the synthesizer leaves Python's lock to others.

    Where the block raises, what is being rendered ends with its minute, and nothing more is begun.

    Args:
        midis: as many are rendered at a time as there are cores; on more cores than files, minutes of one are too.
        ending: wav or flac.
        soundfont: None: there are no sounds.

    Yields:
        For each file what to say where it is too long for a sound, else nothing; or the MeloError that there is none.
    """
    cores, stopped = usable_cores(), Event()
    threads = max(cores // max(len(midis), 1), 1)

    def go_on() -> None:
        if stopped.is_set():
            raise CancelledError

    def lacking(midi: Path, font: Path) -> str:
        try:
            write_sound(midi, midi.with_suffix(f".{ending}"), soundfont=font, threads=threads, on_minute=go_on)
        except TooLongForSoundError as error:
            return f"No sound is written: {str(error).removeprefix(f'{midi}: ')}"
        except MeloError as error:
            raise MeloError(f"{error}; the music is written, without sound: {midi}") from error
        return ""

    pool = ThreadPoolExecutor(cores)
    try:
        yield [pool.submit(lacking, midi, soundfont) for midi in midis if soundfont]
    except BaseException:
        stopped.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
