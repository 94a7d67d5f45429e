"""Wheels, and clean virtual environments to install them into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = ("core", "plugins/kvm", "plugins/vmware", "shell", "lab")


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command to its end and return its output; its errors are the failure's text."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "NOVACRON", "COV"))
    }
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept | variables, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(folder: Path, wheels: Path, scratch: Path) -> Path:
    """Build one distribution's wheel from a copy of its folder, so that nothing is written into the checkout."""
    copy = scratch / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("dist", "__pycache__", "*.egg-info"))
    before = set(wheels.glob("*.whl"))
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=copy)
    (made,) = set(wheels.glob("*.whl")) - before
    return made


class Environment:
    """A virtual environment with nothing but what is installed into it from the wheels."""

    def __init__(self, folder: Path, wheels: Path, *requirements: str) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        # a registry may know packages of these names: ours are these files, asked for or needed by another
        files = {wheel.name.partition("-")[0].replace("_", "-"): wheel.as_uri() for wheel in wheels.glob("*.whl")}
        ours = wheels / "constraints.txt"
        ours.write_text("".join(f"{name} @ {file}\n" for name, file in files.items()))
        asked = [f"{requirement} @ {files[requirement.partition('[')[0]]}" for requirement in requirements]
        uv = shutil.which("uv")
        if uv:
            run(uv, "venv", "--quiet", "--python", sys.executable, folder)
            run(uv, "pip", "install", "--quiet", "--python", self.python, "--constraint", ours, *asked, cwd=wheels)
        else:
            run(sys.executable, "-m", "venv", folder)
            run(self.python, "-m", "pip", "install", "--quiet", "--constraint", ours, *asked, cwd=wheels)

    def execute(self, program: str) -> str:
        """Run a Python program in it, away from the checkout."""
        return run(self.python, "-I", "-c", program, cwd=self.folder, NOVACRON_STATE=str(self.folder / "state")).strip()

    def pytest(self, module: Path) -> str:
        """Run its pytest on a module as a stranger would, without this repository's settings; return its report."""
        return run(self.python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", module, cwd=module.parent)

    def novacron(self, *arguments: str) -> str:
        """Run its `novacron` command."""
        return run(self.folder / "bin" / "novacron", *arguments, cwd=self.folder, NOVACRON_STATE=str(self.folder / "state"))

    def novacron_json(self, *arguments: str) -> Any:
        """Run its `novacron` command with `-o json` and return what it says."""
        return json.loads(self.novacron(*arguments, "-o", "json"))


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of all distributions and of a driver from elsewhere."""
    folder, scratch = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("sources")
    for path in DISTRIBUTIONS:
        build_wheel(ROOT / path, folder, scratch)
    build_wheel(Path(__file__).parent / "external_driver", folder, scratch)
    return folder


@pytest.fixture(scope="session")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Returns a clean environment with some requirements; the same one for the same requirements."""
    made: dict[tuple[str, ...], Environment] = {}

    def install(*requirements: str) -> Environment:
        if requirements not in made:
            made[requirements] = Environment(tmp_path_factory.mktemp("environment"), wheels, *requirements)
        return made[requirements]

    return install
