"""A run whose steps' code has changed since it began: that is said, and only a person goes on with it."""

import importlib
import linecache
import sys

import pytest

import novacron
from novacron.errors import WorkflowError

BEFORE = """
from novacron.workflow import step

@step
def work(context):
    raise ValueError("not ready")
"""
AFTER = BEFORE.replace('raise ValueError("not ready")', 'return "ready"')


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module with a step, and what writes it anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text):
        (tmp_path / "changing_steps.py").write_text(text)
        linecache.clearcache()
        importlib.invalidate_caches()
        known = sys.modules.get("changing_steps")
        return importlib.reload(known) if known else importlib.import_module("changing_steps")

    yield write
    sys.modules.pop("changing_steps", None)


def test_a_run_is_not_gone_on_with_by_other_code(code):
    """It names what changed; with `accept_changes` it goes on."""
    host = novacron.connect("sim://changed")
    vm = host.vms.create(name="web1", memory="64MiB")
    run = code(BEFORE).work().on_failure("stop").run(vm)
    assert run.status == "failed"
    code(AFTER)
    runs = novacron.fleet().runs
    with pytest.raises(WorkflowError, match="changing_steps:work") as caught:
        runs.resume(run.id)
    assert "accept_changes" in caught.value.hint
    assert runs[run.id].status == "failed"
    assert runs.resume(run.id, accept_changes=True).result(60) == "ready"
    host.close()


def test_a_run_whose_code_is_gone_says_so(code, tmp_path):
    """It is not here, so it can't be known."""
    host = novacron.connect("sim://gone")
    vm = host.vms.create(name="web1", memory="64MiB")
    run = code(BEFORE).work().on_failure("stop").run(vm)
    (tmp_path / "changing_steps.py").write_text("")
    module = sys.modules["changing_steps"]
    del module.work
    linecache.clearcache()
    with pytest.raises(WorkflowError, match="is not here"):
        novacron.fleet().runs.resume(run.id)
    host.close()
