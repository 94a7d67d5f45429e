"""`novacron monitor` and `novacron alert` from the command line, over simulated hosts."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def world():
    """A host of the fleet with two VMs."""
    name = f"monitor-{next(WORLDS)}"
    api.fleet().add(name, f"sim://{name}?vms=2")
    yield name
    api.fleet().remove(name)


@pytest.fixture
def novacron(world):
    """Return a function that runs a command."""

    def run(*arguments, exit_code=0):
        done = CliRunner().invoke(cli, [*arguments])
        assert done.exit_code == exit_code, (done.output, done.exception)
        return done

    run.json = lambda *arguments: json.loads(run(*arguments, "-o", "json").stdout)
    return run


def test_metrics_are_listed(novacron):
    listed = {one["name"]: one for one in novacron.json("monitor", "metrics")}
    assert listed["novacron_vm_cpu_seconds_total"]["kind"] == "counter"


def test_values_now(novacron, world):
    (one,) = novacron.json("monitor", "now", "novacron_host_vms", "--label", f"host={world}")
    assert one["value"] == 2
    assert len(novacron("monitor", "now", "novacron_vm_running").stdout.splitlines()) == 3


def test_values_are_collected_and_pushed(novacron, world):
    novacron("monitor", "put", "queue_length", "3", "queue=mail")
    done = novacron("monitor", "collect", "--count", "1")
    assert "collecting" in done.stderr
    assert CliRunner().invoke(cli, ["monitor", "put", "queue length", "3"]).exit_code != 0
    assert novacron.json("monitor", "query", "queue_length", "--since", "5m")[0]["points"][-1][1] == 3
    assert "queue=mail" in novacron("monitor", "query", "queue_length", "--step", "1m").stdout


def test_the_past_of_a_host_is_imported(novacron, world):
    assert "values imported" in novacron("monitor", "import", world).stderr
    assert "no host" in str(novacron("monitor", "import", "nowhere", exit_code=1).exception)


def test_programs_and_endpoints_are_sources(novacron, world, tmp_path):
    """Options of the collector name them. One that fails affects no other, and is a series."""
    program = tmp_path / "print jobs"
    program.write_text('#!/bin/sh\necho "jobs_$1 7"\n')
    program.chmod(0o755)
    options = ["--program", f"printed='{program}' waiting", "--endpoint", "gone=http://127.0.0.1:9/metrics"]
    done = novacron("monitor", "collect", "--count", "1", *options)
    assert "gone: StorageError" in done.stderr
    assert novacron.json("monitor", "query", "jobs_waiting", "--since", "5m")[0]["points"][-1][1] == 7
    (up,) = novacron.json("monitor", "query", "novacron_source_up", "--since", "5m", "--label", "source=gone")
    assert up["points"][-1][1] == 0
    for option, text in (
        ("--program", "a='open"),
        ("--program", "noname"),
        ("--endpoint", "a=ftp://host/"),
        ("--otlp", "ftp://host/"),
    ):
        assert CliRunner().invoke(cli, ["monitor", "collect", "--count", "1", option, text]).exit_code != 0
    assert "needs --remote-write or --otlp" in novacron("monitor", "collect", "--remote-token", "x", exit_code=2).stderr
    api.fleet().metrics._own_sources.clear()  # the tests share a process


def test_the_exporter_is_served_and_described(novacron, world):
    done = novacron("monitor", "serve", "--listen", "127.0.0.1:0", "--count", "1")
    assert "listening on http://127.0.0.1:" in done.stderr
    assert '"monitor" "serve" "--listen" "[::1]:9177"' in novacron("monitor", "unit", "--", "--listen", "[::1]:9177").stdout
    assert CliRunner().invoke(cli, ["monitor", "serve", "--listen", "0.0.0.0:0", "--count", "1"]).exit_code != 0


def test_alerts_from_the_command_line(novacron, world, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("""
[[rules]]
alert = "HasVMs"
expr = "novacron_host_vms > 1"
annotations = { summary = "{{ $labels.host }} has {{ $value }} VMs" }
""")
    novacron("alert", "load", str(file))
    try:
        assert "HasVMs" in novacron("alert", "rules").stdout
        novacron("monitor", "collect", "--count", "1")
        assert f"{world} has 2 VMs" in novacron("alert", "list", "--state", "firing").stdout
        silence = novacron.json("alert", "silence", f"host={world}", "--for", "1h", "--comment", "test")["id"]
        assert silence in novacron("alert", "silences").stdout
        novacron("monitor", "collect", "--count", "1")
        (one,) = [a for a in novacron.json("alert", "list") if a["labels"].get("host") == world]
        assert one["silenced_by"] == silence
        novacron("alert", "unsilence", silence)
        assert "alert: HasVMs" in novacron("alert", "export").stdout
        novacron("alert", "waiting")
    finally:
        novacron("alert", "unload", "mine")


def test_rules_are_tested_from_the_command_line(novacron, tmp_path):
    file = tmp_path / "tests.yml"
    text = """
tests:
  - interval: 1m
    input_series: [{series: 'novacron_host_up{host="a"}', values: "1 0x9"}]
    alert_rule_test:
      - {eval_time: 2m, alertname: HostUnreachable, exp_alerts: []}
      - {eval_time: 3m, alertname: HostUnreachable, exp_alerts: [{exp_labels: {host: a, severity: critical}}]}
"""
    file.write_text(text)
    assert novacron("alert", "test", str(file)).stdout.count("passed") == 2
    file.write_text(text.replace("eval_time: 3m", "eval_time: 1m"))
    assert "failed" in novacron("alert", "test", str(file), exit_code=1).stdout
    file.write_text("tests: 3")
    assert CliRunner().invoke(cli, ["alert", "test", str(file)]).exit_code != 0


def test_plots_forecasts_reports_and_dashboards(novacron, world, tmp_path):
    novacron("monitor", "collect", "--count", "2", "--every", "1s")
    assert CliRunner().invoke(cli, ["monitor", "collect", "--count", "1", "--every", "0s"]).exit_code != 0
    assert "+---" in novacron("monitor", "plot", "novacron_host_vms", "--label", f"host={world}").stdout
    novacron("monitor", "plot", "novacron_host_vms", "--svg", str(tmp_path / "vms.svg"))
    assert (tmp_path / "vms.svg").read_text().startswith("<svg")
    novacron("monitor", "plot", "novacron_host_vms", "--png", str(tmp_path / "vms.png"))
    assert (tmp_path / "vms.png").read_bytes().startswith(b"\x89PNG")
    assert novacron.json("monitor", "dashboard", "hosts")["title"] == "NovaCron hosts"
    assert "scrape_configs:" in novacron("monitor", "example", "prometheus").stdout
    assert "too little data" in novacron("forecast", "pool", "default", "--host", world).stdout
    (one,) = novacron.json("forecast", "metric", "novacron_host_vms", "--label", f"host={world}")
    assert one["problem"].startswith("too little data")
    novacron("report", "--html", str(tmp_path / "report.html"))
    assert world in (tmp_path / "report.html").read_text()
