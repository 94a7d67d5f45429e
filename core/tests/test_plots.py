"""Charts of stored metrics, as text, SVG and PNG."""

import builtins

import pytest

from novacron import errors
from novacron.drivers import sim
from novacron.plotting import Plot
from novacron.records.series import Series
from novacron.site import Site

CURVES = [
    Series(metric="load", labels={"host": name}, points=((0.0, low), (60.0, high)))
    for name, low, high in (("a", 1, 2), ("<b>", 3, 9))
]


def test_a_vm_and_the_fleet_plot_what_a_collector_stored(tmp_path):
    with Site(tmp_path / "state") as site:
        site.fleet.add("plotted", "sim://plotted?vms=2")
        collector = site.fleet.metrics.collector()
        for _ in range(3):
            collector.collect()
        vm = site.fleet.hosts["plotted"].vms["vm-00001"]
        assert "cpu of vm-00001" in str(vm.metrics.plot("cpu"))
        plot = site.fleet.plot("memory", since="10m")
        assert {one.labels["name"] for one in plot.series} == {"vm-00001", "vm-00002"}
        with pytest.raises(errors.InvalidSpecError, match="1 parsec"):
            site.fleet.plot("memory", since="1 parsec")
    sim.forget("plotted")


def test_pictures_are_svg_and_png(tmp_path):
    plot = Plot(CURVES, "load & more")
    svg = plot.save(tmp_path / "load.svg").read_text()
    assert svg.count("<polyline") == 2
    assert "load &amp; more" in svg
    assert "<b>" not in svg
    assert plot._repr_html_().startswith("<svg")
    png = plot.save(tmp_path / "load.png", width=400, height=200).read_bytes()
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (400, 200)


@pytest.mark.parametrize("name", ["load.gif", "load", "no/such/folder.svg", "no/such/folder.png"])
def test_what_can_not_be_written_is_named(tmp_path, name):
    with pytest.raises(errors.InvalidSpecError):
        Plot(CURVES).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        Plot(CURVES).save(tmp_path / "load.png")
    assert "novacron[plots]" in caught.value.hint
