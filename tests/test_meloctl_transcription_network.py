"""The transcribing network: its shapes, how far it looks, and that sizes are stated."""

import pytest
import torch

from meloctl.transcription.network import PITCHES, TIME_STRIDE, NetworkConfig, Transcriber, parameter_count


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    network = Transcriber(NetworkConfig(level_frames=21)).eval()
    for block in [*network.shared, *network.timbre_blocks]:
        torch.nn.init.normal_(block.outer.weight, std=0.2)
    return network


def test_shapes_unit_directions_and_size(network):
    found = network(torch.rand(2, 288, 31))
    assert found.note.shape == found.onset.shape == (2, PITCHES, 16)
    assert found.timbre.shape == (2, 16, PITCHES, 16)
    torch.testing.assert_close(found.timbre.square().sum(1), torch.ones(2, PITCHES, 16))
    assert 20_000 <= parameter_count(Transcriber(NetworkConfig())) <= 200_000


def test_gradients_reach_as_far_as_stated_and_no_further(network):
    frames = 401
    magnitudes = torch.rand(1, 288, frames, requires_grad=True)
    found = network(magnitudes)
    middle = found.note.shape[-1] // 2
    (found.note[0, 40, middle] + found.onset[0, 40, middle] + found.timbre[0, 3, 40, middle]).backward()
    reached = magnitudes.grad[0].abs().sum(0).nonzero()[:, 0]
    centre = TIME_STRIDE * middle
    assert reached.min() >= centre - network.context_frames
    assert reached.max() <= centre + network.context_frames
    assert reached.max() - reached.min() > 1.2 * network.context_frames


def test_a_stretch_with_its_context_gives_what_the_whole_gives(network):
    magnitudes = torch.rand(1, 288, 700)
    context = network.context_frames + network.context_frames % 2
    whole, part = network(magnitudes), network(magnitudes[..., 300 - context : 400 + context])
    torch.testing.assert_close(part.note[..., context // 2 : context // 2 + 50], whole.note[..., 150:200])
    torch.testing.assert_close(part.timbre[..., context // 2 : context // 2 + 50], whole.timbre[..., 150:200])


def test_a_tone_an_octave_higher_gives_the_same_an_octave_higher():
    torch.manual_seed(5)
    network = Transcriber(NetworkConfig(dilations=(1,), level_frames=21)).eval()
    torch.nn.init.normal_(network.shared[0].outer.weight, std=0.2)
    low = torch.zeros(1, 288, 41)
    for place, level in ((79, 1.0), (115, 0.5), (136, 0.3)):
        low[0, place] = level
    with torch.no_grad():
        a, b = network(low), network(low.roll(36, 1))
    torch.testing.assert_close(a.note[0, 26], b.note[0, 38])
    torch.testing.assert_close(a.timbre[0, :, 26], b.timbre[0, :, 38])
    assert float((a.note[0, 26] - a.note[0, 38]).abs().max()) > 0.01


def test_loudness_changes_little(network):
    magnitudes = torch.rand(1, 288, 101)
    torch.testing.assert_close(network(magnitudes).note, network(8 * magnitudes).note, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("memory", ["hebbian", "linear", "flow"])
@torch.no_grad()
def test_a_memory_changes_timbre_alone(memory):
    torch.manual_seed(3)
    network = Transcriber(NetworkConfig(level_frames=21, memory=memory)).eval()
    magnitudes = torch.rand(2, 288, 31)
    before = network(magnitudes)
    assert network.memory is not None
    torch.nn.init.normal_(network.memory.maps.value.weight)
    after = network(magnitudes)
    assert torch.equal(after.note, before.note)
    assert torch.equal(after.onset, before.onset)
    assert after.timbre.shape == before.timbre.shape
    assert float((after.timbre - before.timbre).abs().max()) > 0.01
