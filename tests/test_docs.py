"""The examples run, the two READMEs show the same code, and no document has outgrown its size."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "crossentropy"


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_classifier_learns() -> None:
    assert load(ROOT / "examples" / "train_classifier.py").main() > 0.97


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    assert load(ROOT / "examples" / "accumulate_gradients.py").main() < 1e-6


DISTRIBUTED = {
    "distributed_fsdp_tp": r"mesh \(1, 2\): loss 7\.\d+ → [45]\.\d+, as in one process to \d\.\de-0[5-9]",
    "distributed_uneven": r"gradient of one process: to \d\.\de-0[6-9] with token_denominator, off by \d\d% without",
    "distributed_logprobs": r"tokens: log-probability -6\.\d+, .* as in one process to .*; so are the gradients",
}
"""What the examples for several processes print."""


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_two_processes_do_what_one_does(name: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = str(ROOT / "examples" / f"{name}.py")
    run = subprocess.run([*command, script], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert re.search(DISTRIBUTED[name], run.stdout), run.stdout


def test_every_example_is_tested() -> None:
    here = {"train_classifier", "accumulate_gradients", *DISTRIBUTED}
    integrations = {"fuse_trainer", "fuse_lightning", "fuse_trl"}  # in test_integrations
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == here | integrations


def statements(readme: str) -> list[str]:
    return re.findall(r"^>>> (.*?)(?:  # .*)?$", (ROOT / readme).read_text("utf-8"), re.MULTILINE)


def test_both_readmes_show_the_same_code() -> None:
    assert statements("README.md") == statements("README.zh-CN.md")
    assert len(statements("README.md")) > 10


USE = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / "use").glob("*.md")}
CODE = {"fuse.md", "binary.md", "metrics.md", "losses.md", "explain.md", "doctor.md"}
BOTH = sorted(USE | CODE | {"convert.md", "install.md", "gpu.md"})
"""Pages that say how it is used, in both languages: docs/… and docs/zh/…. The last three show no sessions of Python."""


def test_pages_to_use_exist_in_both_languages() -> None:
    chinese = {path.relative_to(ROOT / "docs" / "zh").as_posix() for path in (ROOT / "docs" / "zh").rglob("*.md")}
    assert chinese == {*BOTH, "index.md"}
    links = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert all(f"\nzh/{page.removesuffix('.md')}\n" in links for page in chinese)


@pytest.mark.parametrize("page", BOTH)
def test_pages_in_both_languages_show_the_same_code(page: str) -> None:
    english, chinese = statements(f"docs/{page}"), statements(f"docs/zh/{page}")
    assert [line for line in chinese if line.replace('lang="zh"', 'lang="en"') not in english] == []
    assert len(chinese) >= (4 if page in USE | CODE else 0)
    up = "../" * (page.count("/") + 1)
    assert f"\n[English]({up}{page})\n" in (ROOT / "docs" / "zh" / page).read_text("utf-8")
    assert f"\n[中文]({up[3:]}zh/{page})\n" in (ROOT / "docs" / page).read_text("utf-8")


@pytest.mark.parametrize("word", ["隐状态", "隐层", "隐含状态", "隐向量", "隐藏层"])
def test_hidden_states_have_one_name_in_chinese(word: str) -> None:
    texts = [ROOT / "README.zh-CN.md", *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]
    assert [str(path) for path in texts if word in path.read_text("utf-8")] == []


def test_published_figures_are_those_of_the_results() -> None:
    report, pictures = (load(ROOT / "benchmarks" / f"{name}.py") for name in ("report", "picture"))
    results = json.loads(report.DEFAULT.read_text("utf-8"))
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == report.page(results)
    for name, words in pictures.WORDS.items():
        assert (ROOT / "docs" / name).read_text("utf-8") == pictures.picture(results, words)


def test_plans_on_cards_are_those_of_the_planner() -> None:
    """A golden table: what changes a plan of a language model's head, shows there."""
    assert (ROOT / "docs" / "plans.md").read_text("utf-8") == load(ROOT / "benchmarks" / "plans.py").page()


def test_modelled_times_are_those_of_the_planner() -> None:
    model = load(ROOT / "benchmarks" / "cost_model.py")
    assert model.TABLE.read_text("utf-8") == model.table()


def test_every_missed_target_is_explained() -> None:
    report = load(ROOT / "benchmarks" / "report.py")
    results = [json.loads(path.read_text("utf-8")) for path in (report.DEFAULT, *report.OTHERS.values())]
    notes = (ROOT / "benchmarks" / "results" / "notes.md").read_text("utf-8")
    for case in (case for result in results for case in result["cases"]):
        for contender in case["targets"]:
            ratio = report.time_ratio(case, contender)
            missed = ratio is not None and ratio > case["targets"][contender]
            assert not missed or f"{case['name']}, {case['dtype']}" in notes, (case["name"], contender, ratio)
        assert case["results"]["crossentropy"]["bytes"] <= case["targets"].get("bytes", float("inf"))


@pytest.mark.parametrize(("document", "most"), [("ARCHITECTURE.md", 150), ("CONTRIBUTING.md", 60)])
def test_documents_stay_short(document: str, most: int) -> None:
    assert len((ROOT / document).read_text("utf-8").splitlines()) <= most


def test_modules_stay_short() -> None:
    long = [p.name for p in (ROOT / "src").rglob("*.py") if len(p.read_text("utf-8").splitlines()) > 700]
    assert not long


@pytest.mark.parametrize("folder", sorted({path.parent for path in PACKAGE.rglob("*.py")}), ids=lambda path: path.name)
def test_a_folder_of_many_modules_says_where_to_start(folder: Path) -> None:
    """In about ten lines, which name what is there."""
    readme, modules = folder / "README.md", {path.stem for path in folder.iterdir()}
    assert readme.exists() == (len(list(folder.glob("*.py"))) > 8)
    if readme.exists():
        text = readme.read_text("utf-8")
        assert text.count("\n") <= 12
        named = set(re.findall(r"`(_[a-z_]+)/?`", text))
        assert len(named) >= 5
        assert named <= modules
