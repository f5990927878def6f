"""`crossentropy bench` and `crossentropy plan`: their arguments, and what they print."""

import argparse
import json
import math
from pathlib import Path

from crossentropy import _disk, _terminal
from crossentropy._parser import Parser, size
from crossentropy._progress import progress
from crossentropy._usage import UnusableInputError, positive


def add_shape(parser: Parser) -> None:
    """What both commands are told of a loss."""
    parser.add_argument(
        "--shape", type=_shape, required=True, help="N,C or N,C,d1,d2 of logits; N,D,V of hidden states and a head"
    )
    parser.add_argument(
        "--dtype",
        type=_dtype,
        choices=("float32", "bfloat16", "float16", "float64"),
        default="float32",
        help="dtype of the logits, or of hidden states and head (default: float32)",
    )
    parser.add_argument("--forward", action="store_true", help="forward alone, without gradients")


def add_bench_arguments(parser: Parser) -> None:
    """The arguments of `bench`, and what they are for."""
    parser.description = (
        "Measure forward and backward of one shape: ours, torch's eager and compiled functions and, for a head, "
        "torch's chunked one; on CUDA also peers that are installed."
    )
    parser.epilog = "Exit codes: 0 done · 2 wrong arguments, no such device, or too little memory."
    add_shape(parser)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run it (default: cpu)")
    parser.add_argument("--repeat", type=positive, default=15, metavar="N", help="rounds (default: 15)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also store the results")


def add_plan_arguments(parser: Parser) -> None:
    """The arguments of `plan`, and what they are for."""
    parser.description = (
        "Print how a loss would be computed, its memory beside that of torch's own functions, and the time to "
        "expect, from measured rates of this machine or those of a card that need not be here."
    )
    parser.epilog = "Exit codes: 0 done · 2 wrong arguments, or no such device."
    add_shape(parser)
    parser.add_argument(
        "--device",
        type=_device,
        choices=("cpu", "cuda", "A100", "H100", "H200", "B200"),
        default="cpu",
        help="this machine's CPU or GPU, or a card that need not be here (default: cpu)",
    )
    parser.add_argument("--memory", type=size, metavar="SIZE", help="workspace, as 64MB or 2GB (default: by device)")
    parser.add_argument("--json", action="store_true", help="print JSON: bytes, FLOPs and seconds")


def _dtype(text: str) -> str:
    return text.lower().replace("bf16", "bfloat16").replace("fp", "float")


def _device(text: str) -> str:
    return text.lower() if text.lower() in ("cpu", "cuda") else text.upper()


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if len(sizes) < 2 or not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape, expected positive numbers as in 4096,32000")
    shape = tuple(map(int, sizes))
    if math.prod(shape) >= 1 << 60:
        raise argparse.ArgumentTypeError(f"{text!r} is larger than any memory")
    return shape


def bench(options: argparse.Namespace) -> int:
    """Measure a loss, print what was measured and store it."""
    from crossentropy import _benchmark

    _require(options.device)
    if options.json is not None:
        _require_writable(options.json)
    case = _benchmark.Case("shape", options.shape, options.dtype, not options.forward)
    try:
        with progress(quiet=options.quiet) as show:
            report = _benchmark.measure(
                case,
                device=options.device,
                repeat=options.repeat,
                compiled=not options.no_compile,
                progress=show,
            )
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        raise UnusableInputError(f"{case} does not fit into memory: {error}") from error
    _terminal.print_text(f"{report}\n")
    if options.json is not None:
        stored = {**_benchmark.machine(), "cases": [report.to_dict()]}
        _disk.write({options.json: (json.dumps(stored, indent=1) + "\n").encode()})
    return 0


def plan(options: argparse.Namespace) -> int:
    """Print how a loss would be computed, and what it would need."""
    with progress(quiet=options.quiet) as show:
        show("loading torch", 0, 0)
        from crossentropy._benchmark import Case
        from crossentropy._forecast import forecast

        _require(options.device)
        case = Case("shape", options.shape, options.dtype, not options.forward)
        if options.device in ("cpu", "cuda"):
            show("measuring the rates of this machine", 0, 0)
        made = forecast(case, options.device, options.memory)
    if options.json:
        _terminal.print_json(json.dumps(made.to_dict(), ensure_ascii=False, indent=1))
    else:
        _terminal.print_text(f"{made}\n")
    return 0


def _require(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UnusableInputError("--device cuda: this machine, or this build of torch, has none")


def _require_writable(file: Path) -> None:
    try:
        _disk.check_writable(file, parents=True)
    except OSError as error:
        raise UnusableInputError(f"--json: cannot write {file}: {error.strerror}") from error
