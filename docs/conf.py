"""How Sphinx builds the site: its settings, the pages of the reference, and formulas that need no script."""

import asyncio
import inspect
import io
import logging
import multiprocessing
import os
import re
import runpy
import shutil
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import matplotlib
from docutils import nodes
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.parallel import ParallelTasks
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


# --- the gallery --------------------------------------------------------------------------------------------------
#
# Each program is run as it stands, and writes its picture. A process that Sphinx forks has imported torch already.

GALLERY = Path(__file__).parent / "gallery"
STYLE = Path(__file__).parent / "learn" / "figure.mplstyle"


def draw_gallery(app: Sphinx) -> None:
    """Run the gallery's programs; a warning is an error."""
    shutil.rmtree(GALLERY / "pictures", ignore_errors=True)
    (GALLERY / "pictures").mkdir()
    tasks = ParallelTasks(max(app.parallel, 1))
    for program in sorted(GALLERY.glob("*.py")):
        tasks.add_task(draw, program)
    tasks.join()
    missing = [p.name for p in GALLERY.glob("*.py") if not (GALLERY / "pictures" / f"{p.stem}.svg").exists()]
    if missing:
        raise ExtensionError(f"programs that wrote no picture: {missing}")


def draw(program: Path) -> None:
    """Run one program, in the site's style, where its picture is to be."""
    os.environ |= {"MATPLOTLIBRC": str(STYLE), "MPLBACKEND": "agg"}  # for processes that it starts
    matplotlib.use("agg")
    matplotlib.rc_file(STYLE)
    os.chdir(GALLERY / "pictures")
    warnings.simplefilter("error")  # of what Python shows when nothing is said:
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
    with redirect_stdout(io.StringIO()):
        runpy.run_path(str(program), run_name="__main__")


# --- the chain ----------------------------------------------------------------------------------------------------


def write_chain(app: Sphinx, error: Exception | None) -> None:
    """Write the page to play with beside the others, in both languages: chain.en.html and chain.zh.html."""
    if error is None and app.builder.format == "html":
        for lang in ("en", "zh"):
            crossentropy.explain.chain(lang).to_html(Path(app.outdir) / f"chain.{lang}.html")


# --- pages that run -----------------------------------------------------------------------------------------------
#
# A kernel of a page is a fork of the process that reads it, which has imported torch and matplotlib: that saves 4 of 8
# seconds of each page.


class Fork(multiprocessing.get_context("fork").Process):
    """What the provisioner asks of a process, for one that was forked."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Wait for the end."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid or 0, number)


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel by a fork."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Start it, with the arguments of the command that would."""
        self.process = Fork(target=run_kernel, args=(cmd[cmd.index("-f") :], kwargs["cwd"]))
        self.process.start()
        self.pid = self.process.pid
        return self.connection_info


def run_kernel(arguments: list[str], folder: str) -> None:
    """Be a kernel."""
    os.chdir(folder)
    warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the reader's browser draws Chinese words of figures
    asyncio.set_event_loop(asyncio.new_event_loop())
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"  # with which it ends, and without which it speaks
    app = import_module("ipykernel.kernelapp").IPKernelApp
    app.launch_instance([*arguments, parent, "--matplotlib=inline", "--log-level=ERROR"])


def fork_kernels(app: Sphinx) -> None:
    """Let pages have kernels that are forks, of a process with everything that they import."""
    factory = KernelProvisionerFactory.instance(default_provisioner_name="fork")
    factory.provisioners["fork"] = SimpleNamespace(load=lambda: ForkProvisioner)
    for name in ("ipykernel.kernelapp", "matplotlib.pyplot", "sklearn.datasets"):
        import_module(name)


# --- formulas and languages ---------------------------------------------------------------------------------------


FONT = FontProperties(size=10, math_fontfamily="cm")
SCALE = 10 / text_to_path.FONT_SCALE
CHINESE = ("zh/", "learn/zh/", "gallery/zh")
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


def collapse_navigation(app: Sphinx, page: str, template: str, context: dict[str, object], doctree: object) -> None:
    """List the pages beneath a module only on its own: 150 links on each page take half the time of writing."""
    toctree = context.get("toctree")
    if callable(toctree):
        context["toctree"] = lambda **options: toctree(**options | {"collapse": True})


def setup(app: Sphinx) -> None:
    """Connect all of that."""
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", fork_kernels)
    app.connect("builder-inited", draw_gallery)
    app.connect("autodoc-process-docstring", adapt, priority=400)  # before napoleon
    app.connect("env-before-read-docs", read_in_halves)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("html-page-context", set_language)
    app.connect("html-page-context", collapse_navigation, priority=400)  # before furo
    app.connect("build-finished", write_chain)
    app.add_html_math_renderer("outlines", (visit_math, None), (visit_math, None))
