"""The READMEs' picture: time and memory of losses beside torch's, as docs/readme.svg and docs/readme.zh.svg.

Bars are drawn to torch's, which is as long in every case. Greys and blue have the same contrast to a white page and to
a dark one, so that one file serves both.
"""

import json
import math
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WORDS = {
    "readme.svg": {
        "title": "Time and memory of losses, forward and backward, beside torch's",
        "time": "time, ms",
        "memory": "memory, MB",
        "32k vocabulary": "language model, logits",
        "32k vocabulary head": "language model, head",
        "ImageNet-1k": "classifier",
        "segmentation, 21 classes": "segmentation",
    },
    "readme.zh.svg": {
        "title": "各种损失前向加反向的耗时与内存，与 torch 相比",
        "time": "耗时（毫秒）",
        "memory": "内存（MB）",
        "32k vocabulary": "语言模型，由 logits 计算",
        "32k vocabulary head": "语言模型，由输出层计算",
        "ImageNet-1k": "图像分类",
        "segmentation, 21 classes": "语义分割",
    },
}
"""The words of each picture: those of the cases that are in it are theirs."""
WIDTH, LABELS, BAR, ROW = 740, 208, 190, 46
COLUMNS = {"time": LABELS, "memory": LABELS + BAR + 78}
INK, TORCH, OURS = "#767676", "#8c8c8c", "#2b7fc4"


def picture(results: dict[str, Any], words: dict[str, str]) -> str:
    """One picture."""
    large = [case for case in results["cases"] if case["gradient"] and math.prod(case["shape"]) > 2e6]
    cases = [case for case in large if case["name"] in words and case["dtype"] != "float16"]
    height = 58 + ROW * len(cases) + 18
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f"<title>{escape(words['title'])}</title>",
        *(f'<text x="{x}" y="18" font-weight="600">{escape(words[name])}</text>' for name, x in COLUMNS.items()),
        f'<rect x="0" y="8" width="14" height="11" fill="{OURS}"/><text x="20" y="18">crossentropy</text>',
        f'<rect x="112" y="8" width="14" height="11" fill="{TORCH}"/><text x="132" y="18">torch</text>',
    ]
    for i, case in enumerate(cases):
        lines += row(case, words, 38 + ROW * i)
    machine = (
        f"{results['processor']} · torch {results['torch']} · {results['date']} · benchmarks/results/epyc-2-cores.json"
    )
    lines += [f'<text x="0" y="{height - 8}" font-size="11">{escape(machine)}</text>', "</svg>"]
    return "\n".join(lines) + "\n"


def row(case: dict[str, Any], words: dict[str, str], top: int) -> list[str]:
    """A case: its name and shape, and two pairs of bars."""
    shape = f"{' × '.join(map(str, case['shape']))}, {case['dtype']}"
    lines = [
        f'<text x="0" y="{top + 12}">{escape(words[case["name"]])}</text>',
        f'<text x="0" y="{top + 28}" font-size="11">{shape}</text>',
    ]
    for name, measured, unit in (("time", "milliseconds", 1), ("memory", "bytes", 1e6)):
        torch, ours = (case["results"][who][measured] / unit for who in ("torch", "crossentropy"))
        for value, colour, y in ((ours, OURS, top + 1), (torch, TORCH, top + 17)):
            length = BAR * value / torch
            lines += [
                f'<rect x="{COLUMNS[name]}" y="{y}" width="{length:.1f}" height="13" fill="{colour}"/>',
                f'<text x="{COLUMNS[name] + length + 6:.1f}" y="{y + 11}" font-size="12">{value:,.0f}</text>',
            ]
    return lines


def main() -> None:
    """Write both."""
    results = json.loads((ROOT / "benchmarks" / "results" / "epyc-2-cores.json").read_text("utf-8"))
    for name, words in WORDS.items():
        (ROOT / "docs" / name).write_text(picture(results, words), "utf-8")


if __name__ == "__main__":
    main()
