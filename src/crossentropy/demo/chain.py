"""Act 1, the chain: information, entropy, divergence, cross entropy, and the same numbers as a loss of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as torch_functional
from torch import Tensor, tensor

from crossentropy import Explanation, explain, information
from crossentropy._languages import Language
from crossentropy.demo.report import Figure, Section, Table, draw, translated

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

PAGE = "demo-chain.html"
LABELS = (1, 3, 4)
P, Q = [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]
DISTRIBUTIONS = {
    "a certain outcome": [1.0, 0.0],
    "a coin, 9 heads to 1 tail": [0.9, 0.1],
    "a fair coin": [0.5, 0.5],
    "a die loaded to half sixes": [0.1, 0.1, 0.1, 0.1, 0.1, 0.5],
    "a fair die": [1 / 6] * 6,
}


@dataclass(frozen=True)
class Line:
    """One number of ours, and the same number as torch gives it."""

    name: str
    formula: str
    ours: Tensor
    torchs: Tensor

    @property
    def agrees(self) -> bool:
        """Whether the two are equal to a few roundings of float32."""
        return torch.allclose(self.ours.float(), self.torchs.float(), rtol=1e-5, atol=1e-6)


def lines() -> list[Line]:
    """The numbers of quantities on distributions."""
    at_least_one, all_six = 1 - (5 / 6) ** 6, (1 / 6) ** 6
    result = [
        Line(name, "−log₂ P", information.information(p, unit="bit"), -torch.log2(tensor(p)))
        for name, p in (("at least one six in six rolls", at_least_one), ("six sixes in six rolls", all_six))
    ]
    for name, p in DISTRIBUTIONS.items():
        bits = torch.distributions.Categorical(tensor(p)).entropy() / torch.log(tensor(2.0))
        result.append(Line(f"entropy of {name}", "H(p), bit", information.entropy(p, unit="bit"), bits))
    p, log_q = tensor(P), tensor(Q).log()
    divergence = torch_functional.kl_div(log_q, p, reduction="sum")
    result += [
        Line("entropy of the label p = [0, 1, 0]", "H(p)", information.entropy(P), tensor(0.0)),
        Line("divergence of q = [0.1, 0.2, 0.7]", "KL(p‖q)", information.kl_divergence(P, Q), divergence),
        Line("cross entropy", "H(p, q)", information.cross_entropy(P, Q), -log_q[1]),
        Line("… is entropy plus divergence", "H(p) + KL(p‖q)", information.entropy(P) + divergence, -log_q[1]),
    ]
    return result


def batch(seed: int, lang: Language = "en") -> Explanation:
    """Every step from logits of three samples and five classes to their loss."""
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
    return explain(logits, tensor(LABELS), class_names=tuple("ABCDE"), lang=lang)


def section(quantities: list[Line], batch: Explanation, lang: Language = "en") -> Section:
    """The act as text, tables and its curve."""
    header = ("what", "formula", "value", "= torch")
    english = Section(
        "1. The chain",
        (
            "The rarer an outcome, the more it tells: −log P. Entropy is what outcomes tell on average, and it is "
            "largest when all are equally likely. The divergence KL(p‖q) is what believing q costs when the truth is "
            "p; entropy plus divergence is the cross entropy, which for a label is −log q of the true class.",
            _curve(lang),
            Table(header, tuple(_cells(line) for line in quantities)),
            "A network gives logits z; log_softmax makes them logarithms of probabilities; the loss is the mean of "
            "those of the labels, negated. A batch of three samples and five classes, whose labels are B, D and E:",
            batch,
            f"All of this as one page to play with is written beside the report: {PAGE}.",
        ),
    )
    return translated(english, lang)


def _cells(line: Line) -> tuple[str, ...]:
    value = f"{line.ours.item():7.4f}"
    return line.name, line.formula, value, "yes" if line.agrees else f"NO: {line.torchs.tolist()}"


def _curve(lang: Language) -> Figure:
    def paint(canvas: "MatplotlibFigure") -> None:
        left, right = canvas.subplots(1, 2)
        p = torch.linspace(0.001, 1, 500)
        left.plot(p, information.information(p, unit="bit"))
        left.set(xlabel="probability of the outcome", ylabel="bit", title="information −log₂ p", ylim=(0, 10))
        coin = torch.stack([p, 1 - p], 1)
        right.plot(p, information.entropy(coin, unit="bit"))
        right.set(xlabel="probability of heads", ylabel="bit", title="entropy of a coin")

    return draw("Information over (0, 1], and the entropy of a coin: largest when it is fair.", paint, lang)
