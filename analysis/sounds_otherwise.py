"""Notes of a MIDI file that sound otherwise than their track and their pitch say; they are read by what sounds, and counted.

The program of a channel is that of the track that set it last, and a channel may be transposed: coarse tuning (registered
parameter 2), Roland's pitch key shift, Yamaha's note shift. Pitches are read as written.
"""

from collections import defaultdict

import numpy as np

from analysis.channel_state import is_system_reset
from analysis.midi_events import SYSEX, MidiEvents
from analysis.midi_notes import FileNotes
from analysis.midi_ports import ports_of

_COARSE_TUNING = 2
"""Registered parameter, in semitones around 64."""

_ROLAND, _YAMAHA = b"\x41\x42\x12\x40", b"\x43\x4c\x08"
"""Makers, models and addresses of messages to a part, without the device's number."""


def overruled_programs(events: MidiEvents, found: FileNotes) -> int:
    """Pitched notes that play another program than their own track set last on their channel."""
    marked = events.marked
    changes = marked[events.status[marked] & 0xF0 == 0xC0]
    if not len(changes):
        return 0
    data, track = np.frombuffer(events.data, dtype=np.uint8), events.track
    channel = 16 * ports_of(events, changes) + (events.status[changes] & 15)
    at = ((track[changes] << 11 | channel) << 32) + changes
    order = np.argsort(at)
    at, program = at[order], np.minimum(data[events.stop[changes] - 1], 127)[order]
    note = ((track[found.on] << 11 | found.channel.astype(np.int64)) << 32) + found.on
    last = np.searchsorted(at, note) - 1
    set_here = (last >= 0) & (at[last] >> 32 == note >> 32)
    pitched = found.part_drums[found.part] == 0
    return int((set_here & pitched & (program[last] != found.part_program[found.part])).sum())


def transposed_notes(events: MidiEvents, found: FileNotes) -> int:
    """Pitched notes on a channel that is transposed when all events of their tick have acted."""
    count, pitched = 0, found.part_drums[found.part] == 0
    for channel, changes in _shifts(events).items():
        tick, shift = np.array(changes).T
        onset = found.onset_tick[pitched & (found.channel == channel)]
        last = np.searchsorted(tick, onset, side="right") - 1
        count += int(((last >= 0) & (shift[last] != 0)).sum())
    return count


def _shifts(events: MidiEvents) -> dict[int, list[tuple[int, int]]]:
    """{channel: (tick, semitones) of each change, ascending} of the channels that are transposed at any time."""
    data, marked = np.frombuffer(events.data, dtype=np.uint8), events.marked
    status, control = events.status[marked], data[events.stop[marked] - 2]
    controls = (status & 0xF0 == 0xB0) & ((control == 6) | ((control >= 98) & (control <= 101)))
    chosen = marked[controls | (status == SYSEX)]
    if not len(chosen):
        return {}
    chosen = chosen[np.lexsort((chosen, events.tick[chosen]))]
    parameter, found = (
        defaultdict[int, tuple[int, int]](lambda: (-1, -1)),
        defaultdict[int, list[tuple[int, int]]](list),
    )
    for e, port in zip(chosen.tolist(), ports_of(events, chosen).tolist(), strict=True):
        tick, channel = int(events.tick[e]), 16 * port + int(events.status[e] & 15)
        if events.status[e] == SYSEX:
            if is_system_reset(events, e):
                for c in range(16 * port, 16 * port + 16):
                    parameter[c] = (-1, -1)
                    if c in found:
                        found[c].append((tick, 0))
            elif shifted := part_shift(events.payload(e)):
                found[16 * port + shifted[0]].append((tick, shifted[1]))
            continue
        number, value = events.data[events.stop[e] - 2], min(events.data[events.stop[e] - 1], 127)
        if number != 6:
            high, low = parameter[channel]
            parameter[channel] = (value, low) if number == 101 else (high, value) if number == 100 else (-1, -1)
        elif parameter[channel] == (0, _COARSE_TUNING):
            found[channel].append((tick, value - 64))
    return found


def part_shift(message: bytes) -> tuple[int, int] | None:
    """(channel 0 to 15, semitones) of a GS or XG message that transposes a part (41 device 42 12 40 1x 16 value checksum F7;
    43 1n 4C 08 part 08 value F7); None for any other."""
    if not message.endswith(b"\xf7"):
        return None
    if len(message) == 10 and message[:1] + message[2:5] == _ROLAND and message[5] >> 4 == 1 and message[6] == 0x16:
        block = message[5] & 15
        valid = sum(message[4:9]) % 128 == 0
        return (9 if block == 0 else block - 1 if block < 10 else block, message[7] - 64) if valid else None
    if len(message) == 8 and message[:1] + message[2:4] == _YAMAHA and message[1] >> 4 == 1 and message[5] == 0x08:
        return (message[4], message[6] - 64) if message[4] < 16 else None
    return None


def for_mt32(events: MidiEvents) -> bool:
    """Whether a file speaks to a Roland MT-32 (41 device 16 12), whose program numbers are not General MIDI's."""
    sysex = events.marked[events.status[events.marked] == SYSEX]
    messages = (events.payload(e) for e in sysex.tolist())
    return any(m[:1] + m[2:4] == b"\x41\x16\x12" and m.endswith(b"\xf7") for m in messages)
