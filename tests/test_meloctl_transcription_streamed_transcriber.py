"""The transcriber tile by tile: as the network gives it for the whole."""

import numpy as np
import pytest
import torch

from meloctl.transcription.network import NetworkConfig, Posteriors, Transcriber
from meloctl.transcription.streamed_transcriber import StreamedTranscriber

SMALL = {"bin_channels": 3, "channels": 10, "timbre_width": 5, "level_frames": 21}


def network(**config):
    """A network whose norms have seen something, and whose blocks do something."""
    torch.manual_seed(3)
    made = Transcriber(NetworkConfig(**config)).eval()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.dtype.is_floating_point:
                tensor += 0.1 * torch.rand_like(tensor) if "running_var" in name else 0.1 * torch.randn_like(tensor)
    return made


def joined(tiles):
    return Posteriors(*(torch.cat(some, -1) for some in zip(*tiles, strict=True)))


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 63, 200])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL | {"dilations": (2, 8), "timbre_dilations": (4, 1), "time_kernel": 7, "pitch_kernel": 13},
        SMALL | {"dilations": (1,), "timbre_dilations": (1,), "time_kernel": 1, "pitch_kernel": 1},
    ],
)
def test_tiles_are_as_the_whole(frames, config):
    whole = network(**config)
    magnitudes = torch.rand(1, 288, frames, generator=torch.Generator().manual_seed(frames))
    with torch.inference_mode():
        wanted = whole(magnitudes)
        found = joined(list(StreamedTranscriber(whole, frames=8).posteriors(magnitudes[0].split(11, 1))))
    for some, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(some, other, atol=2e-4, rtol=1e-4)


def test_the_network_as_it_is_shipped_over_several_tiles():
    whole = network()
    magnitudes = torch.rand(1, 288, 301)
    with torch.inference_mode():
        wanted, found = whole(magnitudes), joined(list(StreamedTranscriber(whole).posteriors([magnitudes[0]])))
    for some, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(some, other, atol=5e-4, rtol=1e-4)


def test_tiles_come_while_the_spectrogram_still_does():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield torch.rand(288, 16)

    tiles = StreamedTranscriber(network(**SMALL), frames=8).posteriors(endless())
    with torch.inference_mode():
        assert sum(next(tiles).note.shape[2] for _ in range(20)) > 100
    assert taken < 40


def test_a_spectrogram_without_frames_has_no_posteriors():
    assert list(StreamedTranscriber(network(**SMALL), frames=8).posteriors([])) == []


def test_a_network_with_a_memory_is_refused():
    with pytest.raises(ValueError, match="memory"):
        StreamedTranscriber(Transcriber(NetworkConfig(memory="linear")))


def test_what_tiles_hold_does_not_change_by_the_next_tile():
    tiles = StreamedTranscriber(network(**SMALL), frames=8).posteriors([torch.rand(288, 100)])
    with torch.inference_mode():
        first = next(tiles)
        kept = [some.clone() for some in first]
        list(tiles)
    assert all(np.array_equal(some, other) for some, other in zip(first, kept, strict=True))
