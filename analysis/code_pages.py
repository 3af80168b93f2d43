"""The code page of texts that do not say it: the one under which a file's names and lyrics read most like a language.

A text costs bits, character by character, under a model of each page: how common its characters are in the language that
the page was made for, and how well they stand beside each other. The page of the fewest bits is taken, for all texts of a
file together. docs/decisions.md has what this was measured on.
"""

from collections.abc import Iterable
from functools import cache
from itertools import pairwise

LATIN = "cp1252"
"""Windows' Latin-1; also what remains where no page fits."""

PAGES = (LATIN, "cp1251", "cp932", "gbk", "cp950", "cp949")
"""Western Europe, Cyrillic, Japanese (Shift-JIS), simplified Chinese (GBK), traditional Chinese (Big5), Korean (EUC-KR)."""

_MOST_BYTES = 4096
"""Bytes of the texts of one file that are weighed."""

_COMMON = {
    "cp1251": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґ",
    LATIN: "éèêëàâäáãåæçñóòôöõøúùûüíîïßœÉÈÀÄÅÆÇÑÖØÜÓÚ",
    "cp932": (
        "ーンイスルトラアクリッシフドタロプレコーャオュマョキエジムテニサバハウメデナグカソパボチツポピブダビゴケノミワヴズセヒギネヤベ"
        "ガモォホァィェペユヨゲザゼゾあいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
        "♭♯がぎぐげござじずぜぞだでどばびぶべぼぱぴぷぺぽっゃゅょ、。・「」音楽曲歌弦笛主旋律伴奏低高大小太鼓琴打器管電子声部第作編詞日本人"
        "一二三年月中国上下生時分出行見間手前後新夜空花風心愛夢君僕雨雪春夏秋冬海星光道世界東京"
    ),
    "gbk": (
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多"
        "经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知"
        "全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门"
        "任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接"
        "必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住"
        "音乐曲歌钢琴吉他鼓贝斯旋律弦伴奏低提独唱笛箫筒筝胡号竖铃钟木片铜锣钹萨圆军组键盘调爱雨夜风花梦月春秋雪古典曲谱词编"
    ),
    "cp950": (
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事成方多"
        "經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已工使情明性知"
        "全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信表化老給世位次度門"
        "任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電數安少報才結反受目太量再感建務做接"
        "音樂曲歌鋼琴吉他鼓貝斯旋律弦伴奏低提獨唱笛簫筒箏胡號豎鈴鐘木片銅鑼鈸薩圓組鍵盤調愛雨夜風花夢月春秋雪古典譜詞編"
    ),
    "cp949": (
        "이다는을의에가고하기지로리사자도어스아인나대정시라한그일서해을수부아전장주보비제상안트원드구동유소조오레마공국만선세모미여신화"
        "경과게은를들니면거요우계재연무방문중더려바성생실내당때진말야없음있것었했되된할것람물간교관분산체양업용위적명학회행현통"
        "음악곡노래피아노기타드럼베이스멜로디현반주저높은큰작은북플루트첼로바이올린클라리넷트럼펫혼색소폰합창오르간신디코러스"
        "♭♯사랑밤비꽃별봄여름가을겨울하늘바다눈꿈길빛프크르브블콘팝송테너알토"
    ),
}
"""Common characters of each page's language, most common first in Cyrillic; general ones, then those of music."""

_ASCII_BITS = 5.0
_BROKEN_BITS = 30.0
"""A byte that is no character of the page."""


def code_page(texts: Iterable[bytes]) -> str:
    """The code page (one of `PAGES`) of the texts of one file, weighed together; the first 4,096 bytes of them count."""
    chosen, room = [], _MOST_BYTES
    for text in texts:
        if not text.isascii() and room > 0:
            chosen.append(text[:room])
            room -= len(text)
    return min(PAGES, key=lambda page: sum(_bits(text, page) for text in chosen))


def _bits(text: bytes, page: str) -> float:
    """What a text costs under the model of a page."""
    characters = text.decode(page, "replace")
    sizes = sum(_character_bits(c, page) for c in characters)
    return sizes + sum(_neighbour_bits(a, b, page) for a, b in pairwise(characters))


@cache
def _character_bits(character: str, page: str) -> float:
    if character.isascii():
        if not character.isprintable():
            return 12.0
        return _ASCII_BITS + (
            0.7 if page != LATIN and character.isalpha() else 0.0
        )  # languages of other scripts use fewer
    if character == "\ufffd":
        return _BROKEN_BITS
    rank = _COMMON[page].find(character)
    if page == LATIN:
        return 7.0 if rank >= 0 else 9.0 if character.isalpha() else 11.0
    if page == "cp1251":
        lower = _COMMON[page].find(character.lower())
        return 13.0 if lower < 0 else 4.0 + lower / 8 + (2.0 if rank < 0 else 0.0)
    return 8.5 if rank >= 0 else _rare_bits(character, page)


def _rare_bits(character: str, page: str) -> float:
    """Of a character of an East Asian page that is not among the common ones, by its place in the page."""
    code = character.encode(page)
    lead, trail = code[0], code[-1]
    if len(code) == 1:
        return 11.0  # half-width katakana
    if page == "cp932":
        return 13.0 if 0x88 <= lead <= 0x97 or lead <= 0x83 else 17.0
    if page == "gbk":
        return (
            13.0 if 0xB0 <= lead <= 0xD7 and trail >= 0xA1 else 15.0 if lead in (0xA1, 0xA3) and trail >= 0xA1 else 18.0
        )
    if page == "cp950":
        return 13.0 if 0xA4 <= lead <= 0xC6 else 15.0 if lead == 0xA1 else 18.0
    return 12.5 if 0xB0 <= lead <= 0xC8 and trail >= 0xA1 else 15.0 if lead == 0xA1 and trail >= 0xA1 else 19.0


def _neighbour_bits(a: str, b: str, page: str) -> float:
    """What it costs that two characters stand side by side."""
    if page == LATIN:
        return 2.5 if not a.isascii() and not b.isascii() else 0.0  # accented letters stand among plain ones
    if page == "cp1251":
        if a.isalpha() and b.isalpha() and a.isascii() != b.isascii():
            return 7.0
        return 4.0 if a.islower() and b.isupper() else 0.0
    return 4.0 if a.isalpha() and b.isalpha() and a.isascii() != b.isascii() else 0.0
