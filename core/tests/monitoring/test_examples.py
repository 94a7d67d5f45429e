"""The examples of configuration files: the checkers of Prometheus and Alertmanager accept them, and the real servers load them."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
import tenacity
import yaml

from novacron.monitoring.alerting.configuration import Configuration
from novacron.monitoring.alerting.defaults import INHIBITIONS, default_configuration
from novacron.monitoring.alerting.rules import prometheus_file
from novacron.monitoring.dashboards import DASHBOARDS, dashboard
from novacron.monitoring.examples import EXAMPLES, example
from novacron.monitoring.exporter import Exporter
from novacron.monitoring.server import ExporterServer
from novacron.monitoring.service import MonitorService

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs the package prometheus")
needs_alertmanager = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None, reason="needs the package prometheus-alertmanager"
)


@pytest.fixture
def folder(tmp_path):
    """A folder with the examples, and with the default rules as `novacron alert export` writes them."""
    for name in EXAMPLES:
        (tmp_path / f"{name}.yml").write_text(example(name))
    (tmp_path / "novacron-rules.yml").write_text(yaml.safe_dump(prometheus_file(default_configuration().rules)))
    return tmp_path


def checked(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_promtool_accepts_the_example(folder):
    checked("promtool", "check", "config", "prometheus.yml", folder=folder)


@needs_alertmanager
def test_amtool_accepts_the_example(folder):
    checked("amtool", "check-config", "alertmanager.yml", folder=folder)


def test_alertmanager_groups_and_inhibits_as_novacron_does():
    given, (route,) = yaml.safe_load(example("alertmanager")), Configuration().routes
    assert tuple(given["route"]["group_by"]) == route.group_by
    assert (given["route"]["group_wait"], given["route"]["group_interval"]) == ("30s", "5m")
    assert (route.group_wait, route.group_interval, given["route"]["repeat_interval"]) == (30.0, 300.0, "4h")
    assert [tuple(one["equal"]) for one in given["inhibit_rules"]] == [equal for *_, equal in INHIBITIONS]


@contextmanager
def running(*command, folder):
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((OSError, AssertionError, IndexError)),
    wait=tenacity.wait_fixed(0.2),
    stop=tenacity.stop_after_delay(60),
    reraise=True,
)
def asked(port, path, holds):
    """Ask a server until its answer is right."""
    answer = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read())
    assert holds(answer), answer
    return answer


def is_up(found):
    return [one["health"] for one in found["data"]["activeTargets"] if one["labels"]["job"] == "novacron"] == ["up"]


def for_each_panel(prometheus):
    """Ask Prometheus what Grafana asks for each panel and variable. Each curve has the labels that its name in the legend has."""
    for name in DASHBOARDS:
        made = dashboard(name)
        for panel in made["panels"]:
            (target,) = panel["targets"]
            query = urllib.parse.urlencode({"query": target["expr"].replace("$vm", ".*")})
            found = asked(prometheus, f"/api/v1/query?{query}", lambda found: found["data"]["result"])["data"]["result"]
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert all(one["metric"][label] for one in found), (panel["title"], label)
        for variable in (one for one in made["templating"]["list"] if one["type"] == "query"):
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
            values = asked(prometheus, f"/api/v1/label/{label}/values?match[]={metric}", lambda found: found["data"])["data"]
            assert len(values) == 3


@needs_prometheus
@needs_alertmanager
def test_the_real_servers_load_the_examples(site, add_host, folder, receiver, free_port):
    """Prometheus scrapes the exporter, loads all default rules and knows the Alertmanager, which notifies about an alert that it gets.

    Each panel of the dashboards has at least one curve.
    """
    add_host(3)
    exporter = Exporter(site.fleet.metrics.definitions())
    service = MonitorService(site.fleet.metrics, say=lambda _: None, after=exporter.publish)
    service.step()
    prometheus, alertmanager = free_port(), free_port()
    with ExporterServer(exporter, "127.0.0.1:0") as server:
        ours = server.url.rpartition("//")[2]
        replaced = {"127.0.0.1:9177": ours, "127.0.0.1:9093": f"127.0.0.1:{alertmanager}", "60s": "1s", "10s": "1s"}
        replaced |= {"http://127.0.0.1:9999/team": receiver.url, "http://127.0.0.1:9999/on-call": receiver.url}
        for name in EXAMPLES:
            text = example(name)
            for old, new in replaced.items():
                text = text.replace(old, new)
            (folder / f"{name}.yml").write_text(text)
        common = (f"--web.listen-address=127.0.0.1:{prometheus}", "--storage.tsdb.path=data")
        alone = (f"--web.listen-address=127.0.0.1:{alertmanager}", "--storage.path=am", "--cluster.listen-address=")
        with (
            running("prometheus-alertmanager", "--config.file=alertmanager.yml", *alone, folder=folder),
            running("prometheus", "--config.file=prometheus.yml", *common, folder=folder),
        ):
            asked(prometheus, "/api/v1/targets?state=active", is_up)
            asked(prometheus, "/api/v1/alertmanagers", lambda found: len(found["data"]["activeAlertmanagers"]) == 1)
            rules = asked(prometheus, "/api/v1/rules", lambda found: found["data"]["groups"])
            names = [one["name"] for one in rules["data"]["groups"][0]["rules"]]
            assert names == [rule.alert for rule in default_configuration().rules]
            path = "/api/v1/query?query=novacron_host_up"
            series = asked(prometheus, path, lambda found: found["data"]["result"])["data"]["result"][0]
            assert series["metric"]["host"].startswith("monitored-")
            asked(alertmanager, "/api/v2/status", lambda found: "on-call" in found["config"]["original"])
            alert = [{"labels": {"alertname": "HostUnreachable", "severity": "critical", "host": "kvm1"}}]
            request = urllib.request.Request(
                f"http://127.0.0.1:{alertmanager}/api/v2/alerts",
                data=json.dumps(alert).encode(),
                headers={"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request, timeout=5).read()
            path = "/api/v2/alerts/groups?receiver=on-call"
            asked(alertmanager, path, lambda found: found[0]["alerts"][0]["labels"]["host"] == "kvm1")
            site.fleet.add("absent", "qemu+tcp://127.0.0.1:9/system")
            service.step()
            for_each_panel(prometheus)
    service.close()
