"""timbreAMT (github.com/madderscientist/timbreAMT, Apache-2.0) run from a checkout that the user names; nothing of it is here.

Its network, its reading of notes (`utils/postprocess.py`), its clustering (spectral, with the number of parts given) and its
writing of MIDI are called. What it has no rule for is ours: one part is no clustering, and a number of parts not given is the one
of 2 to 6 whose clusters have the best silhouette (cosine).
"""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

USE = {"frame_thresh": 0.3, "onset_thresh": 0.4, "neighbor_trick": False}
"""`septimbre/use_model.ipynb`."""

SEARCHED = {
    2: (0.391975565736498, 0.585714285714285),
    3: (0.334902124114952, 0.544897959183673),
    4: (0.270068027210884, 0.535276967930029),
}
"""(frame, onset) thresholds by number of parts, of `evaluate/eval_septimbre.ipynb`, "For fixed note_branch"; found there as the
best ones of BACH10's own mixes."""

SEARCHED_REST = {"min_note_len": 7.5, "energy_tol": 11, "neighbor_trick": False}
RATE = 22_050
LOWEST_PITCH = 24
MOST_PARTS = 6

Network = Callable[[Any, int], tuple[Any, Any, Any]]
"""Samples (n,) and their rate → onset and note posteriors (84, T), directions (D, 84, T)."""


class TimbreAMT:
    """The published weights and their post-processing; `searched` takes the thresholds of the paper, `onnx` the ONNX file."""

    def __init__(self, folder: str, searched: bool = False, onnx: bool = False) -> None:
        sys.path[:0] = [folder, str(Path(folder) / "septimbre")]
        self._network = (_onnx_network if onnx else _torch_network)(Path(folder) / "septimbre")
        self._searched = searched
        from model.config import CONFIG
        from utils import midiarray, postprocess

        self._seconds = CONFIG.CQT.hop / CONFIG.CQT.fs
        self._midiarray, self._postprocess = midiarray, postprocess

    def transcribe(self, audio: str, parts: int | None, midi: str | None) -> list[tuple[float, float, int, int]]:
        """Notes (onset s, offset s, pitch, part) of a file, in `parts` parts or as many as the silhouette says."""
        import soundfile

        onset, frame, embedding = self._network(*soundfile.read(audio, dtype="float32"))
        onset, frame = onset / onset.max(), frame / frame.max()
        thresholds = self._thresholds(parts)
        if parts is None or parts == 1:
            read = self._postprocess.output_to_notes_polyphonic
            events = read(frame, onset, midi_offset=LOWEST_PITCH, **thresholds)
            labels = np.zeros(len(events), int) if parts else _silhouette_labels(_embeddings(frame, embedding, events))
            tracks = [[events[i] for i in np.flatnonzero(labels == k)] for k in np.unique(labels)]
        else:
            tracks = self._postprocess.cluster_notes(frame, onset, embedding, parts, LOWEST_PITCH, **thresholds)
        if midi:
            self._midiarray.midi_merge([self._midiarray.notes2midi(track) for track in tracks]).save(midi)
        return [
            (float(start * self._seconds), float(end * self._seconds), int(pitch), part)
            for part, track in enumerate(tracks)
            for start, end, pitch, _ in track
        ]

    def _thresholds(self, parts: int | None) -> dict[str, Any]:
        if not self._searched:
            return USE
        frame, onset = SEARCHED[min(max(parts or 3, 2), 4)]
        return {"frame_thresh": frame, "onset_thresh": onset, **SEARCHED_REST}


def _onnx_network(folder: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "septimbre_44100.onnx", options)

    def network(samples: Any, rate: int) -> tuple[Any, Any, Any]:
        if rate != 2 * RATE:
            raise SystemExit(f"a file of {rate} Hz; timbreAMT's ONNX file is for {2 * RATE}")
        onset, frame, embedding = session.run(None, {"audio": samples[None, None]})
        return onset[0], frame[0], embedding[0]

    return network


def _torch_network(folder: Path) -> Network:
    import torch

    model = _load(folder)

    def network(samples: Any, rate: int) -> tuple[Any, Any, Any]:
        if rate not in (RATE, 2 * RATE):
            raise SystemExit(f"a file of {rate} Hz; timbreAMT's weights are for {RATE}")
        with torch.inference_mode():
            sound = torch.from_numpy(samples)[None, None]
            onset, frame, embedding = model(sound if rate == RATE else model.cqt.down2sample(sound))
        return onset[0].numpy(), frame[0].numpy(), embedding[0].numpy()

    return network


def _load(folder: Path) -> Any:
    """The network of `sepamt_model.pth`; only the classes named here are rebuilt, no code of the file runs."""
    import torch
    from torch import nn

    if not (folder / "sepamt_model.pth").is_file():
        raise SystemExit(f"{folder.parent}: no checkout of timbreAMT (septimbre/sepamt_model.pth is missing)")
    # Its filters of another model are torchaudio's; those of this one are its own.
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    sys.modules["torchaudio.functional"] = types.ModuleType("torchaudio.functional")
    sys.modules["torchaudio.functional"].filtfilt = None  # type: ignore[attr-defined]
    import septimbre
    from model import CQT, layers

    def filter_method(owner: Any, name: str) -> Any:
        if not isinstance(owner, CQT.FIRfiltfilt) or name != "filtfilt_v2":
            raise SystemExit(f"timbreAMT's weights ask for {name} of {type(owner).__name__}")
        return owner.filtfilt_v2

    allowed: list[Any] = [
        septimbre.SepTimbreAMT,
        septimbre.HCQTpreprocess,
        septimbre.NotePredictBranch,
        septimbre.Encoder,
    ]
    allowed += [
        layers.EnergyNorm,
        layers.CBLR,
        layers.CBR,
        layers.CenterNorm2d,
        layers.HarmonicaStacking,
        layers.LayerNorm2d,
    ]
    allowed += [CQT.CQTsmall_fir, CQT.FIRfiltfilt, (filter_method, "builtins.getattr"), set]
    allowed += [nn.Sequential, nn.Conv2d, nn.ZeroPad1d, nn.GroupNorm, nn.BatchNorm2d, nn.LayerNorm]
    allowed += [nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Sigmoid]
    allowed += [np._core.multiarray.scalar, np.dtype, np.dtypes.Int64DType, np.dtypes.Float64DType]
    with torch.serialization.safe_globals(allowed):
        return torch.load(folder / "sepamt_model.pth", weights_only=True).eval()


def _embeddings(frame: Any, embedding: Any, events: list[Any]) -> Any:
    """(N, D) directions of the notes: the mean over their cells, weighted by the note posterior, as its clustering takes them."""
    rows = [(embedding[:, p - LOWEST_PITCH, s:e] * frame[p - LOWEST_PITCH, s:e]).sum(1) for s, e, p, _ in events]
    return np.array([row / np.linalg.norm(row) for row in rows])


def _silhouette_labels(directions: Any) -> Any:
    """(N,) the part of each note, by spectral clustering into the number of parts (2 to 6) of the best silhouette."""
    from sklearn.cluster import SpectralClustering
    from sklearn.metrics import silhouette_score

    best, labels = -2.0, np.zeros(len(directions), int)
    for parts in range(2, min(MOST_PARTS, len(directions) - 1) + 1):
        spectral = SpectralClustering(n_clusters=parts, affinity="precomputed", assign_labels="cluster_qr")
        found = spectral.fit_predict(np.exp(directions @ directions.T))
        if len(set(found)) < 2:
            continue
        score = silhouette_score(directions, found, metric="cosine")
        if score > best:
            best, labels = score, found
    return labels
