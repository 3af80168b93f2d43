"""One system of transcription in a process of its own, one thread: it reads requests, a line of JSON each, and writes answers.

    PYTHON transcribe_worker.py SYSTEM [FOLDER]

A request is {"audio": path, "parts": K or null, "midi": path or null}; the answer {"notes": [[onset s, offset s, pitch, part],
…], "cpu_s": seconds of CPU time, "peak_mib": the largest resident memory of the process so far}. The first line written is
{"identity": what was run}. PYTHON is an interpreter that has the system's packages: basic-pitch lives in an environment of its
own.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

Notes = list[tuple[float, float, int, int]]
Transcribe = Callable[[str, int | None, str | None], Notes]


def meloctl(model: str) -> tuple[str, Transcribe]:
    """Ours, with the weights in the folder `model`, or with those that come with it; a request with "midi" runs the command."""
    import hashlib

    from meloctl import __version__, transcription
    from meloctl.cli.main import app
    from meloctl.transcription.engine import transcribe_audio, weights_file
    from meloctl.transcription.options import TranscribeOptions

    folder = Path(model) if model else None
    sources = sorted(Path(transcription.__file__).parent.rglob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    weights = hashlib.sha256(weights_file(folder).read_bytes()).hexdigest()[:8]

    def transcribe(audio: str, parts: int | None, midi: str | None) -> Notes:
        if midi:
            chosen = [*(["--parts", str(parts)] if parts else []), *(["--model", model] if model else [])]
            with tempfile.TemporaryDirectory() as work:
                out = str(Path(work) / Path(midi).name)  # an earlier one is not overwritten
                app(["transcribe", audio, "--out", out, "--work", work, *chosen], standalone_mode=False)
            return []
        notes = transcribe_audio(Path(audio), TranscribeOptions(parts=parts, model=folder)).notes
        columns = (notes.onset, notes.offset, notes.pitch, notes.part)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    return f"meloctl {__version__} (weights {weights}, code {code})", transcribe


def basic_pitch(_folder: str) -> tuple[str, Transcribe]:
    """basic-pitch's `predict` with its defaults, its ONNX network in one thread; it knows no parts."""
    import onnxruntime

    session = onnxruntime.InferenceSession

    def one_thread(path: str, **settings: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return session(path, options, **settings)

    onnxruntime.InferenceSession = one_thread
    from importlib.metadata import version

    from basic_pitch import ICASSP_2022_MODEL_PATH
    from basic_pitch.inference import predict

    def transcribe(audio: str, _parts: int | None, midi: str | None) -> Notes:
        _, written, events = predict(audio)
        if midi:
            written.write(midi)
        return [(float(start), float(end), int(pitch), 0) for start, end, pitch, *_ in events]

    return f"basic-pitch {version('basic-pitch')}, {ICASSP_2022_MODEL_PATH.name}", transcribe


def timbreamt(folder: str) -> tuple[str, Transcribe]:
    """timbreAMT's published weights with the thresholds of its notebook of use."""
    from transcribe_timbreamt import TimbreAMT

    return "timbreAMT", TimbreAMT(folder).transcribe


def timbreamt_searched(folder: str) -> tuple[str, Transcribe]:
    """The same with the thresholds of its paper, which were searched on the pairs, triples and quartets of BACH10 themselves."""
    from transcribe_timbreamt import TimbreAMT

    return "timbreAMT, thresholds searched on BACH10", TimbreAMT(folder, searched=True).transcribe


def timbreamt_onnx(folder: str) -> tuple[str, Transcribe]:
    """The same weights in its published ONNX file, which is for sound of 44,100 Hz."""
    from transcribe_timbreamt import TimbreAMT

    return "timbreAMT, ONNX", TimbreAMT(folder, onnx=True).transcribe


SYSTEMS: dict[str, Callable[[str], tuple[str, Transcribe]]] = {
    "meloctl": meloctl,
    "basic-pitch": basic_pitch,
    "timbreamt": timbreamt,
    "timbreamt-searched": timbreamt_searched,
    "timbreamt-onnx": timbreamt_onnx,
}


def peak_mib() -> float:
    """The largest resident memory of this process; what its parent used before does not count (as it does in `getrusage`)."""
    with Path("/proc/self/status").open() as lines:
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Answers until there are no more requests; whatever a system prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    identity, transcribe = SYSTEMS[sys.argv[1]]("".join(sys.argv[2:3]))
    print(json.dumps({"identity": identity}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.process_time()
        notes = transcribe(request["audio"], request["parts"], request["midi"])
        used = time.process_time() - begun
        print(json.dumps({"notes": notes, "cpu_s": used, "peak_mib": peak_mib()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
