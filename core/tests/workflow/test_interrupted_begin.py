"""A Ctrl-C while a run begins cancels it: no worker continues later what a person has stopped."""

import threading

import pytest

from novacron.site import default_site
from novacron.workflow.run.durable import DurableEngine
from novacron.workflow.run.run import settled


def interrupting(function, *, before):
    """The function, with a Ctrl-C before or after it."""

    def interrupted(*arguments, **options):
        if not before:
            function(*arguments, **options)
        raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("place", ["create", "_activate", "_begin", "start"])
def test_a_run_that_ctrl_c_meets_while_it_begins_is_cancelled(vm, mark, monkeypatch, place, before, wait):
    engine, runs = default_site().engine, default_site().fleet.runs
    earlier = {run.id for run in runs.list(limit=1000)}
    owner = {"create": type(engine.runs), "start": threading.Thread}.get(place, DurableEngine)
    real = getattr(owner, place)

    def once(self, *arguments, **options):
        if owner is threading.Thread and not self.name.startswith("novacron-run-"):
            return real(self, *arguments, **options)
        monkeypatch.setattr(owner, place, real)
        return interrupting(real, before=before)(self, *arguments, **options)

    monkeypatch.setattr(owner, place, once)
    with pytest.raises(KeyboardInterrupt) as caught:
        mark(name="a").run(vm, wait=wait)
    assert caught.value.__notes__
    statuses = [run.status for run in runs.list(limit=1000) if run.id not in earlier]
    assert all(status in ("cancelled", "undone", "done") for status in statuses)
    assert len(statuses) == (0 if (place, before) == ("create", True) else 1)
    assert runs.recover() == ()
    assert (vm.refresh().record.metadata or {}).get("a") == ("yes" if statuses == ["done"] else None)
    assert settled(mark(name="b").run(vm)).status == "done"
