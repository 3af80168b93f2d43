#!/usr/bin/env bash
# miditok 3.1.0 with symusic 0.6.0, REMI with use_time_signatures and use_programs; four bars of a whole-bar's first note each; 2026-12-01.
# Expected: the metres that classical and folk music is full of (9/8, 3/2, 2/2, 7/8) are tokens, or an error says that they are not in
#   time_signature_range; four bars are four Bar tokens. Two violins of one program come back as two tracks.
# Seen: the default range is 3, 6, 12 eighths and 1 to 6 quarters; any other metre is 4/4 from there on without a word, in the tokens
#   and in what is decoded. Notes keep their time, so the bars move under them: four bars of 3/2 span 5 Bar tokens, of 7/8 3, of 4/2 7.
#   Tracks of one program become one track (two violins, eight notes), which no option of use_programs keeps apart.
# To do: list the corpus' metres in TokenizerConfig(time_signature_range=…); give tracks of one program programs of their own.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check miditok==3.1.0 symusic==0.6.0 numpy==2.4.6 2>/dev/null
venv/bin/python - <<'PYTHON' 2>/dev/null
import sys

from miditok import REMI, TokenizerConfig
from symusic import Note, Score, Tempo, TimeSignature, Track

tokenizer = REMI(TokenizerConfig(use_time_signatures=True, use_programs=True))


def score(numerator, denominator, programs=(0,)):
    whole = Score(480)
    whole.time_signatures.append(TimeSignature(0, numerator, denominator))
    whole.tempos.append(Tempo(0, 120.0))
    for program in programs:
        track = Track(program=program)
        for bar in range(4):
            track.notes.append(Note(bar * 480 * 4 * numerator // denominator, 240, 60 + bar, 90))
        whole.tracks.append(track)
    return whole


seen = {}
for metre in ((4, 4), (3, 4), (6, 8), (2, 2), (3, 2), (9, 8), (7, 8), (4, 2)):
    tokens = tokenizer(score(*metre))
    back = tokenizer.decode(tokens).time_signatures[0]
    seen[metre] = (sum(token.startswith("Bar") for token in tokens.tokens), (back.numerator, back.denominator))
    print(f"four bars of {metre[0]}/{metre[1]}: {seen[metre][0]} Bar tokens, decoded as {back.numerator}/{back.denominator}")
violins = tokenizer.decode(tokenizer(score(4, 4, programs=(40, 40, 41)))).tracks
print(f"two violins and a viola: {len(violins)} tracks of {[len(track.notes) for track in violins]} notes")
kept = all(seen[metre] == (4, metre) for metre in ((4, 4), (3, 4), (6, 8)))
lost = all(seen[metre][1] == (4, 4) for metre in ((2, 2), (3, 2), (9, 8), (7, 8), (4, 2)))
as_described = kept and lost and [seen[m][0] for m in ((3, 2), (7, 8), (4, 2))] == [5, 3, 7] and len(violins) == 2
sys.exit(0 if as_described else "changed: metres or tracks are kept")
PYTHON
