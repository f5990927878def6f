"""The site builds without a warning, has a page for each public name, and loads nothing from another host."""

import fcntl
import importlib
import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crossentropy import explain
from test_public_surface import SURFACE

ROOT = Path(__file__).parent.parent

STRICT = ("--nitpicky", "--fail-on-warning", "--keep-going", "--jobs", "2", "--quiet")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "-m", "sphinx", *STRICT, str(ROOT / "docs"), str(out)]
    with open(tmp_path_factory.getbasetemp().parent / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a build writes docs/reference: two at once would take it from each other
        result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return out


class Loaded(HTMLParser):
    """What a page loads as it is opened: addresses in anything but a link to follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses = re.findall(r"(?:@import|url\()\s*[\"']?([^\"')]+)", text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            names = ("src", "srcset", "href", "xlink:href", "data", "poster")
            self.addresses += [value for name, value in attrs if name in names and value]


def elsewhere(text: str) -> list[str]:
    return [address for address in Loaded(text).addresses if re.match(r"(\w+:)?//", address)]


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css", ".svg")]
    assert len(files) > 60
    assert {str(path): found for path in files if (found := elsewhere(path.read_text("utf-8")))} == {}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/math.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "<style>@import 'http://fonts.example/css';</style>",
        "@font-face { src: url(https://fonts.example/a.woff2) }",
    ],
)
def test_that_test_can_fail(text: str) -> None:
    assert elsewhere(text)
    assert not elsewhere('<a href="https://example.org"><img src="figure.svg"></a>')


@pytest.mark.parametrize(
    ("lang", "pages"), [("en", ["index", "learn/en/information"]), ("zh", ["zh/index", "learn/zh/information"])]
)
def test_the_chain_is_there_to_play_with(site: Path, lang: str, pages: list[str]) -> None:
    assert (site / f"chain.{lang}.html").read_text("utf-8") == explain.chain(lang).to_html()
    for page in pages:
        link = f'href="{"../" * page.count("/")}chain.{lang}.html"'
        assert link in (site / f"{page}.html").read_text("utf-8")


@pytest.mark.parametrize("module", SURFACE)
def test_every_public_name_has_a_page(site: Path, module: str) -> None:
    overview = (site / "reference" / f"{module}.html").read_text("utf-8")
    for name in SURFACE[module]:
        if not inspect.ismodule(getattr(importlib.import_module(module), name)):
            page = re.search(rf'href="(crossentropy\.[\w.]+\.html)#crossentropy\.[\w.]*\b{name}"', overview)
            assert page is not None, name
            assert f">{name}<" in (site / "reference" / page[1]).read_text("utf-8")
