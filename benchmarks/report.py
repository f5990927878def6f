"""Results as tables and a figure: writes docs/benchmarks.md and docs/benchmarks.svg."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DEFAULT = RESULTS / "epyc-2-cores.json"
OTHERS = {
    "Older instructions": RESULTS / "epyc-2-cores.avx2.json",
    "Without compiled code": RESULTS / "epyc-2-cores.chunked.json",
}
"""The same processor, kept to AVX2; and by torch's operators, as where no library was built."""
RANKS = RESULTS / "ranks.epyc-2-cores.json"
STEP = RESULTS / "training_step.xeon-2-cores.json"
CONTENDERS = ("torch", "torch.compile", "torch chunked", "crossentropy, plain")
FLOORS = ("read", "copy", "copy, memory at hand", "one product", "products")


def title(case: dict[str, Any]) -> str:
    """A case in a few words."""
    forward = "" if case["gradient"] else ", forward"
    return f"{case['name']} {'×'.join(map(str, case['shape']))} {case['dtype']}{forward}"


def time_ratio(case: dict[str, Any], contender: str) -> float | None:
    """Our time relative to a contender's."""
    results = case["results"]
    if contender not in results:
        return None
    return results["crossentropy"]["milliseconds"] / results[contender]["milliseconds"]


def cell(case: dict[str, Any], contender: str) -> str:
    """Our time relative to a contender's, with the target if there is one and a mark where it is missed."""
    ratio, target = time_ratio(case, contender), case["targets"].get(contender)
    if ratio is None:
        return "–"
    if target is None:
        return f"{ratio:.2f}"
    return f"{ratio:.2f} (≤ {target:g}{'' if ratio <= target else ', missed'})"


def floors(case: dict[str, Any]) -> str:
    """Our time relative to what no loss can do without."""
    return " · ".join(f"{name} {cell(case, name)}" for name in FLOORS if name in case["results"]) or "–"


def memory(case: dict[str, Any], contender: str) -> str:
    """A contender's memory above the inputs."""
    results = case["results"]
    return f"{results[contender]['bytes'] / 1e6:,.1f}" if contender in results else "–"


def error(case: dict[str, Any], contender: str) -> str:
    """A contender's gradient error, or the loss's if there is no gradient."""
    result = case["results"][contender]
    value = result["gradient_error"] if case["gradient"] else result["loss_error"]
    return "–" if math.isnan(value) else f"{value:.0e}"


def time_table(results: dict[str, Any]) -> list[str]:
    """The machine, and our time relative to each contender's."""
    rows = [
        f"| {title(c)} | {' | '.join(cell(c, name) for name in CONTENDERS)} | {floors(c)} |" for c in results["cases"]
    ]
    return [
        f"{results['processor']} · torch {results['torch']} · Python {results['python']} · {results['date']} · "
        f"`{results['command']}`",
        "",
        "Time of `crossentropy` relative to each contender, medians of interleaved rounds, forward and backward unless "
        "it says forward. In brackets the target that was set; misses are explained below. A floor is what no loss can "
        "do without: a read of the logits, a copy of them into fresh memory or into memory at hand, or the products of "
        "a head in float32.",
        "",
        f"| case | {' | '.join(CONTENDERS)} | floors |",
        f"|---|{'---|' * len(CONTENDERS)}---|",
        *rows,
    ]


def page(results: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "What a loss costs here, against what one would use instead. Written by `benchmarks/report.py` from "
        "`benchmarks/results/`; how it was measured is in `benchmarks/README.md`.",
        "",
        *time_table(results),
        "",
        "Memory above the inputs, gradients included, in MB; and the relative error of all gradients (forward: of the "
        "loss) against float64.",
        "",
        "| case | ours | torch | torch chunked | error, ours | error, torch |",
        "|---|---|---|---|---|---|",
    ]
    for c in results["cases"]:
        sizes = " | ".join(memory(c, name) for name in ("crossentropy", "torch", "torch chunked"))
        lines.append(f"| {title(c)} | {sizes} | {error(c, 'crossentropy')} | {error(c, 'torch')} |")
    lines += ["", "![Time and memory relative to torch](benchmarks.svg)", "", *other_sections(), *step_section()]
    lines += ["", *ranks_section(), ""]
    notes = RESULTS / "notes.md"
    return "\n".join(lines) + "\n" + notes.read_text("utf-8")


def other_sections() -> list[str]:
    """The same in other circumstances."""
    return [
        line
        for heading, path in OTHERS.items()
        for line in (f"## {heading}", "", *time_table(json.loads(path.read_text("utf-8"))), "")
    ]


def step_section() -> list[str]:
    """Whole training steps of a model, plain, compiled and fused."""
    found = json.loads(STEP.read_text("utf-8"))
    lines = [
        "## A whole training step",
        "",
        "Forward, backward and AdamW of a Llama of transformers with four layers of 256 features and a tied head of "
        f"{found['classes']:,} classes, {found['tokens']:,} tokens; `benchmarks/training_step.py`, "
        f"{found['processor']}. Time relative to the plain model; memory above model and optimizer, with gradients.",
        "",
        "| | float32: time | memory, MB | bfloat16: time | memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name in found["dtypes"]["float32"]:
        cells = []
        for results in found["dtypes"].values():
            ratio = results[name]["milliseconds"] / results["plain"]["milliseconds"]
            cells += [f"{ratio:.2f}", f"{results[name]['bytes'] / 1e6:,.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def ranks_section() -> list[str]:
    """Losses whose classes are spread over processes."""
    found = json.loads(RANKS.read_text("utf-8"))
    lines = [
        "## A vocabulary over ranks",
        "",
        f"1024 rows, 32,000 classes on {found['ranks']} processes, float32, gloo, forward and backward; of given "
        "logits, and of hidden states of 768 features and a head; `benchmarks/ranks.py`, "
        f"{found['processor']}. Time relative to torch's loss_parallel; collectives, and the bytes of a rank.",
        "",
        "| | logits: time | collectives | bytes | head: time | collectives | bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in found["results"]["logits"]:
        cells = []
        for results in found["results"].values():
            result = results[name]
            ratio = result["milliseconds"] / results["torch's loss_parallel"]["milliseconds"]
            cells += [f"{ratio:.2f}", f"{result['collectives']}", f"{result['bytes']:,}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def figure(results: dict[str, Any], path: Path) -> None:
    """Bars: time and memory relative to torch."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "crossentropy"
    from matplotlib import pyplot

    cases = [c for c in results["cases"] if c["targets"]]
    labels = [title(c) for c in cases]
    times = [time_ratio(c, "torch") or 0.0 for c in cases]
    sizes = [c["results"]["crossentropy"]["bytes"] / max(c["results"]["torch"]["bytes"], 1) for c in cases]
    drawing, axes = pyplot.subplots(figsize=(9, 0.42 * len(cases) + 1.2), layout="constrained")
    places = range(len(cases))
    axes.barh([p + 0.2 for p in places], times, 0.38, label="time", color="#2a6f97")
    axes.barh([p - 0.2 for p in places], sizes, 0.38, label="memory", color="#f4a259", hatch="//")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(list(places), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("crossentropy / torch (1 is torch)")
    axes.legend()
    drawing.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write everything that shows results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=DEFAULT)
    results = json.loads(parser.parse_args().results.read_text("utf-8"))
    (ROOT / "docs" / "benchmarks.md").write_text(page(results), "utf-8")
    figure(results, ROOT / "docs" / "benchmarks.svg")


if __name__ == "__main__":
    main()
