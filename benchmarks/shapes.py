"""Shapes of losses in real models: N rows, C classes (a vocabulary V), D features of the head.

Rows are scaled to what two cores do in about a second, which the names state; a ratio to torch hardly depends on them.
`targets` are the most that ours may take of a contender's time, or of memory in bytes, on two CPU cores.
"""

from crossentropy._benchmark import Case

ALL = {"class_weight": True, "label_smoothing": 0.1, "softcap": 30.0, "z_loss": 1e-4}
HEAD = 4 * (1024 * 768 + 32_000 * 768)  # bytes of the gradients of hidden states and head


def logits(*shape: int, size: int = 4) -> float:
    """Bytes of 1.1 times the logits."""
    count = 1.1 * size
    for n in shape:
        count *= n
    return count


SLOW = ("torch chunked",)  # on a CPU it multiplies bfloat16 in emulation: a minute a pass

LOGITS = ("32k vocabulary", (4096, 32_000))
SEGMENTATION = ("segmentation, 21 classes", (8, 21, 256, 256))
HIDDEN = (1024, 768, 32_000)

TARGETS = (
    Case(
        *LOGITS,
        targets={"torch": 0.18, "torch.compile": 0.35, "copy": 2.2, "bytes": logits(4096, 32_000)},
    ),
    Case(*LOGITS, gradient=False, targets={"torch": 0.18, "torch.compile": 0.55, "read": 1.6, "bytes": 8e6}),
    *(
        Case(*LOGITS, dtype, gradient=gradient, targets=targets)
        for dtype in ("bfloat16", "float16")
        for gradient, targets in (
            (True, {"torch": 0.28, "torch.compile": 0.4, "bytes": logits(4096, 32_000, size=2)}),
            (False, {"torch": 0.4, "torch.compile": 0.7, "bytes": 16e6}),
        )
    ),
    Case("ImageNet-1k", (65_536, 1000), targets={"torch": 0.18, "torch.compile": 0.35, "bytes": logits(65_536, 1000)}),
    Case("ImageNet-1k", (65_536, 1000), gradient=False, targets={"torch": 0.18, "bytes": 8e6}),
    Case(*SEGMENTATION, targets={"torch": 0.35, "torch.compile": 0.75, "bytes": logits(8, 21, 256, 256)}),
    Case(*SEGMENTATION, gradient=False, targets={"torch": 0.7, "bytes": 32e6}),
    *(
        Case(name, shape, gradient=gradient, targets={"torch": 1.0})
        for name, shape in (
            ("digits", (32, 10)),
            ("CIFAR-100", (256, 100)),
            ("ImageNet-1k, one device", (256, 1000)),
            ("ImageNet-1k", (1024, 1000)),
        )
        for gradient in (True, False)
    ),
    Case(
        "32k vocabulary head",
        HIDDEN,
        targets={"torch": 0.9, "products": 1.04, "torch chunked": 0.75, "bytes": 2**26 + HEAD},
    ),
    Case(
        "32k vocabulary head",
        HIDDEN,
        "bfloat16",
        targets={"torch": 1.0, "products": 1.1, "torch chunked": 0.2, "bytes": 2**26 + HEAD / 2},
    ),
    Case(
        "32k vocabulary head, class weights, smoothing, softcap, z-loss",
        HIDDEN,
        settings=ALL,
        targets={"crossentropy, plain": 1.15, "bytes": 2**26 + HEAD},
    ),
    Case("32k vocabulary head", HIDDEN, gradient=False, targets={"products": 1.05, "bytes": 2**26}),
)

MODELS = (
    Case("GPT-2 (256 tokens)", (256, 768, 50_257)),
    Case("Qwen2.5-0.5B (256 tokens)", (256, 896, 151_936), "bfloat16", without=SLOW),
    Case("Qwen3-0.6B (256 tokens)", (256, 1024, 151_936), "bfloat16", without=SLOW),
    Case("Llama-3-8B (256 tokens)", (256, 4096, 128_256), "bfloat16", without=SLOW),
    Case("Gemma-2-2B (256 tokens), softcap", (256, 2304, 256_000), "bfloat16", settings={"softcap": 30.0}),
)

ACCELERATOR = (
    Case("Llama-3-8B", (4096, 4096, 128_256), "bfloat16"),
    Case("Llama-3-8B", (8192, 4096, 128_256), "bfloat16"),
    Case("ImageNet-1k", (65_536, 1000), "bfloat16"),
    Case("32k vocabulary", (4096, 32_000), "bfloat16"),
)
