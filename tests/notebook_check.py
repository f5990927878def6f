"""An explanation in a notebook of a real JupyterLab: its frame works, and is alone. `make notebook` runs this by hand.

A server is started beside a settings folder of its own, with this Python as kernel; Chromium runs the cell and moves a
slider. The same notebook is then opened untrusted, in a dark theme, and as nbconvert's HTML.

    python tests/notebook_check.py [FOLDER]        screenshots and what was made go to FOLDER, which is kept

`jupyter-lab` is the one on the PATH. What the suite itself holds of all this is in test_explain_notebook.py.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from playwright.sync_api import Frame, Page, sync_playwright

from test_explain_page import chromium

CELL = """\
import torch
import crossentropy

logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
e = crossentropy.explain(logits, torch.tensor([0, 2]), class_names=["cat", "dog", "owl"], lang="en")
e"""
LOGITS, TARGET = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]]), torch.tensor([0, 2])
MOVED = LOGITS.index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(3.0))


def notebook() -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "one", "execution_count": None, "metadata": {}, "outputs": [], "source": CELL}
    kernel = {"kernelspec": {"name": "this", "display_name": "this", "language": "python"}}
    return {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def settings(folder: Path) -> dict[str, str]:
    """The environment of a server that reads and changes nothing of its user's."""
    kernel = folder / "data" / "kernels" / "this"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.joinpath("kernel.json").write_text(json.dumps({"argv": argv, "display_name": "this", "language": "python"}))
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    labs = {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    return {**os.environ, **places, **labs, "OMP_NUM_THREADS": "1"}


def choose_theme(folder: Path, name: str) -> None:
    file = folder / "settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"theme": name}))


@contextlib.contextmanager
def server(folder: Path, files: Path, environment: dict[str, str]) -> Iterator[str]:
    """JupyterLab's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "open_browser": False, "allow_root": True}
    options |= {"root_dir": files, "log_level": "ERROR"}
    command = ["jupyter-lab", *(f"--ServerApp.{name}={value}" for name, value in options.items())]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen([*command, f"--IdentityProvider.token={token}"], env=environment, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.5)
        yield f"{address}/lab/tree/{{}}?token={token}&reset"
    finally:
        process.terminate()
        process.wait(30)


def shown(frame: Frame, place: str) -> float:
    element = frame.locator(f'[data-n="{place}"]').last
    return float(element.evaluate("e => (e.querySelector('span') ?? e).textContent").replace("−", "-"))


def check_frame(page: Page) -> Frame:
    """The page in the frame computes what torch does, and can reach nothing."""
    element = page.wait_for_selector(".ce-frame iframe", timeout=120_000)
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_selector("#temperature")
    assert abs(shown(frame, "value::") - float(F.cross_entropy(LOGITS, TARGET))) < 1e-4
    frame.locator('input[data-k="1"]').focus()
    frame.locator('input[data-k="1"]').fill("3")  # as a hand on the slider does
    assert abs(shown(frame, "value::") - float(F.cross_entropy(MOVED, TARGET))) < 1e-4
    assert not page.locator(".ce-otherwise").is_visible()
    for reach in ("parent.document.title", "localStorage.length", "document.cookie"):
        reached = frame.evaluate(f"() => {{ try {{ return String({reach}) }} catch (e) {{ return e.name }} }}")
        assert reached == "SecurityError", (reach, reached)
    assert page.locator(".ce-frame").evaluate("e => e.scrollWidth <= e.clientWidth")
    return frame


def check_still(page: Page) -> None:
    """Without frames there are the tables."""
    page.wait_for_selector(".ce-otherwise table", timeout=60_000)
    assert page.locator(".ce-frame iframe").count() == 0
    assert page.locator(".ce-otherwise").is_visible()
    value = f"{float(F.cross_entropy(LOGITS, TARGET)):.4f}"
    assert value in page.locator(".ce-otherwise").inner_text()


def check_handle(page: Page) -> None:
    """The frame's corner can be dragged."""
    before = box(page)
    x, y = before["x"] + before["width"] - 5, before["y"] + before["height"] - 5
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 100, steps=5)
    page.mouse.up()
    assert abs(before["height"] - box(page)["height"] - 100) < 4, (before, box(page))


def box(page: Page) -> Any:
    return page.locator(".ce-frame > div").first.bounding_box()


def saved(page: Page, file: Path) -> dict[str, Any]:
    """The notebook, once its server has written it."""
    page.locator(".jp-CodeCell .cm-content").first.click()  # a key goes where one has clicked
    page.keyboard.press("Control+s")
    for _ in range(60):
        written = json.loads(file.read_text())
        if written["cells"][0]["outputs"]:
            return written
        time.sleep(0.5)
    raise AssertionError("JupyterLab did not save the notebook")


def check_kept(written: dict[str, Any]) -> None:
    output = written["cells"][0]["outputs"][0]["data"]
    assert set(output) == {"text/plain", "text/html"}
    assert "".join(output["text/plain"]).startswith("Cross entropy of logits")
    print(f"the output is {len(json.dumps(output)):,} bytes of the notebook's file")


def main(folder: Path) -> None:
    files = folder / "files"
    files.mkdir()
    (files / "cell.ipynb").write_text(json.dumps(notebook()))
    environment = settings(folder)
    choose_theme(folder, "JupyterLab Light")
    with sync_playwright() as playwright, server(folder, files, environment) as address:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"], ignore_default_args=["--hide-scrollbars"]
        )
        page = browser.new_page(color_scheme="null", viewport={"width": 1280, "height": 1200})
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))

        page.goto(address.format("cell.ipynb"))
        page.locator(".jp-CodeCell .cm-content").click(timeout=120_000)
        page.keyboard.press("Shift+Enter")
        frame = check_frame(page)
        assert not is_dark(frame)
        page.screenshot(path=folder / "light.png")
        check_handle(page)
        print("JupyterLab: the cell was run, a slider moved, and the loss is torch's")
        written = saved(page, files / "cell.ipynb")
        check_kept(written)

        written["cells"][0]["source"] = CELL + "\n"  # no longer what the server signed
        (files / "foreign.ipynb").write_text(json.dumps(written))
        page.goto(address.format("foreign.ipynb"))
        check_still(page)
        page.screenshot(path=folder / "untrusted.png")
        print("JupyterLab, of a notebook that it does not trust: the tables")

        choose_theme(folder, "JupyterLab Dark")
        page.goto(address.format("cell.ipynb"))
        frame = check_frame(page)
        assert is_dark(frame)
        page.screenshot(path=folder / "dark.png")
        print("JupyterLab, opened again in its dark theme: dark, and it moves without a kernel")

        convert = ["jupyter-nbconvert", "--to", "html", "--log-level", "ERROR", str(files / "cell.ipynb")]
        subprocess.run(convert, env=environment, check=True)
        page.goto((files / "cell.html").as_uri())
        check_frame(page)
        page.screenshot(path=folder / "nbconvert.png")
        print("nbconvert's HTML: as in JupyterLab")
        assert not said, said
        browser.close()


def is_dark(frame: Frame) -> bool:
    return frame.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True)
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
