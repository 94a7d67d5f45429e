"""`novacron apply`, `diff`, `destroy`, `describe` and `schema`."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import InvalidSpecError
from novacron_shell.cli import cli

WORLDS = itertools.count()
FILE = """
name: shop
parameters: {n: 1}
profiles:
  small: {memory: 1GiB}
networks:
  lan: {type: isolated}
vms:
  web: {count: "${n}", nics: [{network: lan}], running: true}
"""


@pytest.fixture
def world():
    name = f"lab-commands-{next(WORLDS)}"
    return f"sim://{name}?vms=1"


@pytest.fixture
def novacron(world, tmp_path):
    def run(*arguments, code=0, stdin=FILE):
        done = CliRunner().invoke(cli, ["-c", world, *arguments], input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    yield run
    run("destroy", "-f", "-", "--yes")


@pytest.fixture
def host(world):
    with api.connect(world) as host:
        yield host


def test_apply_and_diff_and_destroy(novacron, host):
    assert {row["name"] for row in json.loads(novacron("apply", "-f", "-", "--dry-run", "-o", "json").stdout)} == {"lan", "web-1"}
    assert "web-1" not in host.vms
    assert "2 changes done" in novacron("apply", "-f", "-").stderr
    assert "no change" in novacron("apply", "-f", "-").stderr
    novacron("diff", "-f", "-", "--exit-code")
    rows = json.loads(
        novacron("diff", "-f", "-", "--param", "n=2", "--profile", "small", "--exit-code", "-o", "json", code=1).stdout
    )
    assert ("create", "web-2") in {(row["action"], row["name"]) for row in rows}
    assert ("memory", 2**30) in {(row["field"], row["after"]) for row in rows}
    novacron("apply", "-f", "-", "--param", "n=2")
    assert "--yes" in novacron("apply", "-f", "-", "--prune", code=2).stderr
    assert "web-2" in host.vms
    novacron("apply", "-f", "-", "--prune", "--yes")
    assert ("web-1" in host.vms, "web-2" in host.vms) == (True, False)


def test_a_description_is_a_lab_file(novacron, host):
    novacron("apply", "-f", "-")
    text = novacron("describe", "web-1", "--name", "again").stdout
    assert "running: true" in text
    assert "no change" in novacron("apply", "-f", "-", stdin=text).stderr


def test_schemas_are_printed(novacron):
    assert json.loads(novacron("schema").stdout)["title"] == "NovaCron lab"
    assert "watchdog" in json.loads(novacron("schema", "VMSpec").stdout)["properties"]
    novacron("schema", "VMSpek", code=2)


def test_mistakes_are_named(novacron):
    done = novacron("apply", "-f", "-", code=1, stdin="name: x\nvms: {a: {memry: 1GiB}}")
    assert isinstance(done.exception, InvalidSpecError)
    assert "vms.a.memry" in str(done.exception)
    novacron("apply", "-f", "-", "--param", "n", code=2)
