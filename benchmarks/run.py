"""What does a loss cost, forward and backward, against what one would use instead? See README.md for the protocol."""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from shapes import ACCELERATOR, MODELS, TARGETS

from crossentropy import _benchmark

RESULTS = Path(__file__).parent / "results"
INSTRUCTIONS = ("CROSSENTROPY_NATIVE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables that choose instructions: ours, torch's, and those of the libraries that multiply for it."""


def main() -> None:
    """Measure the cases, print each, store all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15, metavar="N", help="rounds per case (default: 15)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose description contains the text")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="contenders that are left out")
    parser.add_argument("--targets", action="store_true", help="no shapes of models")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "local.json", metavar="FILE", help="where to store results"
    )
    options = parser.parse_args()
    set_by_hand = [f"{name}={os.environ[name]}" for name in INSTRUCTIONS if name in os.environ]
    stored = {**_benchmark.machine(), "command": " ".join([*set_by_hand, "python", *sys.argv]), "cases": []}
    models = () if options.targets else MODELS
    for case in ACCELERATOR if options.device == "cuda" else (*TARGETS, *models):
        if options.only in str(case):
            torch.compiler.reset()
            large = case in MODELS
            report = _benchmark.measure(
                replace(case, without=(*case.without, *options.without)),
                device=options.device,
                repeat=min(options.repeat, 5) if large else options.repeat,
                compiled=not large,
            )
            print(report, flush=True)
            stored["cases"].append(report.to_dict())
            options.out.parent.mkdir(exist_ok=True)
            options.out.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    print(f"stored in {options.out}")


if __name__ == "__main__":
    main()
