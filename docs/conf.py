"""How Sphinx builds the site: its settings, the pages of the reference, and formulas that need no script."""

import inspect
import logging
import os
import re
import shutil
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.writers.html5 import HTML5Translator

import crossentropy
from crossentropy import doctor
from crossentropy.doctor.rules import RULES

logging.getLogger("traitlets").setLevel(logging.WARNING)  # or each page announces its kernel

project = "crossentropy"
author = "The crossentropy authors"
release = crossentropy.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static"]
highlight_language = "none"  # indented blocks hold formulas
highlight_options = {"python": {"stripnl": True}}  # the blank line that ends a doctest
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!crossentropy\b).*|.*\._.*")]  # torch's and Python's own, and what is private

html_theme = "furo"
html_title = f"crossentropy {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "outlines"
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "remove-warn"  # a page that prints to stderr does not pass
os.environ["OMP_NUM_THREADS"] = "1"  # threads of pages that run at once would wait for each other, ten times as long
os.environ["PYTHONWARNINGS"] = "ignore:Glyph:UserWarning"  # Chinese words of a figure are drawn by the reader's browser

autodoc_typehints_format = "short"
napoleon_custom_sections = ["Shape"]
napoleon_use_rtype = False
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True


# --- the reference ------------------------------------------------------------------------------------------------
#
# Each public name has a page of its own, docs/reference/<full name>.rst, and each module one that lists its names. What
# is public is what the modules' __all__ say; what several of them offer is described where it is listed first.

REFERENCE = Path(__file__).parent / "reference"
SUBMODULES = (
    *("information", "functional", "nn", "distributed", "lazy", "metrics", "integrations", "integrations.transformers"),
    *("integrations.lightning", "integrations.accelerate", "continuous", "doctor", "testing"),
)
MODULES = (crossentropy, *(import_module(f"crossentropy.{name}") for name in SUBMODULES))

NAMES = {id(module): module.__name__ for module in MODULES}
"""Full name of each public object, by its identity."""
for _module in MODULES:
    for _name in _module.__all__:
        NAMES.setdefault(id(getattr(_module, _name)), f"{_module.__name__}.{_name}")


def write_reference(app: Sphinx) -> None:
    """Write the reference's pages."""
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir()
    for module in MODULES:
        names = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
        own = [name for name in names if NAMES[id(getattr(module, name))] == f"{module.__name__}.{name}"]
        write_page(module.__name__, module.__name__, module_page(module, names, own))
        for name in own:
            full = f"{module.__name__}.{name}"
            write_page(full, full.removeprefix("crossentropy."), name_page(module, name))
    write_page("rules", "Rules of the doctor", "\n".join(map(rule_section, RULES.values())))


def write_page(full: str, title: str, body: str) -> None:
    """Write one page."""
    (REFERENCE / f"{full}.rst").write_text(f"{title}\n{'=' * len(title)}\n\n{body}\n", "utf-8")


def module_page(module: ModuleType, names: list[str], own: list[str]) -> str:
    """What a module is for, and what it offers."""
    lines = [f".. automodule:: {module.__name__}\n"]
    for name in names:
        thing = getattr(module, name)
        first = (inspect.getdoc(thing) or "").split("\n", 1)[0]
        lines.append(f":py:obj:`{name} <{NAMES[id(thing)]}>`\n    {with_links(first, module)}\n")
    lines.append(".. toctree::\n   :hidden:\n")
    lines += [f"   {name} <{module.__name__}.{name}>" for name in own]
    return "\n".join(lines)


def name_page(module: ModuleType, name: str) -> str:
    """A class, a function, or an object that is called like one and has methods."""
    thing = getattr(module, name)
    if inspect.isclass(thing):
        return f".. autoclass:: {module.__name__}::{name}\n   :members:\n   :exclude-members: extra_repr, record"
    methods = [] if inspect.isroutine(thing) else [m for m in vars(type(thing)) if not m.startswith("_")]
    return "\n\n".join(f".. autofunction:: {module.__name__}::{n}" for n in (name, *(f"{name}.{m}" for m in methods)))


def rule_section(rule: doctor.Rule) -> str:
    """What goes wrong, what is seen of it, and how it is mended."""
    seen = " and ".join(name for name, can in (("at run time", rule.run), ("in source", rule.source)) if can)
    paragraphs = [
        f"{rule.name}\n{'-' * len(rule.name)}",
        rule.meaning,
        f"**Symptom.** {rule.symptom}",
        f"**Fix.** {rule.fix} Found {seen}{', as info: the loss is right' if rule.harmless else ''}.",
        ".. code-block:: diff",
        *(f"    {sign} {line}" for sign, code in (("-", rule.wrong), ("+", rule.right)) for line in code.split("\n")),
    ]
    return "\n\n".join(paragraphs[:5]) + "\n\n" + "\n".join(paragraphs[5:]) + "\n"


def adapt(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: its formulas are literal blocks, its single backticks code or links."""
    module = thing if inspect.ismodule(thing) else inspect.getmodule(thing)
    text = re.sub(r"(?m)^(\S.*\n)\n(?= {4})", r"\1\n::\n\n", "\n".join(lines))
    lines[:] = with_links(text, module).split("\n")


def with_links(text: str, module: ModuleType | None) -> str:
    """Text whose `code` is a link where it names something public, from within the module or the package."""

    def role(match: re.Match[str]) -> str:
        for start in (module, crossentropy):
            try:
                thing = attrgetter(match[1].removeprefix("crossentropy."))(start)
            except AttributeError:
                continue
            if id(thing) in NAMES:
                return f":py:obj:`{match[1]} <{NAMES[id(thing)]}>`"
        return f"``{match[1]}``"

    return re.sub(r"(?<!`)`([^`]+)`(?!`)", role, text)


# --- formulas and languages ---------------------------------------------------------------------------------------


FONT = FontProperties(size=10, math_fontfamily="cm")
SCALE = 10 / text_to_path.FONT_SCALE
CHINESE = ("zh/", "learn/zh/")
DRAW = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C", Outline.CLOSEPOLY: "Z"}


def visit_math(translator: HTML5Translator, node: nodes.Element) -> None:
    """A formula as outlines in the text's colour and size: the same in every browser, without scripts and fonts."""
    tex = " ".join(node.astext().split())
    width, height, depth = text_to_path.get_text_width_height_descent(f"${tex}$", FONT, ismath=True)  # tenths of an em
    outline = Outline(*text_to_path.get_text_path(FONT, f"${tex}$", ismath=True))
    d = "".join(
        DRAW[code] + " ".join(f"{x:.0f}" for x in points if code != Outline.CLOSEPOLY)
        for points, code in outline.iter_segments(simplify=False)
    )
    kind = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(
        f'<svg class="formula {kind}" role="img" aria-label="{translator.attval(tex)}" '
        f'viewBox="0 {depth - height:.2f} {width:.2f} {height:.2f}" '
        f'style="width: {width / 10:.2f}em; height: {height / 10:.2f}em; vertical-align: {-depth / 10:.2f}em">'
        f'<path transform="scale({SCALE} {-SCALE})" d="{d}"/></svg>'
    )
    raise nodes.SkipNode


def keep_punctuation(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Let no line begin with the punctuation behind a formula."""
    for formula in list(doctree.findall(nodes.math)):
        parent, i = formula.parent, formula.parent.index(formula)
        text = parent[i + 1] if i + 1 < len(parent) else ""
        if isinstance(text, nodes.Text) and text[0] in ".,;:?!)、，。；：？！）”":
            together = nodes.inline("", "", formula, nodes.Text(text[0]), classes=["together"])
            parent[i : i + 2] = [together, nodes.Text(text[1:])]


def read_in_halves(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Let parallel builds run the pages of both languages at once: each process reads a stretch of this list."""
    docnames.sort(key=lambda name: name.startswith(CHINESE))


def set_language(app: Sphinx, page: str, template: str, context: dict[str, object], doctree: object) -> None:
    """Say which pages are Chinese, so that browsers choose the right glyphs."""
    if page.startswith(CHINESE):
        context["language"] = "zh-CN"


def setup(app: Sphinx) -> None:
    """Connect all of that."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", adapt, priority=400)  # before napoleon
    app.connect("env-before-read-docs", read_in_halves)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("html-page-context", set_language)
    app.add_html_math_renderer("outlines", (visit_math, None), (visit_math, None))
