"""Files of a corpus that hold music in other forms than MIDI: what they are, and what to do to have them read."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from analysis.midi_container import is_midi_name

_FORMS = {
    "export notation and projects as MIDI (MuseScore and sequencers do)": (
        ".xml .musicxml .mxl .abc .krn .mei .ly .mscz .mscx .sib .mus .musx .nwc .enc .cap .capx .ove .gp .gp3 .gp4 .gp5 .gpx "
        ".ptb .tg .mod .xm .s3m .it .als .flp .rpp .cpr .logicx "
        ".band .ptx .song .dawproject .ardour .mmp .mmpz .cwp .wrk .mgu .sgu .xmf .mxmf .imy"
    ),
    "convert music of games to MIDI": ".xmi .hmi .hmp .mds .cmf .rol .imf .vgm .vgz .spc .nsf .gbs .sid",
    "rename styles of keyboards to .mid, if patterns are wanted": ".sty .prs .sst .bcs .pcs .fps .pst",
    "sound has to be transcribed": ".wav .mp3 .flac .ogg .oga .opus .m4a .aac .wma .aif .aiff .au",
    "unpack archives": ".zip .gz .7z .rar .tar .tgz .bz2 .xz .zst",
}
"""What to do with files of which endings."""

_ADVICE = {ending: advice for advice, endings in _FORMS.items() for ending in endings.split()}
_MOST_NAMED = 6


def passed_over(corpus: Path) -> Counter[str]:
    """How many files with each ending of music in another form stand in a folder of MIDI; none for what is no folder."""
    endings = (
        _ending(name)
        for _, _, files in (os.walk(corpus) if corpus.is_dir() else ())
        for name in files
        if not name.startswith(".") and not is_midi_name(name)
    )
    return Counter(ending for ending in endings if ending in _ADVICE)


def how_to_read(name: str) -> str:
    """What to do to have a file of this name read, by its ending; empty for endings that hold no music known here."""
    return _ADVICE.get(_ending(name), "")


def passed_over_line(endings: Mapping[str, int]) -> str:
    """The files that `passed_over` found and what to do, in one line; empty where there are none."""
    if not endings:
        return ""
    ranked = sorted(endings.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{count:,} {ending}" for ending, count in ranked[:_MOST_NAMED])
    rest = sum(count for _, count in ranked[_MOST_NAMED:])
    advice = dict.fromkeys(_ADVICE[ending] for ending, _ in ranked if ending in _ADVICE)
    return f"{named}{f' and {rest:,} others' if rest else ''} passed over, only MIDI is read: {'; '.join(advice)}"


def _ending(name: str) -> str:
    return f".{name.lower().rpartition('.')[2]}"
