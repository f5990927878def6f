"""The whole suite with each torch and each Python that the package supports, one environment at a time.

    make matrix                                              all of them
    make matrix ARGS="--list"                                what there is
    make matrix ARGS="--session 'suite(torch 2.15)' -- tests/test_lazy.py"
                                                             one of them, and what pytest is to run

An environment is 8 GB, CUDA libraries included, and is deleted when its tests have run. Of other packages the newest
are installed. A Python that this machine does not have fails, and the others are tried all the same.
"""

import shutil

import nox

SUPPORTED = (("3.10", "2.10"), ("3.12", "2.11"), ("3.13", "2.12"), ("3.11", "2.13"), ("3.11", "2.14"), ("3.14", "2.15"))
"""Python and torch: each of both at least once, the oldest with the oldest and the newest with the newest."""

nox.options.envdir = ".venv-matrix"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True


@nox.session
@nox.parametrize(("python", "torch"), SUPPORTED, ids=[f"torch {torch}" for _, torch in SUPPORTED])
def suite(session: nox.Session, torch: str) -> None:
    """Every test, with one torch."""
    try:
        session.install(f"torch=={torch}.*", "--editable", ".[test]")
        command = ["python", "-m", "pytest", "--numprocesses", "2", "--dist", "loadfile"]
        session.run(*command, *session.posargs, env={"OMP_NUM_THREADS": "1"})
    finally:
        shutil.rmtree(session.virtualenv.location)
