"""What bash, zsh and fish offer at a tab: the real shells run the script that `novacron completion` prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OFFERED = {
    "stop web-": {"web-frontend", "web-backend"},
    "stop host:": {"host:kvm-one"},
    "stop status:run": {"status:running"},
    "snapshot revert web-frontend ": {"before-update", "nightly"},
    "snapshot rev": {"revert"},
}
"""What the shell offers after each line, from the names that listings saw."""
SCRIPTS = {
    "bash": """
        eval "$(novacron completion bash)"
        while IFS= read -r line; do
            COMP_WORDS=(novacron ${line% *} "${line##* }") COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()  # as bash does
            _novacron_completion novacron
            (IFS='|'; echo "${COMPREPLY[*]}")
        done""",
    # compadd and _describe work within the line editor only; these print what they are given
    "zsh": """
        compdef() { }
        compadd() { offers+=("${completions[@]}") }
        _describe() { offers+=("${completions_with_descriptions[@]%%:*}") }
        eval "$(novacron completion zsh)"
        while IFS= read -r line; do
            offers=()
            words=(novacron ${=line% *} "${line##* }")
            CURRENT=$#words
            _novacron_completion
            echo "${(j:|:)offers}"
        done""",
    "fish": """
        novacron completion fish | source
        while read -l line
            string join '|' (complete -C "novacron $line" | string replace -r '\\t.*' '')
        end""",
}
OPTIONS = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_offers_live_names(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "names.json").write_text(json.dumps({"kvm-one": ["web-frontend", "web-backend", "db"]}))
    (tmp_path / "snapshots.json").write_text(json.dumps({"kvm-one/web-frontend": ["before-update", "nightly"]}))
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, *OPTIONS[shell], "-c", SCRIPTS[shell]],
        env=os.environ | {"NOVACRON_STATE": str(tmp_path), "HOME": str(tmp_path), "PATH": programs},
        input="".join(f"{line}\n" for line in OFFERED),
        capture_output=True,
        text=True,
        timeout=120,
    )
    offers = [{*line.split("|")} for line in done.stdout.splitlines()]
    assert dict(zip(OFFERED, offers, strict=True)) == OFFERED, done.stderr
