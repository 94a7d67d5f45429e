"""Secrets in the state database are encrypted, on SQLite and PostgreSQL, and whoever has the key reads the same values again."""

import gc
import json
import threading
import weakref

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import novacron
from novacron.errors import InvalidStateError, StorageError, WorkflowError
from novacron.labs import Lab
from novacron.state import StateDirectory
from novacron.store.encryption import FILE, PREFIX, Encryption, unreadable
from novacron.store.tables import alert_files, metadata, node_groups, runs
from novacron.testing.marked import SecretSearch, mark
from novacron.workflow import steps

MARK = mark("cloud-init", "db")
LAB = {
    "name": "private",
    "vms": {
        "web": {
            "memory": "64MiB",
            "running": True,
            "cloud_init": {
                "user_data": f"#cloud-config\npassword: {MARK}\n",
                "vendor_data": f"#!/bin/sh\n{MARK}",
                "network_config": f"wifi: {MARK}",
                "commands": [f"mysql -p{MARK}"],
            },
        }
    },
}
ALERTS = {
    "rules": [{"alert": "Down", "expr": "novacron_host_up == 0"}],
    "receivers": [{"name": "chat", "sinks": [{"type": "webhook", "url": f"https://chat.example.org/hook/{MARK}"}]}],
    "route": {"receiver": "chat"},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, tmp_path):
    if request.param == "postgresql":
        request.getfixturevalue("postgresql")
    with novacron.Site(tmp_path / "state") as made:
        yield made


def encryption(folder, **secrets):
    return Encryption(StateDirectory(folder), lambda name, variable: secrets.get(name.replace("-", "_")))


def stored(site):
    """The search of the database of a site, as it is stored."""
    search = SecretSearch("db")
    search.look_at_database(site.database.url)
    assert search.looked_at == len(metadata.tables)
    return search.found


def test_what_a_user_gives_to_guests_and_webhooks_is_encrypted_and_read_again(site):
    host = site.connect(f"sim://encrypted-{site.database.url.partition(':')[0].partition('+')[0]}", name="h")
    Lab.parse(LAB).plan(host, site=site).apply()
    vm = host.vms["web"]
    command = steps.run_in_guest(["false", f"-p{MARK}"]) >> steps.guest_exec(argv=["true", MARK], stdin=MARK, seconds=5)
    assert command.run(vm).status == "undone"  # it fails, so that an error is on record, too
    steps.guest_file_write(path="/tmp/x", data=MARK).run(vm)
    site.fleet.add("h", host.uri)
    site.fleet.schedules.add("nightly", command, cron="0 3 * * *", vms=[vm])
    site.fleet.alerts.load("chat", ALERTS)
    assert stored(site) == []
    flows = [run.flow for run in site.engine.runs.latest()]
    assert len(flows) == 3
    assert all(MARK in json.dumps(flow) for flow in flows)
    assert MARK in json.dumps(site.engine.schedules.get("nightly").definition)
    with site.database.transaction() as connection:
        assert connection.execute(sa.select(alert_files.c.content)).scalar_one() == ALERTS
    assert MARK not in (site.state / "audit.jsonl").read_text()


def test_every_json_column_is_encrypted(tmp_path):
    """Also the columns of tables that are added later."""
    columns = [column for table in metadata.tables.values() for column in table.columns if isinstance(column.type, sa.JSON)]
    assert len(columns) > 20
    with novacron.Site(tmp_path) as site, site.database.transaction() as connection:
        for column in columns:
            given = sa.literal({"token": MARK, "name": "x"}, column.type)
            assert connection.execute(sa.select(given)).scalar_one() == {"token": MARK, "name": "x"}, column
            text = connection.execute(sa.select(sa.cast(given, sa.Text))).scalar_one()
            assert (MARK in text, '"x"' in text) == (False, True), column


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.sampled_from([PREFIX, f"{PREFIX}x", "--token", "Bearer abcdefgh"]),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["name", "token", "argv", "password", "url"]) | st.text(), inner)
        ),
        max_leaves=8,
    )
)
def test_all_values_are_read_as_they_were_written(tmp_path_factory, value):
    site = encryption(tmp_path_factory.getbasetemp() / "values")
    text = site.dumps(value)
    assert site.loads(text) == value
    assert site.loads(text.encode()) == value


@pytest.mark.parametrize(
    "value",
    [
        {"user_data": MARK},
        {"fields": {"cloud_init": {"commands": [MARK]}}},
        {"argv": ["mysql", f"-p{MARK}"]},
        ["mysql", "--password", MARK],
        [{"x": ["curl", "-H", f"Authorization: Bearer {MARK}"]}],
        f"postgresql://user:{MARK}@db/x",
        {"error": f"login failed, password={MARK}"},
        {"native": {"guestinfo.userdata": MARK}},
        {"guestinfo.vendordata": MARK},
        f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----",
    ],
    ids=lambda value: str(value).replace(MARK, "MARK"),
)
def test_what_logs_hide_and_what_guests_get_is_encrypted(tmp_path, value):
    assert MARK not in encryption(tmp_path).dumps(value)


def test_what_is_no_secret_is_written_as_it_is_and_needs_no_key(tmp_path):
    value = {"name": "web1", "uri": "qemu:///system", "vms": [{"memory": 2}], "labels": {"team": "a"}}
    assert encryption(tmp_path).dumps(value) == json.dumps(value)
    assert not (tmp_path / FILE).exists()


def test_the_key_is_private_and_several_processes_get_the_same(tmp_path):
    texts, ready = [], threading.Barrier(8)

    def write():
        one = encryption(tmp_path)
        ready.wait()
        texts.append(one.dumps({"token": "x"}))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [encryption(tmp_path).loads(text) for text in texts] == [{"token": "x"}] * 8
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(InvalidStateError, match="others may read"):
        encryption(tmp_path).dumps({"token": "x"})


def test_a_damaged_key_is_named(tmp_path):
    (tmp_path / FILE).touch(0o600)
    with pytest.raises(StorageError, match=FILE):
        encryption(tmp_path).dumps({"token": "x"})


def test_machines_with_the_same_secret_read_each_others_values(tmp_path):
    here, there, other = (tmp_path / name for name in ("here", "there", "other"))
    text = encryption(here, database_key="one key for all").dumps({"token": "x"})
    assert encryption(there, database_key="one key for all").loads(text) == {"token": "x"}
    assert unreadable(encryption(other, database_key="another").loads(text))
    assert not (here / FILE).exists()


def test_values_from_before_a_secret_was_set_are_still_read(tmp_path):
    text = encryption(tmp_path).dumps({"token": "x"})
    both = encryption(tmp_path, database_key="now a secret")
    assert both.loads(text) == {"token": "x"}
    assert both.loads(both.dumps({"token": "y"})) == {"token": "y"}


def test_a_run_whose_key_is_lost_is_listed_and_refused_by_name(tmp_path):
    with novacron.Site(tmp_path) as site:
        host = site.connect("sim://lost-key")
        vm = host.vms.create(name="web1", start=True)
        steps.run_in_guest(["true", MARK]).run(vm)
    (tmp_path / FILE).unlink()
    with novacron.Site(tmp_path) as site:
        (run,) = site.fleet.runs.list()
        assert "another key" in run.flow
        with pytest.raises(WorkflowError, match="another key") as caught:
            site.fleet.runs.retry(run.id)
        assert "database-key" in caught.value.hint
        with site.database.transaction() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one() == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_sites_of_one_process_each_have_their_own_key(tmp_path, monkeypatch, request, database):
    """Also when the first one is closed: neither the driver of the database nor SQLAlchemy keeps its key for the others."""
    if database == "postgresql":
        request.getfixturevalue("postgresql")
    else:
        monkeypatch.setenv("NOVACRON_DATABASE", f"sqlite:///{tmp_path / 'shared.db'}")

    def add(site, name):
        with site.database.transaction() as connection:
            connection.execute(node_groups.insert().values(name=name, settings={"token": name}))

    def read(site):
        with site.database.transaction() as connection:
            found = {row.name: row.settings["token"] for row in connection.execute(node_groups.select())}
        return {name for name, token in found.items() if token == name}

    with novacron.Site(tmp_path / "second") as second:
        with novacron.Site(tmp_path / "first") as first:
            add(first, "first")
            add(second, "second")
            assert (read(first), read(second)) == ({"first"}, {"second"})
        add(second, "later")
        assert read(second) == {"second", "later"}
    with novacron.Site(tmp_path / "first") as again:
        assert read(again) == {"first"}


def test_a_closed_site_leaves_no_key_in_the_driver_of_the_database(tmp_path, postgresql, caplog):
    with novacron.Site(tmp_path / "site") as site:
        encryption = weakref.ref(site.database._encryption)
        with site.database.transaction() as connection:
            connection.execute(node_groups.insert().values(name="one", settings={"token": "hidden"}))
    del site, connection
    gc.collect()
    assert encryption() is None
    assert not [record for record in caplog.records if record.name.startswith("psycopg")]
