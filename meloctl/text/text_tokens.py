"""Texts as tokens: words of alphabets, single Chinese characters, and marks that separate clauses."""

import re
import unicodedata

Tokens = tuple[str, ...]

STRONG = frozenset(";.!?。")
"""Marks that end a sentence or a part of one."""

SEPARATORS = STRONG | frozenset(',、…—–()[]|“”"《》「」')
"""Marks between clauses, after NFKC; a colon binds ("opening: calm")."""

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_LETTERS = rf"(?:(?![{_HAN}])[^\W_])+"
_TOKEN = re.compile(rf"{_LETTERS}(?:'{_LETTERS})*|[{_HAN}]|[^\w\s]")
_IS_HAN = re.compile(f"[{_HAN}]")

_TRADITIONAL = (
    "風风陽阳靜静緩缓輕轻強强響响聲声樂乐調调節节緊紧歡欢憂忧傷伤鬱郁陰阴夢梦戰战爭争馬马車车騎骑飛飞鳥鸟魚鱼龍龙雲云電电閃闪"
    "雷雷雪雪霧雾葉叶樹树園园農农鄉乡節节慶庆熱热鬧闹場场軍军隊队進进國国歸归遠远離离別别愛爱戀恋婚婚禮礼葬葬悲悲淚泪驚惊嚇吓"
    "懼惧魔魔鬼鬼恐恐險险奇奇異异幻幻漸渐變变慢慢漫漫長长短短連连斷断續续貫贯滿满稀稀疏疏濃浓薄薄單单獨独雙双眾众齊齐個个麼么"
    "這这裡里後后來来開开終终結结間间點点極极過过為为與与讓让說说話话寫写畫画給给請请從从對对無无舊旧臺台灣湾廣广東东門门關关"
    "氣气溫温柔柔軟软硬硬銳锐鋼钢絃弦鍵键譜谱韻韵頻频齡龄歲岁歷历憶忆憤愤怒怒亂乱繁繁忙忙擠挤躍跃躑踯蹦蹦級级階阶梯梯爬爬順顺"
    "滑滑潤润彈弹撥拨撃击擊击鋪铺墊垫層层疊叠厚厚細细膩腻優优雅雅莊庄嚴严肅肃聖圣潔洁純纯樸朴淨净寧宁謐谧暈晕瀾澜濤涛洶汹湧涌"
    "潛潜燈灯燭烛煙烟爐炉燒烧燦灿爛烂輝辉煌煌螢萤蟲虫蝸蜗龜龟貓猫鴿鸽鷹鹰獅狮獵猎獸兽餓饿飢饥貧贫寶宝藏藏屬属銅铜鐘钟錶表鐵铁"
    "銀银鑼锣"
)
"""Pairs: a traditional character, the simplified one that the lexicon is written in."""

_SIMPLIFIED = str.maketrans({_TRADITIONAL[i]: _TRADITIONAL[i + 1] for i in range(0, len(_TRADITIONAL), 2)})


def tokens_of(text: str) -> Tokens:
    """The tokens of a text: small letters, no hyphens, simplified characters; of other marks those of SEPARATORS alone."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    found = _TOKEN.findall(plain.translate(_SIMPLIFIED))
    return tuple(token for token in found if token[0].isalnum() or token in SEPARATORS)


def is_han(token: str) -> bool:
    """Whether a token is a Chinese character."""
    return _IS_HAN.match(token) is not None


def shown(tokens: Tokens) -> str:
    """Tokens as a text for people: blanks between words, none between Chinese characters."""
    text = ""
    for token in tokens:
        text += token if not text or (is_han(token) and is_han(text[-1])) else f" {token}"
    return text
