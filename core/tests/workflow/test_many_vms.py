"""A flow for many VMs costs so much for each of them, however many there are, also if all of them fail or are skipped."""

import itertools

import pytest

import novacron
from novacron.workflow import steps
from novacron.workflow.paths import ROOT, Path
from novacron.workflow.run.engine import ProcessEngine
from novacron.workflow.run.journal import Journal, finished

WORLDS = itertools.count()
pytestmark = pytest.mark.usefixtures("own_state")


def looked_at(flow, number, monkeypatch):
    """How many entries and paths a run for so many VMs looks at."""
    host = novacron.connect(f"sim://many-{number}-{next(WORLDS)}")
    vms = [host.vms.create(name=f"web{n}", memory="16MiB") for n in range(number)]
    seen = [0]
    entries, is_within = Journal.entries, Path.is_within

    def counted(self):
        found = entries(self)
        seen[0] += len(found)
        return found

    def compared(self, other):
        seen[0] += 1
        return is_within(self, other)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "entries", counted)
        patch.setattr(Path, "is_within", compared)
        run = flow.run(vms, engine=ProcessEngine())
    host.close()
    assert run.done()
    return seen[0]


@pytest.mark.parametrize(
    "flow",
    [steps.tag("a") >> steps.revert("none"), steps.tag("a").when(status="running") >> steps.nothing()],
    ids=["failed", "skipped"],
)
def test_twice_as_many_vms_cost_twice_as_much(flow, monkeypatch):
    few, many = (looked_at(flow, number, monkeypatch) for number in (20, 40))
    assert many < 3 * few


def test_what_is_to_be_undone_below_a_path_is_that_of_the_whole_journal():
    journal = Journal()
    for path, event in [
        ("/0/a/0", "done"),
        ("/0/b/body~1/0", "done"),
        ("/0/b/body~1", "done"),
        ("/0/a/0", "undone"),
        ("/0/ab", "done"),
    ]:
        journal.append(Path(path), event)
    whole = [entry.path for entry in finished(journal, ROOT)]
    assert whole == ["/0/b/body~1", "/0/ab"]
    for prefix in map(Path, ("/0", "/0/a", "/0/b", "/0/b/body", "/0/ab")):
        assert [e.path for e in finished(journal, prefix)] == [p for p in whole if Path(p).is_within(prefix)]
    assert list(Path("/0/b/body~1/0").around()) == ["/0", "/0/b", "/0/b/body", "/0/b/body~1", "/0/b/body~1/0"]
