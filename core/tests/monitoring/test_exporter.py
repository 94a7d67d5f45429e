"""The exporter: text for Prometheus, service discovery, health, TLS and tokens; read by a real Prometheus."""

import json
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from novacron.errors import InvalidSpecError, StorageError
from novacron.monitoring.discovery import guest_targets, host_targets
from novacron.monitoring.exporter import Exporter, Target
from novacron.monitoring.exposition import ExpositionWriter
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
from novacron.monitoring.server import ExporterServer
from novacron.monitoring.service import MonitorService
from novacron.monitoring.systemd import unit
from novacron.site import Site


@pytest.fixture
def host(add_host):
    return add_host(3).name


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.status, answer.headers, answer.read()


def status_of(url, **headers):
    try:
        return get(url, **headers)[0]
    except urllib.error.HTTPError as error:
        return error.code


def read(families):
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def test_both_formats_say_the_same(site, host):
    """The text is read by the parsers of Prometheus' own library."""
    made = site.fleet.metrics.measure()
    writer = ExpositionWriter(site.fleet.metrics.definitions())
    expected = {(s.metric, *sorted(s.labels.items())): s.value for s in made.samples()}
    assert read(parse_openmetrics(writer.write(made).decode())) == expected
    assert read(parse_plain(writer.write(made, openmetrics=False).decode())) == expected


NASTY = ['a"b', "a\nb", "a\\b", "a\\nb", "{x=1}", "é\u2028", "", "#", ' # {a="b"} 1 ']


def test_names_with_quotes_and_newlines(site):
    layouts = Layouts()
    layout = layouts.of([SeriesKey("jobs")])
    made = Round(0.0, [Measured("custom", str(n), "", (("queue", name),), layout, [float(n)]) for n, name in enumerate(NASTY)])
    expected = {("jobs", ("queue", name)): float(n) for n, name in enumerate(NASTY)}
    assert read(parse_openmetrics(ExpositionWriter({}).write(made).decode())) == expected
    assert read(parse_plain(ExpositionWriter({}).write(made, openmetrics=False).decode())) == expected


def test_a_series_of_two_sources_is_written_once(site):
    layout = Layouts().of([SeriesKey("jobs")])
    made = Round(0.0, [Measured("custom", key, "", (("a", "1"),), layout, [1.0]) for key in ("one", "two")])
    assert ExpositionWriter({}).write(made).count(b"jobs{") == 1


def test_a_renamed_vm_has_its_new_name():
    layout, writer = Layouts().of([SeriesKey("up")]), ExpositionWriter({})
    for name in ("old", "new"):
        text = writer.write(Round(0.0, [Measured("vm", "1", "", (("name", name),), layout, [1.0])]))
    assert b'name="new"' in text
    assert b"old" not in text


def test_values_that_are_too_old_are_not_offered(site, host):
    now = [0.0]
    exporter = Exporter({}, interval=60, clock=lambda: now[0])
    assert exporter.answer("/-/ready").status == 503
    exporter.publish(site.fleet.metrics.measure())
    assert b"novacron_host_up" in exporter.answer("/metrics").body
    now[0] = 301.0
    assert exporter.answer("/-/ready").status == 503
    assert b"novacron_host_up" not in exporter.answer("/metrics").body
    assert exporter.answer("/-/healthy").status == 200
    assert b"novacron_monitor_rounds_total 1" in exporter.answer("/metrics").body


def test_guests_and_hosts_are_discovered(site, host):
    vms = site.fleet.hosts[host].vms
    vms["vm-00001"].update(tags=["web", "blue"])
    exporter = Exporter({})
    exporter.guests, exporter.hosts = guest_targets(site.fleet), host_targets(site.fleet)
    guests = json.loads(exporter.answer("/sd/guests?port=9200").body)
    one = next(g for g in guests if g["labels"]["__meta_novacron_name"] == "vm-00001")
    assert one["targets"][0].endswith(":9200")
    assert one["labels"]["__meta_novacron_tags"] == ",blue,web,"
    assert [g["targets"] for g in json.loads(exporter.answer("/sd/hosts").body)] == [[f"{host}:9100"]]
    assert exporter.answer("/sd/hosts?port=x").status == 400
    exporter.guests = [Target("2001:db8::1", {})]
    assert json.loads(exporter.answer("/sd/guests").body)[0]["targets"] == ["[2001:db8::1]:9100"]


@pytest.fixture
def certificate(tmp_path):
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-out",
            files[0],
            "-keyout",
            files[1],
        ],
        check=True,
        capture_output=True,
    )
    return files


def test_tls_and_a_token(certificate):
    with ExporterServer(Exporter({}), "127.0.0.1:0", certificate=certificate[0], key=certificate[1], token="s3cret") as server:
        trusting = ssl.create_default_context(cafile=certificate[0])
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusting))
        request = urllib.request.Request(
            f"{server.url}/metrics", headers={"Authorization": "Bearer s3cret", "Accept-Encoding": "gzip"}
        )
        assert opener.open(request, timeout=10).status == 200
        for wrong in ("", "Bearer s3cre", "Bearer s3crett", "Basic s3cret", "Bearer \xe9"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                opener.open(urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": wrong}), timeout=10)
        with pytest.raises(OSError):  # not HTTP without TLS
            urllib.request.urlopen(server.url.replace("https", "http"), timeout=10)


def test_a_client_that_says_nothing_delays_nobody(certificate):
    import socket

    with ExporterServer(Exporter({}), "127.0.0.1:0") as server:
        silent = [socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) for _ in range(5)]
        assert get(f"{server.url}/-/healthy")[0] == 200
        for one in silent:
            one.close()


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "0.0.0.0:0"])
def test_bad_addresses_are_rejected(listen):
    with pytest.raises(InvalidSpecError, match=r"listen|others"):
        ExporterServer(Exporter({}), listen)


def test_a_port_in_use_and_a_missing_certificate(tmp_path):
    with ExporterServer(Exporter({}), "127.0.0.1:0") as server, pytest.raises(StorageError, match="can't listen"):
        ExporterServer(Exporter({}), server.url.removeprefix("http://"))
    with pytest.raises(StorageError, match="certificate"):
        ExporterServer(Exporter({}), "127.0.0.1:0", certificate=tmp_path / "absent.pem")


def test_a_second_service_serves_what_the_first_stored(site, host, tmp_path):
    published = []
    first = MonitorService(site.fleet.metrics, say=lambda _: None)
    made = first.step()
    with Site(tmp_path / "state") as other:
        second = MonitorService(other.fleet.metrics, say=lambda _: None, follow=published.append)
        assert second.step() is None
        assert sorted(map(str, published[0].samples())) == sorted(map(str, made.samples()))
        first.close()
        assert second.step() is not None
        second.close()


def test_the_unit_is_valid(tmp_path):
    text = unit("/usr/bin/true", ["--listen", "[::1]:9177", '50% $HOME "x"'])
    assert 'ExecStart="/usr/bin/true" "monitor" "serve" "--listen" "[::1]:9177" "50%% $$HOME \\"x\\""' in text
    file = tmp_path / "novacron-monitor.service"
    file.write_text(text)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
        assert "novacron-monitor.service" not in done.stderr


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs the package prometheus")
def test_a_real_prometheus_scrapes_and_discovers(site, host, tmp_path, free_port):
    stop = threading.Event()
    exporter = Exporter(site.fleet.metrics.definitions(), interval=1)
    service = MonitorService(site.fleet.metrics, interval=0.3, say=lambda _: None, after=exporter.publish)
    runner = threading.Thread(target=service.run, args=(stop,))
    runner.start()
    port = free_port()
    with ExporterServer(exporter, "127.0.0.1:0") as server:
        exporter.hosts = [Target("127.0.0.1", {"host": host})]
        own = server.url.rpartition(":")[2]
        config = tmp_path / "prometheus.yml"
        config.write_text(f"""
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: novacron
    static_configs: [{{targets: ["127.0.0.1:{own}"]}}]
  - job_name: discovered
    http_sd_configs: [{{url: "{server.url}/sd/hosts?port={own}", refresh_interval: 300ms}}]
    relabel_configs: [{{source_labels: [__meta_novacron_host], target_label: from}}]
""")
        options = {"config.file": config, "storage.tsdb.path": tmp_path / "data", "web.listen-address": f"127.0.0.1:{port}"}
        command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
        prometheus = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def query(text):
            try:
                answer = json.loads(get(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(text)}")[2])
            except OSError:
                return []
            return answer["data"]["result"]

        try:
            deadline = time.monotonic() + 60
            while not (
                query(
                    f'count(novacron_vm_running{{job="novacron"}} == 1) > 0 and on() novacron_host_up{{host="{host}",job="novacron"}} == 1'
                )
                and query(f'up{{job="discovered",from="{host}"}} == 1')
                and query('rate(novacron_vm_cpu_seconds_total{job="novacron"}[5s]) > 0')
            ):
                assert time.monotonic() < deadline
                stop.wait(0.2)
            metadata = json.loads(get(f"http://127.0.0.1:{port}/api/v1/metadata?metric=novacron_vm_memory_bytes")[2])
            assert metadata["data"]["novacron_vm_memory_bytes"][0]["type"] == "gauge"
        finally:
            prometheus.terminate()
            prometheus.wait(60)
            stop.set()
            runner.join(60)
