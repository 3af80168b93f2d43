"""Slow and obvious: what is in force on the channels at each note-on: program, drums, and zones of MPE.

Events act by tick, whichever track holds them ("Standard MIDI Files 1.0"); what they do is said in "MIDI 1.0", "General MIDI
System Level 2", Roland's GS and Yamaha's XG, and "MIDI Polyphonic Expression".
"""

from collections import defaultdict
from typing import NamedTuple

from plain_events import Event

DRUM_CHANNEL = 9


class Channel:
    """What is in force on a channel."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reset()

    def reset(self) -> None:
        self.program = 0
        self.parameter = (-1, -1)
        """Registered parameter that CC 101 and 100 chose."""
        self.bank = -1
        """Bank select MSB; -1 before one is given."""
        self.is_drum = self.number == DRUM_CHANNEL
        self.cause = ""
        """What made it drums or melodic: "" as at the start, "bank" or "sysex"."""


class Port:
    """Sixteen channels, the mode that a system reset set, and MPE zones."""

    def __init__(self) -> None:
        self.channels = [Channel(number) for number in range(16)]
        self.mode = ""
        self.lower = self.upper = 0
        """Member channels of the zone whose manager is channel 1, and of that of channel 16."""

    def player(self, channel: int) -> int:
        """The channel whose instrument plays a channel: a member of an MPE zone is what its manager is."""
        if 1 <= channel <= self.lower:
            return 0
        return 15 if 15 - self.upper <= channel <= 14 else channel


def is_note_on(event: Event) -> bool:
    """Velocity 0 is a note-off."""
    return event.status & 0xF0 == 0x90 and event.data[1] > 0


def in_order(events: list[Event]) -> list[Event]:
    """Events as they act: by tick; of one tick first the system resets, then of each track what stands before its first
    note-on of that tick, then the rest, track by track."""
    first_note: dict[tuple[int, int], int] = {}
    for event in events:
        if is_note_on(event):
            first_note.setdefault((event.track, event.tick), event.index)

    def place(event: Event) -> tuple[int, int, int, int]:
        if reset_mode(event):
            phase = 0
        else:
            note = first_note.get((event.track, event.tick))
            phase = 1 if note is None or event.index < note else 2
        return event.tick, phase, event.track, event.index

    return sorted(events, key=place)


class Sound(NamedTuple):
    """What is in force at a note-on."""

    program: int
    is_drum: bool
    player: int
    departure: str
    """"drums_by_bank" or "drums_by_sysex" where the channel is not what it was at the start."""


def sounds(events: list[Event]) -> dict[tuple[int, int], Sound]:
    """The sound of each note-on, by (track, place in it)."""
    ports: defaultdict[int, Port] = defaultdict(Port)
    found = {}
    for event in events:
        port = ports[event.port]
        if is_note_on(event):
            player = port.player(event.status & 0x0F)
            channel = port.channels[player]
            changed = channel.is_drum != (player == DRUM_CHANNEL)
            departure = f"drums_by_{channel.cause}" if changed else ""
            found[event.track, event.index] = Sound(channel.program, channel.is_drum, player, departure)
        elif event.status < 0xF0:
            channel_message(port, event)
        elif mode := reset_mode(event):
            port.mode, port.lower, port.upper = mode, 0, 0
            for channel in port.channels:
                channel.reset()
        else:
            part_message(port, event)
    return found


def channel_message(port: Port, event: Event) -> None:
    """Program changes, bank select, and the registered parameter 6 that makes an MPE zone."""
    channel = port.channels[event.status & 0x0F]
    if event.status & 0xF0 == 0xC0:
        program_change(port, channel, event.data[0])
    if event.status & 0xF0 != 0xB0:
        return
    control, value = event.data
    if control == 0:
        channel.bank = value
    elif control == 101:
        channel.parameter = (value, channel.parameter[1])
    elif control == 100:
        channel.parameter = (channel.parameter[0], value)
    elif control in (98, 99):  # a parameter that is not registered
        channel.parameter = (-1, -1)
    elif control == 6 and channel.parameter == (0, 6):
        make_zone(port, channel.number, value)


def make_zone(port: Port, manager: int, members: int) -> None:
    """A zone of so many members; the newer of two that overlap takes channels from the older."""
    if members > 15:
        return
    left = max(14 - members, 0) if members else 15
    if manager == 0:
        port.lower, port.upper = members, min(port.upper, left)
    elif manager == 15:
        port.upper, port.lower = members, min(port.lower, left)


def program_change(port: Port, channel: Channel, program: int) -> None:
    """The program, and with it the bank select before it: 120 is drums, 121 melodic (GM2); 126 and 127 are drums, any other
    is melodic (XG)."""
    channel.program = program
    if port.mode == "GS":
        return
    if channel.cause == "sysex" and (port.mode != "XG" or channel.bank < 0):
        return
    channel.is_drum, channel.cause = channel.number == DRUM_CHANNEL, ""
    if channel.bank in (120, 126, 127):
        channel.is_drum, channel.cause = True, "bank"
    elif channel.bank == 121 or (port.mode == "XG" and channel.bank >= 0):
        channel.is_drum, channel.cause = False, "bank"


def reset_mode(event: Event) -> str:
    """The mode that a system reset sets; "" for any other event."""
    if event.status not in (0xF0, 0xF7):
        return ""
    message = event.data
    if len(message) == 4 and message[0] == 0x7E and message[2:] in (b"\x09\x01", b"\x09\x03"):
        return "GM" if message[3] == 1 else "GM2"
    if roland(message) in (b"\x40\x00\x7f\x00", b"\x00\x00\x7f\x00", b"\x00\x00\x7f\x01"):
        return "GS"  # GS Reset; System Mode Set, single and double module
    return "XG" if yamaha(message) == b"\x00\x00\x7e\x00" else ""


def roland(message: bytes) -> bytes:
    """Address and data of a GS message (41 device 42 12 address data checksum): of 7 bits the sum is 0; else nothing."""
    if len(message) < 8 or message[0] != 0x41 or message[2:4] != b"\x42\x12" or sum(message[4:]) % 128:
        return b""
    return message[4:-1]


def yamaha(message: bytes) -> bytes:
    """Address and data of an XG message (43 1n 4C address data); else nothing."""
    if len(message) < 4 or message[0] != 0x43 or message[1] & 0xF0 != 0x10 or message[2] != 0x4C:
        return b""
    return message[3:]


def part_message(port: Port, event: Event) -> None:
    """GS "use for rhythm part" (40 or 50 1x 15 vv) and XG part mode (08 pp 07 vv) make a channel drums or melodic."""
    if event.status not in (0xF0, 0xF7):
        return
    gs, xg = roland(event.data), yamaha(event.data)
    if len(gs) == 4 and gs[0] in (0x40, 0x50) and gs[1] & 0xF0 == 0x10 and gs[2] == 0x15 and gs[3] <= 2:
        block = gs[1] & 0x0F  # 0 is channel 10, 1 to 9 are themselves, A to F are 11 to 16
        number, value = 9 if block == 0 else block - 1 if block < 10 else block, gs[3]
    elif len(xg) == 4 and xg[0] == 0x08 and xg[1] < 16 and xg[2] == 0x07:
        number, value = xg[1], xg[3]
    else:
        return
    channel = port.channels[number]
    channel.is_drum, channel.cause = value > 0, "sysex"
    channel.bank = -1  # only a bank that is given behind it changes the channel again
