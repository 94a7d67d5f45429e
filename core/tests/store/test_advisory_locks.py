"""Locks across machines: two sites with one PostgreSQL database and state directories of their own."""

import os
import signal
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from novacron import errors
from novacron.site import Site
from novacron.store import advisory_locks, database
from novacron.store.advisory_locks import AdvisoryLocks
from novacron.threads import in_thread

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
def sites(postgresql, tmp_path):
    with Site(tmp_path / "one") as one, Site(tmp_path / "two") as two:
        yield one, two


@pytest.fixture
def locks(sites):
    return [AdvisoryLocks(site._url, lambda site=site: site.database) for site in sites]


def held(locks, key, seconds=0.0):
    """Hold a lock in a block, if it is to be had within some seconds."""
    return locks.hold(key, lambda: seconds, lambda: errors.BusyError("held"))


def assert_free(locks, key, seconds=0.0):
    with held(locks, key, seconds):
        pass


def assert_refused(locks, key):
    with pytest.raises(errors.BusyError), held(locks, key):
        pass


def test_a_change_on_one_machine_waits_for_that_on_another(sites, monkeypatch):
    """Each machine knows the host under another name. The second change begins when the first one has ended."""
    waits = threading.Event()
    monkeypatch.setattr(advisory_locks, "time", SimpleNamespace(sleep=lambda seconds: waits.set()))
    first, second = sites
    vm = first.connect("sim://advisory").vms.create(name="web1")
    other = second.connect("sim://advisory", name="known-differently")
    with vm.locked():
        renaming = other.submit("vm_rename", vm=vm.id, name="web2")
        assert waits.wait(60)
        assert not renaming.done()
        assert vm.refresh().name == "web1"
    renaming.result(60)
    assert vm.refresh().name == "web2"


def test_a_lock_that_is_not_to_be_had_is_refused_and_left_to_its_holder(locks):
    first, second = locks
    with held(first, "a"):
        assert_refused(second, "a")
        assert_free(second, "b")
    assert_free(second, "a")


def test_a_server_that_stops_ends_no_change(sites, postgresql):
    first, _ = sites
    vm = first.connect("sim://advisory-stop").vms.create(name="web1")
    with vm.locked():
        postgresql.stop()
    postgresql.start()
    assert vm.rename("web2").name == "web2"


def test_one_vm_may_have_more_files_than_the_server_has_connections(locks, sites):
    """No lock keeps a transaction open: a server may end those that last long, and an upload lasts for hours."""
    first, second = locks
    with ExitStack() as stack:
        for number in range(150):
            stack.enter_context(held(first, f"file {number}"))
        with sites[1].database.transaction() as connection:
            states = connection.execute(sa.text("SELECT state FROM pg_stat_activity WHERE pid <> pg_backend_pid()")).scalars()
            assert "idle in transaction" not in {*states}
        for number in (0, 149):
            assert_refused(second, f"file {number}")
    for number in (0, 149):
        assert_free(second, f"file {number}")


def test_two_threads_of_a_site_exclude_each_other_and_one_lock_outlives_another(locks):
    first, second = locks
    with held(first, "a"):
        assert_refused(first, "a")
        assert_free(first, "b")
        assert_refused(second, "a")


def test_the_server_looks_after_holders_of_locks(locks):
    """PostgreSQL itself would notice only after two hours that a machine has lost its power."""
    first, _ = locks
    with held(first, "a"):
        query = sa.text("SELECT name FROM pg_settings WHERE source = 'session' AND name LIKE 'tcp%'")
        assert {*first._connection.execute(query).scalars()} == {*advisory_locks.KEEPALIVE}


def test_a_lock_whose_release_failed_is_released_with_the_last_one(locks, sites):
    """The connection is not given back with a lock on it that nobody holds: it would be held as long as the process runs."""
    first, second = locks

    def fail(connection, cursor, statement, parameters, context, many):
        return ("SELECT 1/0", {}) if "pg_advisory_unlock" in statement else (statement, parameters)

    engine = sites[0].database._engine()
    with held(first, "a"):
        sa.event.listen(engine, "before_cursor_execute", fail, retval=True)
        assert_free(first, "b")
        sa.event.remove(engine, "before_cursor_execute", fail)
    for key in ("a", "b"):
        assert_free(second, key)
    assert_free(first, "b")


def test_a_client_gives_up_a_server_that_does_not_answer_any_more(sites, tmp_path):
    """libpq itself would wait for a quarter of an hour, and every lock of the site with it. What the URL says counts more."""
    parameters = lambda site: site.database.connect().connection.driver_connection.info.get_parameters()  # noqa: E731
    assert parameters(sites[0]).items() >= database.TIMEOUTS.items()
    with Site(tmp_path / "three", database=f"{sites[0].database.url}&tcp_user_timeout=7000") as three:
        assert parameters(three)["tcp_user_timeout"] == "7000"
        assert parameters(three)["keepalives_idle"] == "10"


def test_a_server_that_hangs_holds_up_nobody_longer_than_he_waits(locks):
    """One thread waits for the server's answer, on the connection of all locks; the others give up in their own time."""
    first, _ = locks

    with held(first, "a"):
        process = first._connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        os.kill(process, signal.SIGSTOP)
        try:
            waiting = in_thread(lambda: assert_free(first, "b", 60.0), "waits for the server")
            while not first._guard.locked():
                time.sleep(0.01)
            assert_refused(first, "c")
            assert not waiting.done()
        finally:
            os.kill(process, signal.SIGCONT)
        waiting.result(60)
