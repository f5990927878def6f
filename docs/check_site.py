"""The built site, looked at page by page in a browser: links, anchors, pictures, width, errors, and its search.

python docs/check_site.py site
"""

import http.server
import shutil
import sys
import threading
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urldefrag

from playwright.sync_api import Page, TimeoutError, sync_playwright

WIDTHS = (360, 1280)

SOUGHT = {
    "focal": "reference/crossentropy.functional.focal_loss.html",
    "perplexity": "reference/crossentropy.information.perplexity.html",
    "FSDP": "use/distributed.html",
    "token weights": "use/imbalance.html",
}
"""What is typed into the search, and a page that has to be found."""

LOOK = """() => ({
  links: [...document.querySelectorAll("a[href], link[href]")].map(a => a.href),
  anchors: [...document.querySelectorAll("[id], a[name]")].flatMap(e => [e.id, e.getAttribute("name")]).filter(Boolean),
  images: [...document.images].filter(i => (i.loading = "eager") && i.complete && !i.naturalWidth).map(i => i.src),
  unnamed: [...document.images].filter(i => !(i.getAttribute("alt") || "").trim()).map(i => i.src),
  hashes: [...document.images].filter(i => /[0-9a-f]{64}/.test(i.alt)).map(i => i.alt),
})"""

WIDER = """() => document.scrollingElement.scrollWidth > innerWidth
  ? [...document.querySelectorAll("article *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
      .slice(0, 3).map(e => e.tagName + " " + e.className + " " + e.textContent.trim().slice(0, 40)) : null"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word, and an empty icon, for which browsers ask."""

    def do_GET(self) -> None:
        """Send a file."""
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def check_pages(page: Page, site: Path, root: str) -> list[str]:
    """Open each page, and return what is wrong."""
    wrong: list[str] = []
    links: dict[str, set[str]] = {}
    anchors: dict[str, set[str]] = {}
    here = ""
    page.on("console", lambda m: wrong.append(f"{here}: console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(f"{here}: {error}"))
    page.on("response", lambda r: wrong.append(f"{here}: {r.status} {r.url}") if r.status >= 400 else None)
    for path in sorted(site.rglob("*.html")):
        here = path.relative_to(site).as_posix()
        page.set_viewport_size({"width": WIDTHS[-1], "height": 900})
        page.goto(root + here)
        found = page.evaluate(LOOK)
        links[here], anchors[root + here] = set(found["links"]), set(found["anchors"])
        wrong += [f"{here}: no picture {image}" for image in found["images"]]
        wrong += [f"{here}: no words for {image}" for image in found["unnamed"] + found["hashes"]]
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if (wider := page.evaluate(WIDER)) is not None:
                wrong.append(f"{here}: wider than {width} pixels: {wider}")
    for here, targets in links.items():
        for target in targets:
            address, anchor = urldefrag(target)
            address = address.partition("?")[0]
            if address.startswith(root):
                address += "index.html" if address.endswith("/") else ""
                if not (site / unquote(address[len(root) :])).is_file():
                    wrong.append(f"{here}: broken link {target}")
                elif anchor and address in anchors and unquote(anchor) not in anchors[address]:
                    wrong.append(f"{here}: no such place {target}")
    return wrong


def check_search(page: Page, root: str) -> list[str]:
    """Type into the search box, and return what is not found."""
    wrong = []
    for words, expected in SOUGHT.items():
        page.goto(root)
        page.locator("input.sidebar-search").first.fill(words)
        page.keyboard.press("Enter")
        page.wait_for_selector("#search-results .search-summary", state="attached")
        try:
            page.wait_for_selector(f'#search-results a[href*="{expected}"]', timeout=10_000)
        except TimeoutError:
            wrong.append(f"searching for {words!r} does not find {expected}")
    return wrong


def main(site: Path) -> int:
    """Check, print what is wrong, and return the exit status."""
    handler = partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        names = ("chromium", "chromium-browser", "google-chrome")
        executable = next(filter(None, map(shutil.which, names)), None)
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        root = f"http://127.0.0.1:{server.server_port}/"
        wrong = check_pages(browser.new_page(viewport={"width": 1280, "height": 900}), site, root)
        wrong += check_search(browser.new_page(viewport={"width": 1280, "height": 900}), root)
        browser.close()
        server.shutdown()
    print("\n".join(wrong) or f"{len(list(site.rglob('*.html')))} pages, and nothing wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
