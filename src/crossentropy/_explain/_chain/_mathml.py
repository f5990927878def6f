r"""Formulae as MathML, from the little of TeX that they need.

    $H(p) = −\sum_c p_c \log p_c$    letters, digits, scripts, \frac{}{}, \sqrt{}, \sum, \int, names of functions

Letters p and q have the colours of the true and the predicted distribution wherever they stand; \h{}, \kl{} and \ce{}
give a part the colour of a quantity.
"""

import html
import re

_TOKEN = re.compile(r"\\[A-Za-z]+|[0-9]+(?:\.[0-9]+)?|[A-Za-z∂μσπθηΔ]|\s+|.")
_FUNCTIONS = {"log", "exp", "softmax", "lse", "KL", "mean"}
_LARGE = {"sum": "∑", "int": "∫"}
_COLOURS = {"h", "kl", "ce"}


def mathml(source: str, *, display: bool = False) -> str:
    """A formula as one element."""
    parser = _Parser(_TOKEN.findall(source))
    block = ' display="block"' if display else ""
    return f"<math{block}>{parser.row('')}</math>"


def with_formulae(text: str) -> str:
    """Text in which $…$ and $$…$$ become MathML; no line begins with the punctuation behind one."""
    text = re.sub(r"\$\$(.+?)\$\$", lambda found: mathml(found[1], display=True), text, flags=re.DOTALL)
    return re.sub(r"\$([^$]+)\$([,.;:)，。；：、）]?)", _inline, text)


def _inline(found: re.Match[str]) -> str:
    formula = mathml(found[1])
    return f'<span class="whole">{formula}{found[2]}</span>' if found[2] else formula


class _Parser:
    """Recursive descent over tokens: a row is atoms with scripts, an atom a symbol, a group or a command."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [token for token in tokens if not token.isspace()]
        self._next = 0

    def row(self, end: str) -> str:
        """Atoms up to `end`, which is taken as well."""
        parts = []
        while self._next < len(self._tokens) and self._tokens[self._next] != end:
            parts.append(self._scripted())
        self._next += 1
        return "".join(parts)

    def _scripted(self) -> str:
        large = self._tokens[self._next][1:] in _LARGE
        base, scripts = self._atom(), {}
        while self._next < len(self._tokens) and self._tokens[self._next] in "_^":
            kind = self._take()
            scripts[kind] = self._atom()
        if not scripts:
            return base
        inside = base + "".join(scripts[kind] for kind in "_^" if kind in scripts)
        if large and base == "<mo>∑</mo>":
            tag = "munderover" if len(scripts) == 2 else "munder"
        else:
            tag = "msubsup" if len(scripts) == 2 else "msub" if "_" in scripts else "msup"
        return f"<{tag}>{inside}</{tag}>"

    def _atom(self) -> str:
        token = self._take()
        if token == "{":
            return f"<mrow>{self.row('}')}</mrow>"
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            colour = f' class="{token}"' if token in ("p", "q") else ""
            return f"<mi{colour}>{token}</mi>"
        stretch = ' stretchy="false"' if token in "‖|()" else ""
        return f"<mo{stretch}>{html.escape(token)}</mo>"

    def _command(self, name: str) -> str:
        if name == "frac":
            return f"<mfrac>{self._atom()}{self._atom()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self._atom()}</msqrt>"
        if name == "d":
            return '<mspace width="0.17em"/><mi>d</mi>'
        if name in _LARGE:
            return f"<mo>{_LARGE[name]}</mo>"
        if name in _COLOURS:
            return f'<mrow class="{name}">{self._atom()}</mrow>'
        assert name in _FUNCTIONS, name
        space = '<mspace width="0.17em"/>'
        opened = self._next < len(self._tokens) and self._tokens[self._next] in "(_^"
        return f"<mrow>{space}<mi>{name}</mi>{'' if opened else space}</mrow>"

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1]
