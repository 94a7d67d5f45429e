"""Public methods have types, and misspelt keyword arguments are found."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from novacron.handles import disks, filters, networks, nics, pools, resources, snapshots, templates, vm, vms
from novacron.specs import generate, keywords
from novacron.workflow import steps
from novacron.workflow.kinds.operation import OperationStep
from novacron.workflow.kinds.registry import default_kinds

ROOT = Path(__file__).parents[2]
CONSUMER = Path(__file__).parent / "consumer.py"


def test_keyword_types_are_made_from_the_specs(tmp_path):
    """`python -m novacron.specs.generate >core/src/novacron/specs/keywords.py` makes them again."""
    made = tmp_path / "keywords.py"
    made.write_text("\n".join(generate.lines()) + "\n")
    config = ["--config", str(ROOT / "pyproject.toml")]
    ruff = Path(sys.executable).parent / "ruff"
    subprocess.run([ruff, "check", "--fix", "--quiet", *config, made], check=True)
    subprocess.run([ruff, "format", "--quiet", *config, made], check=True)
    assert made.read_text() == Path(keywords.__file__).read_text()


def test_type_checkers_know_every_operation_that_is_a_step():
    kinds = map(default_kinds().find, default_kinds().names())
    known = re.findall(r"^    (\w+): Step$", Path(steps.__file__).read_text(), re.MULTILINE)
    assert known == sorted(kind.name for kind in kinds if isinstance(kind, OperationStep))


@pytest.mark.parametrize("module", [disks, filters, networks, nics, pools, resources, snapshots, templates, vm, vms])
def test_no_public_method_returns_any(module):
    for name, cls in inspect.getmembers(module, inspect.isclass):
        for method, function in vars(cls).items():
            if cls.__module__ != module.__name__ or method.startswith("_") or not inspect.isfunction(function):
                continue
            assert function.__annotations__.get("return") != "Any", f"{name}.{method}"


def test_mypy_accepts_the_consumer_and_finds_its_mistakes(tmp_path):
    """With the comments that silence the mistakes it accepts all, without them it finds each mistake and nothing else.

    It reads the sources from the cache of `mypy core/src ...`, which `tox -e types` runs before.
    """
    from mypy import api  # of `tox -e types` alone: other environments collect this file as well

    common = [
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]
    out, err, code = api.run([*common, str(CONSUMER)])
    assert code == 0, out + err
    bare = tmp_path / "bare.py"
    lines = [line.partition("  # type: ignore")[0] for line in CONSUMER.read_text().splitlines()]
    bare.write_text("\n".join(lines) + "\n")
    out, _, code = api.run([*common, str(bare)])
    wrong = {n for n, line in enumerate(CONSUMER.read_text().splitlines(), 1) if line.endswith("# expect-error")}
    found = {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line}
    assert found == wrong, out
    assert code == 1


def test_pyright_accepts_the_consumer_and_finds_its_mistakes(tmp_path):
    """The same as mypy. The distribution `basedpyright` brings its own node."""
    pyright = Path(sys.executable).parent / "basedpyright"
    lines = CONSUMER.read_text().splitlines()
    (tmp_path / "bare.py").write_text("\n".join(line.partition("  # type: ignore")[0] for line in lines) + "\n")
    (tmp_path / "good.py").write_text(CONSUMER.read_text())
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard", "pythonVersion": "3.11"}')
    command = [pyright, "--level", "error", "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    found = [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in json.loads(done.stdout)["generalDiagnostics"]
    ]
    assert sorted(found) == [("bare.py", n) for n, line in enumerate(lines, 1) if line.endswith("# expect-error")]
