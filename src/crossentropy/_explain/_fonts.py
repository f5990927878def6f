"""Fonts, of those that matplotlib finds installed, that have the characters of a figure."""

from matplotlib import rcParams
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font

PREFERRED = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "SimHei",
             "Noto Sans CJK JP", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Arial Unicode MS")  # fmt: skip
"""The first to be asked: of Chinese, which the words of an explanation may be in."""


def families(text: str) -> tuple[list[str], frozenset[str]]:
    """The default families and those that have what they lack of a text; and the characters that none has."""
    chosen, missing = list(rcParams["font.family"]), frozenset(text)
    for family in chosen:
        missing = _lacking(family, missing)
    for font in sorted(fontManager.ttflist, key=_preference):
        # the file that stands for the family need not be the one that was found to have the characters
        if missing and not _placeholder(font) and (left := _lacking(font.name, missing)) != missing:
            chosen.append(font.name)
            missing = left
    return chosen, missing


def _preference(font: FontEntry) -> int:
    return PREFERRED.index(font.name) if font.name in PREFERRED else len(PREFERRED)


def _placeholder(font: FontEntry) -> bool:
    """Whether it has a box for every character, as the fonts of last resort."""
    return font.name.replace(" ", "").startswith("LastResort")


def _lacking(family: str, characters: frozenset[str]) -> frozenset[str]:
    font = get_font(findfont(FontProperties(family=[family])))
    return frozenset(c for c in characters if not font.get_char_index(ord(c)))
