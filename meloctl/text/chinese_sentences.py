"""Chinese sentences of captions: sayings in a list, before a noun with 的, or behind a subject."""

from collections.abc import Sequence

import numpy as np

from meloctl.text.sayings import Saying, pick

_COUNTED = ("一首{}曲子", "一段{}音乐", "一首{}乐曲", "一支{}曲子", "一首{}作品", "一段{}配乐")
_BARE = ("{}音乐", "{}乐曲", "{}曲子")
_OPENERS = ("", "", "", "写", "请写", "来", "我想要", "给我", "请创作", "帮我写")
_SUBJECTS = ("音乐", "曲子", "整首曲子", "听起来", "音乐要", "曲子要", "希望听起来", "整体")
_ABOUT = ("描写{}的", "表现{}的", "关于{}的", "像{}一样的", "让人想起{}的", "以{}为题的")
_SECTIONS = {
    2: (
        ("先{}", "后{}"),
        ("开头{}", "结尾{}"),
        ("前半段{}", "后半段{}"),
        ("起初{}", "后来{}"),
    ),
    3: (
        ("先{}", "接着{}", "最后{}"),
        ("开头{}", "中间{}", "结尾{}"),
        ("前段{}", "中段{}", "后段{}"),
    ),
    4: (
        ("先{}", "然后{}", "接着{}", "最后{}"),
        ("第一部分{}", "第二部分{}", "第三部分{}", "第四部分{}"),
    ),
}
"""What stands round each section's words, by number of sections. The first of each says all sections in order."""


def chinese_sentence(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    """One sentence that says all of `sayings`."""
    direct = [s for s in sayings if s.kind in ("gradable", "adjective", "predicative")]
    draw = random.random()
    if draw < 0.4:
        text = _listed(sayings, random)
    elif draw < 0.6 and direct:
        text = _predicate(sayings, direct, random)
    else:
        text = _before_a_noun(sayings, random)
    return text + ("。" if random.random() < 0.3 else "")


def chinese_course(sections: Sequence[Sequence[Saying]], random: np.random.Generator) -> str:
    """What is said of each section, in order; sections with nothing said are left out."""
    styles = _SECTIONS[len(sections)]
    whole = all(len(sayings) > 0 for sayings in sections)
    style = pick(styles if whole else styles[1:], random)
    said = [
        frame.format("、".join(s.text for s in sayings))
        for sayings, frame in zip(sections, style, strict=True)
        if sayings
    ]
    return ",".join(said)


def chinese_fact(kind: str, value: str) -> str:
    """A named fact of a piece as a phrase: its instruments, key, length in bars or time signature."""
    frames = {"instruments": "用{}演奏", "key": "{}", "bars": "共{}小节", "meter": "{}拍"}
    return frames[kind].format(value)


def _listed(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    courses = [s.text for s in sayings if s.kind == "course"]
    texts = [s.text for s in sayings if s.kind != "course"]
    random.shuffle(texts)
    return pick((",", ",", "、", " ", ";"), random).join([*texts, *courses])


def _predicate(sayings: Sequence[Saying], direct: Sequence[Saying], random: np.random.Generator) -> str:
    texts = [s.text for s in direct]
    random.shuffle(texts)
    orders = any(text.startswith("不") for text in texts)
    subject = pick([s for s in _SUBJECTS if not (orders and s.endswith("要"))], random)
    if len(direct) == 2 and all(s.kind == "gradable" for s in direct) and random.random() < 0.6:
        text = f"{subject}又{texts[0]}又{texts[1]}"
    else:
        text = subject + "、".join(texts)
    for saying in sayings:
        if saying.kind == "scene":
            text += f",像{saying.text}一样"
    return text + _behind([s for s in sayings if s.kind not in ("scene", "gradable", "adjective", "predicative")])


def _before_a_noun(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    before = [s for s in sayings if s.kind in ("gradable", "adjective")]
    rest = [s for s in sayings if s.kind not in ("gradable", "adjective", "scene")]
    random.shuffle(before)
    about = "".join(pick(_ABOUT, random).format(s.text) for s in sayings if s.kind == "scene")
    if about:
        before, rest = [], [*before, *rest]
    elif not before and rest and rest[0].kind == "phrase" and random.random() < 0.7:
        before, rest = [rest[0]], rest[1:]
    before, rest = before[:2], [*before[2:], *rest]
    even = all(s.kind == "gradable" for s in before)
    words = pick(("而", "、") if even else ("、",), random).join(s.text for s in before) + "的" if before else ""
    opener = pick(_OPENERS, random)
    noun = pick(_COUNTED if opener or random.random() < 0.5 else _BARE, random)
    return opener + noun.format(words + about) + _behind(rest)


def _behind(sayings: Sequence[Saying]) -> str:
    order = ("gradable", "adjective", "predicative", "phrase", "term", "fact", "course")
    return "".join(f",{s.text}" for s in sorted(sayings, key=lambda s: order.index(s.kind)))
