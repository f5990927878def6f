"""An explanation as a figure of matplotlib, in the manner of scikit-learn's displays."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from crossentropy._explain._data import Computation, Step, number
from crossentropy._explain._layout import class_name, row_name
from crossentropy._explain._words import say
from crossentropy._languages import Language
from crossentropy._usage import installation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text


class ExplanationDisplay:
    """A figure of an explanation, with its artists kept.

        a cell for each q_ic, the target's boxed, and the row's loss beside it · or blocks p_c wide, −log q_c high

    Of a loss: the matrix of probabilities. Of the quantities: the area that they are; of −log p: bars. The fonts are
    those of matplotlib and, for characters that they lack, others that are installed. Where none has them the figure's
    words are English, and a class is shown by its index.

    Args:
        explanation: What `crossentropy.explain` returned.

    Attributes:
        ax_: The axes.
        figure_: Their figure.
        im_: The image of a loss's probabilities, or None.
        text_: The numbers on it.
        boxes_: The targets' boxes.
        bars_: The blocks or bars of a quantity, or None.

    Raises:
        ImportError: matplotlib is missing.

    Examples:
        >>> import crossentropy, torch
        >>> e = crossentropy.explain(torch.eye(2), torch.tensor([0, 1]), lang="en")
        >>> display = crossentropy.ExplanationDisplay(e).plot()
        >>> len(display.boxes_)
        2

    See Also:
        `Explanation.plot`, which returns the axes alone.
    """

    ax_: "Axes"
    figure_: "Figure"
    im_: "AxesImage | None"
    text_: "list[Text]"
    boxes_: "list[Rectangle]"
    bars_: "list[BarContainer]"

    def __init__(self, explanation: Computation) -> None:
        self.explanation = explanation

    def plot(self, ax: "Axes | None" = None) -> "ExplanationDisplay":
        """Draw.

        Args:
            ax: Axes to draw on; new ones by default.

        Returns:
            The display itself.
        """
        try:
            from matplotlib import rc_context
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(f"plot() needs matplotlib: {installation('plot')}") from error
        e = self.explanation
        self._words = words = _Words(e)
        with rc_context({"font.family": words.families}):
            if ax is None:
                ax = _new_axes(Figure, e)
            self.ax_, self.figure_ = ax, ax.get_figure(root=True)  # pyright: ignore[reportAttributeAccessIssue]
            self.im_, self.text_, self.boxes_, self.bars_ = None, [], [], []
            probabilities = e.step("softmax") or e.step("probabilities")
            if probabilities is not None:
                self._matrix(e, probabilities)
            elif e.kind == "information":
                self._information(e)
            else:
                self._areas(e)
            ax.set_title(words.title)
        return self

    def _matrix(self, e: Computation, step: Step) -> None:
        from matplotlib.patches import Rectangle

        ax, words, shown = self.ax_, self._words, _with_rest(step)
        (rows, columns), names = shown.shape, [words.name(0, k) for k in range(shown.shape[1])]
        self.im_ = ax.imshow(shown.double().numpy(), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        for i in range(rows):
            for k in range(columns):
                q = float(shown[i, k])
                text = number(q) if e.shown.aligned else f"{words.name(i, k)}\n{number(q)}"
                colour = "white" if q > 0.6 else "black"
                self.text_.append(ax.text(k, i, text, ha="center", va="center", color=colour))
            for k in e.shown.labels[i]:
                box = Rectangle((k - 0.48, i - 0.46), 0.96, 0.92, fill=False, edgecolor="#b45309", linewidth=2.5)
                ax.add_patch(box)
                self.boxes_.append(box)
        ax.set_xticks(range(columns) if e.shown.aligned else [], names if e.shown.aligned else [])
        marks = ["× " if ignored else "" for ignored in e.shown.ignored]
        ax.set_yticks(range(rows), [mark + row_name(e, i) for i, mark in enumerate(marks)])
        ax.set(xlabel=words.say("class"), ylabel=words.say("row"))
        losses = e.step("loss") or e.step("nll")
        assert losses is not None
        right = ax.secondary_yaxis("right")
        right.set_yticks(range(rows), [number(x) for x in losses.tensor.tolist()])
        right.set_ylabel(words.say(losses.key))

    def _information(self, e: Computation) -> None:
        step = e.step("information")
        assert step is not None
        names = [self._words.name(0, k) for k in range(step.tensor.shape[1])]
        values = step.tensor[0].double().nan_to_num(posinf=0.0).numpy()
        self.bars_.append(self.ax_.bar(range(len(names)), values, color=OWN))
        self.text_ += self.ax_.bar_label(self.bars_[0], [number(x) for x in step.tensor[0].tolist()])
        self.ax_.set_xticks(range(len(names)), names)
        self.ax_.margins(y=0.15)
        self.ax_.set(xlabel=self._words.say("outcome"), ylabel=f"−{_log(e)} p  ({e.unit})")

    def _areas(self, e: Computation) -> None:
        """The first distribution: blocks p_c wide, filled up to −log p_c, hatched from there up to −log q_c."""
        p = e.step("p")
        assert p is not None
        q = e.step("q") or p
        unit = 1.0 if e.lab is None else e.lab.per_nat
        widths = p.tensor[0].double()
        shown = [k for k, width in enumerate(widths.tolist()) if width > 0]
        left = (widths.cumsum(0) - widths).numpy()
        truth, belief = (-step.tensor[0].double().log() * unit for step in (p, q))
        heights = torch.stack([truth, belief])[:, shown].nan_to_num(posinf=0.0)
        cap = 1.25 * max(1.0, float(heights.max()))
        base, top = torch.minimum(truth, belief).clamp(max=cap), torch.maximum(truth, belief).clamp(max=cap)
        style: dict[str, Any] = {"width": widths.numpy(), "align": "edge", "linewidth": 1.2}
        self.bars_.append(self.ax_.bar(left, base.numpy(), color=OWN, edgecolor="white", **style))
        if e.kind == "kl":
            for more, look in (
                (belief > truth, {"color": "none", "edgecolor": GAP, "hatch": "//"}),
                (belief < truth, {"color": SURPLUS, "edgecolor": SURPLUS, "alpha": 0.5}),
            ):
                part = torch.where(more, top - base, 0.0).numpy()
                self.bars_.append(self.ax_.bar(left, part, bottom=base.numpy(), **look, **style))
        names = [self._words.name(0, k) for k in shown]
        self.ax_.set_xticks([float(left[k] + widths[k] / 2) for k in shown], names)
        label = f"−{_log(e)} {'q' if e.kind == 'kl' else 'p'}  ({e.unit})"
        self.ax_.set(xlabel=self._words.say("outcome"), ylabel=label, xlim=(0, 1))


OWN, GAP, SURPLUS = "#2b6cb0", "#b45309", "#0f766e"


def _with_rest(step: Step) -> Tensor:
    """The probabilities that are shown and, in a column behind them, those of the other classes together."""
    return step.tensor if step.rest is None else torch.cat([step.tensor, step.rest.unsqueeze(1)], 1)


def _log(e: Computation) -> str:
    return {"nat": "log", "bit": "log₂", "hartley": "log₁₀"}[e.unit]


def _new_axes(figure: "type[Figure]", e: Computation) -> "Axes":
    """Axes of a figure of their own, with room for their cells; pyplot's state is not touched."""
    step = e.step("softmax") or e.step("probabilities")
    rows, columns = step.tensor.shape if step is not None else (4, 6)
    size = (max(5.0, 1.6 + columns * (0.95 if e.shown.aligned else 1.05)), max(2.6, 1.4 + rows * 0.5))
    return figure(figsize=size, layout="constrained").subplots()


class _Words:
    """The words of a figure, in fonts that have them."""

    def __init__(self, e: Computation) -> None:
        from crossentropy._explain._fonts import families

        self._e, (rows, columns) = e, e.shown.classes.shape
        names = {class_name(e, row, k) for row in range(rows) for k in range(columns)}
        keys = ("class", "row", "outcome", "loss", "nll")
        words = e.title + "".join(say(e.lang, key) for key in keys)
        self.families, self._missing = families("".join((words, *names)))
        self.lang: Language = "en" if self._missing & set(words) else e.lang

    @property
    def title(self) -> str:
        return self._e.titles[self.lang]

    def say(self, key: str) -> str:
        return say(self.lang, key)

    def name(self, row: int, column: int) -> str:
        """The name of a class, its index where no font has the name, or how many the last column stands for."""
        shown = self._e.shown
        if column >= shown.classes.shape[1]:
            return f"+{shown.hidden_classes:,}"
        name = class_name(self._e, row, column)
        return name if self._missing.isdisjoint(name) else str(int(shown.classes[row, column]))
