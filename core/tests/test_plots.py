"""Charts of stored metrics, as text, SVG and PNG."""

import builtins
from xml.dom.minidom import parseString as parse_xml

import pytest

from novacron import errors
from novacron.monitoring.remote_messages import RemoteMessages
from novacron.plotting import Plot, svg, text
from novacron.records.series import Sample, Series, escaped_label
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


def test_a_gap_is_not_drawn_as_a_line():
    """Hours without samples are no line between their neighbours, and a single sample is a dot."""
    points = tuple((60.0 * minute, 5.0) for minute in (*range(10), 100, *range(200, 210)))
    drawn = [
        line.getAttribute("points")
        for line in parse_xml(svg([Series(metric="load", labels={}, points=points)])).getElementsByTagName("polyline")
    ]
    assert [len(set(line.split())) for line in drawn] == [10, 1, 10]
    assert len(drawn[1].split()) == 2


@pytest.mark.parametrize(
    "values", [(), (2.0**63, 2.0**63), (1e18, 1e18 + 128), (1e300, 1e300), (0.0, 1e-323), (-0.5, -0.5), (-1e300, 1e300)]
)
def test_values_that_do_not_differ_or_hardly_do_are_drawn(values, tmp_path):
    """The memory that libvirt reports for "no limit" is such a value: a report with it ended in a ValueError."""
    series = [CURVES[0], Series(metric="load", labels={}, points=tuple(enumerate(values)))]
    for some in (series, series[1:]):
        Plot(some).save(tmp_path / "load.png")
        assert svg(some)
        assert text(some)


def test_axes_have_round_numbers_and_the_unit():
    used = Series(metric="used", labels={}, points=((0.0, 0.3 * 2**40), (7 * 86400.0, 0.7 * 2**40)), unit="bytes")
    texts = [text.firstChild.data for text in parse_xml(svg([used])).getElementsByTagName("text") if text.firstChild]
    days = [f"01-0{day}" for day in range(1, 9)]
    assert texts == ["0 B", "200 GiB", "400 GiB", "600 GiB", "800 GiB", *days, "used"]
    shown = text([used]).splitlines()
    assert shown[0].startswith("800 GiB |")
    assert shown[-2].split() == ["1970-01-01", "00:00", "1970-01-08", "00:00"]


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


HOSTILE = "<script>x</script>\"'>\x1b]0;owned\x07\u202e\n# HELP forged\nforged 1\ud800 $\\frac{$"
HOSTILE_CURVE = Series(
    metric="used", labels={"mountpoint": HOSTILE}, points=((0.0, 1.0), (60.0, 1e308), (90.0, float("nan")), (99.0, -1e308))
)


def test_a_name_that_a_guest_chose_is_only_text_in_a_chart(tmp_path):
    """Neither a script in a page, nor a control sequence in a terminal, nor a formula in a picture, nor a forged line."""
    plot = Plot([HOSTILE_CURVE], HOSTILE)
    page = plot._repr_html_()
    parse_xml(page)
    assert "<script" not in page
    for shown in (page, str(plot), repr(plot)):
        assert not set("\x1b\x07\u202e\ud800") & set(shown)
    assert "\nforged" not in str(plot)
    assert plot.save(tmp_path / "x.svg").read_text(encoding="utf-8") == svg(plot.series, plot.title, width=800, height=300)
    pytest.importorskip("matplotlib")
    assert plot.save(tmp_path / "x.png").stat().st_size > 1000


def test_a_name_that_a_guest_chose_is_one_label_for_prometheus():
    written = escaped_label(HOSTILE)
    assert written.encode()
    assert "\n" not in written
    assert '"' not in written.replace('\\"', "")
    assert RemoteMessages().write_request([Sample(metric="used", labels={"mountpoint": HOSTILE}, value=1.0, at=1.0)])
