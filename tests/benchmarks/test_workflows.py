"""What a step of a durable run costs, beside a bare step of DBOS on the same database."""

import resource
import sqlite3
import time

import pytest
from dbos import DBOS

import novacron
from novacron.site import default_site
from novacron.workflow import step

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(900)]


class SQLiteConnection(sqlite3.Connection):
    """A connection that knows `unixepoch('subsec')`, which DBOS needs and SQLite has since 3.42; Debian 12 has 3.40."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        if sqlite3.sqlite_version_info < (3, 42):
            self.create_function("unixepoch", 1, lambda precision: time.time())


TARGETS, LIMIT, STEPS = 1000, 50, 3


@step(name="benchmark_nothing", idempotent=True)
def nothing(context):
    return {"n": 1}


@DBOS.step(name="benchmark.step")
def bare_step():
    return {"n": 1}


@DBOS.workflow(name="benchmark.flow")
def bare_flow(steps):
    for _ in range(steps):
        bare_step()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_step_for_one_of_a_thousand_vms_costs_little_more_than_a_bare_step(
    database, request, measure, tell, tmp_path, monkeypatch
):
    """Fifty at a time on both sides; the bare ones are fifty workflows with as many steps in all."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    if database == "postgresql":
        request.getfixturevalue("postgresql")
    url = default_site().database.url.replace("state.db", "peer.db")
    DBOS(
        config={
            "name": "peer",
            "system_database_url": url,
            "log_level": "CRITICAL",
            "db_engine_kwargs": {"connect_args": {"factory": SQLiteConnection}} if url.startswith("sqlite") else {},
        }
    )
    DBOS.launch()
    with novacron.connect(f"sim://fanout-{database}?vms={TARGETS}") as host:
        vms = list(host.vms)
        flow = nothing() >> nothing() >> nothing()
        memory = []

        def bare():
            for begun in [DBOS.start_workflow(bare_flow, TARGETS * STEPS // LIMIT) for _ in range(LIMIT)]:
                begun.get_result()

        def ours():
            run = flow.run(vms, max_parallel=LIMIT)
            assert run.status == "done", run.exception()
            assert len(run.steps) == TARGETS * STEPS
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

        m = measure(
            {"bare DBOS steps": bare, "steps of a run": ours, "bare again": bare},
            rounds=5,
            control=("bare again", "bare DBOS steps"),
        )
    growth = memory[-1] / memory[1]
    cost = 1e3 * m.best("steps of a run") / TARGETS / STEPS
    told = m.told("steps of a run", "bare DBOS steps")
    tell(f"{database}: {cost:.2f} ms a step, {told}; peak memory {growth:.2f} x after {len(memory)} runs")
    assert m.ratio("steps of a run", "bare DBOS steps") <= 2
    assert growth <= 1.25
    DBOS.destroy()
    default_site().close()
