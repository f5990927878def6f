"""`crossentropy doctor --run` as a process: signals, worker processes and threads of the script."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from crossentropy import doctor

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and forks are those of POSIX")

HEAD = """\
import multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = TensorDataset(torch.randn(24, 4), torch.randint(3, (24,)))


def step(x, y):
    loss = F.cross_entropy(model(x).softmax(1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def ready():
    print("ready", flush=True)


"""
STEP = "step(data.tensors[0], data.tensors[1])\n"
MISTAKE = "softmax-before-cross-entropy"


def command(folder: Path, text: str, *options: str) -> list[str]:
    (folder / "train.py").write_text(HEAD + text, "utf-8")
    program = [sys.executable, "-m", "crossentropy", "doctor", "--run", "train.py", "--output-format", "json"]
    return [*program, "--steps", "3", *options]


def run(folder: Path, text: str) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, the findings, and what was written besides."""
    done = subprocess.run(command(folder, text), cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)["findings"], done.stderr


def signalled(folder: Path, text: str, *numbers: int) -> tuple[int, list[dict[str, Any]], str]:
    """The same, where signals are sent to the doctor alone, each when the script says that it is ready."""
    process = subprocess.Popen(
        command(folder, text),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    watchdog = threading.Timer(120, lambda: os.killpg(process.pid, signal.SIGKILL))
    watchdog.start()
    said = ""
    try:
        for number in numbers:
            for line in process.stderr:
                said += line
                if line.startswith("ready"):
                    break
            process.send_signal(number)
        out, rest = process.communicate()
    finally:
        watchdog.cancel()
    return process.returncode, json.loads(out)["findings"], said + rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_script_and_what_was_found_is_shown(number: signal.Signals, tmp_path: Path) -> None:
    code, found, said = signalled(tmp_path, f"{STEP}ready()\ntime.sleep(100)\n", number)
    assert code == 128 + number
    assert [finding["rule"] for finding in found] == [MISTAKE]
    assert f"train.py was ended by {number.name}" in said


def test_a_script_may_end_as_it_does_without_the_doctor(tmp_path: Path) -> None:
    text = f"""\
def ended(number, frame):
    open("terminated", "w").close()
    sys.exit(0)


signal.signal(signal.SIGTERM, ended)
{STEP}
try:
    ready()
    time.sleep(100)
except KeyboardInterrupt:
    open("saved", "w").write("checkpoint")
    F.cross_entropy(model(data.tensors[0]).sigmoid(), data.tensors[1])
    ready()
    time.sleep(100)
"""
    code, found, _ = signalled(tmp_path, text, signal.SIGINT, signal.SIGTERM)
    assert (code, len(found)) == (143, 2)  # one before the signals, and one in what the script does after the first
    assert (tmp_path / "saved").read_text() == "checkpoint"
    assert (tmp_path / "terminated").exists()


def test_a_script_that_does_not_end_is_killed(tmp_path: Path) -> None:
    text = f"""\
def ignore(number, frame):
    ready()


signal.signal(signal.SIGINT, ignore)
{STEP}
ready()
while True:
    time.sleep(0.05)
"""
    code, found, _ = signalled(tmp_path, text, *[signal.SIGINT] * 4)
    assert (code, len(found)) == (130, 1)


def test_workers_end_with_the_script(tmp_path: Path) -> None:
    text = f"""\
def work():
    open(f"worker-{{os.getpid()}}", "w").close()
    time.sleep(100)


if __name__ == "__main__":
    {STEP}
    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(0.5)
    ready()
    for worker in workers:
        worker.join()
"""
    code, found, _ = signalled(tmp_path, text, signal.SIGINT)
    assert (code, len(found)) == (130, 1)
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*")]
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(map(_lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_lives, workers))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_loading_in_worker_processes(tmp_path: Path) -> None:
    text = """\
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        batches = list(DataLoader(data, 12, num_workers=1, multiprocessing_context=method))
        assert len(batches) == 2
    for x, y in batches:
        step(x, y)
"""
    code, found, said = run(tmp_path, text)
    assert (code, [finding["rule"] for finding in found]) == (1, [MISTAKE]), said
    assert "Traceback" not in said


def test_what_worker_processes_train_ends_there(tmp_path: Path) -> None:
    """More steps than are watched: they are neither stopped nor reported a second time."""
    text = f"""\
def work(method):
    for _ in range(5):
        {STEP}
    open(method, "w").close()


if __name__ == "__main__":
    {STEP}
    for method in ("fork", "spawn"):
        worker = multiprocessing.get_context(method).Process(target=work, args=(method,))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
"""
    code, found, said = run(tmp_path, text)
    assert (code, [finding["rule"] for finding in found]) == (1, [MISTAKE]), said
    assert (tmp_path / "fork").exists()
    assert (tmp_path / "spawn").exists()


def test_threads_are_watched_and_their_findings_are_shown_once(tmp_path: Path) -> None:
    text = """\
def work(*_):
    F.cross_entropy(model(data.tensors[0]).softmax(1), data.tensors[1])


class Own(threading.Thread):
    def run(self):
        F.cross_entropy(model(data.tensors[0]).relu(), data.tensors[1])


def pooled(_):
    F.cross_entropy(model(data.tensors[0]).sigmoid(), data.tensors[1])


def wrong():
    F.cross_entropy(model(data.tensors[0]), data.tensors[1]).item().backward()


for thread in (threading.Thread(target=work), threading.Thread(target=work), Own(), threading.Thread(target=wrong)):
    thread.start()
    thread.join()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(pooled, range(6)))
"""
    _, found, said = run(tmp_path, text)
    rules = [MISTAKE, "relu-before-cross-entropy", "sigmoid-before-cross-entropy", "detached-loss"]
    assert sorted(finding["rule"] for finding in found) == sorted(rules), said


def test_after_the_watch_threads_are_started_as_before() -> None:
    start = threading.Thread.start
    with doctor.watch():
        assert threading.Thread.start is not start
    assert threading.Thread.start is start


def test_a_script_reads_what_the_doctor_is_given(tmp_path: Path) -> None:
    program = command(tmp_path, f"assert input() == 'yes'\n{STEP}")
    done = subprocess.run(
        program, cwd=tmp_path, input="yes\n", capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, len(json.loads(done.stdout)["findings"])) == (1, 1)
    assert "exit code" not in done.stderr


def test_a_thread_that_never_ends_does_not_keep_the_doctor(tmp_path: Path) -> None:
    """After the steps that are watched; what was printed is not lost."""
    text = f"""threading.Thread(target=threading.Event().wait).start()
print("begun")
for _ in range(100):
    {STEP}
"""
    began = time.monotonic()
    code, found, said = run(tmp_path, text)
    assert (code, len(found)) == (1, 1)
    assert "begun" in said
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("thread", [False, True])
def test_a_traceback_does_not_control_the_terminal(thread: bool, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.py").write_text("def fail():\n    raise RuntimeError('\\x1b[2J')\n", "utf-8")
    call = "t = threading.Thread(target=fail)\nt.start()\nt.join()\n" if thread else "fail()\n"
    code, _, said = run(tmp_path, f"{STEP}fail = __import__('a\x1b[2J').fail\n{call}")
    assert code == 1
    assert "\x1b" not in said
    assert "RuntimeError: \\u001b[2J" in said
    assert "runpy" not in said
