"""The parameters in the query of a host's URI: one that no driver would use is refused before anything is connected."""

import pytest

from novacron import Site, errors
from novacron.connecting import check_parameters
from novacron.plugins import Driver, DriverProvider, HostURI


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as site:
        yield site


@pytest.mark.parametrize(
    ("uri", "parameter", "allowed"),
    [
        ("vsphere://admin@192.0.2.1/DC0?timeout=900", "timeout", "one of cafile"),
        ("vsphere://admin@192.0.2.1/?verfy=no", "verfy", "did you mean 'verify'"),
        ("esx://root@192.0.2.1?verify=yes&Verify=no", "verify", "one value"),
        ("test:///default?sokcet=/x", "sokcet", "did you mean 'socket'"),
        ("qemu+tls://192.0.2.1/system?no_verify=0&no_verify=1", "no_verify", "one value"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(site, uri, parameter, allowed):
    with pytest.raises(errors.InvalidSpecError, match="invalid URI") as caught:
        site.connect(uri, password="none") if uri.startswith(("vsphere", "esx")) else site.connect(uri)
    (problem,) = caught.value.problems
    assert (problem.path, caught.value.operation, caught.value.outcome) == (f"uri.{parameter}", "connect", "not_sent")
    assert allowed in problem.allowed


def test_names_of_parameters_have_no_case(site):
    assert HostURI.parse("vsphere://vc?Verify=no&CAFILE=/Ca.pem").query == {"verify": "no", "cafile": "/Ca.pem"}
    with site.connect("sim://test-uri-case?VMs=2") as host:
        assert host.vms.list().total == 2


def test_a_driver_that_asks_for_a_parameter_in_its_own_way_still_gets_it():
    """A plugin that was written before names were made lower case."""
    query = HostURI.parse("toy://a?apiToken_File=/t&colour=red").query
    assert (query["apiToken_File"], query.get("Colour"), query.get("size"), "COLOUR" in query) == ("/t", "red", None, True)
    assert list(query) == ["apitoken_file", "colour"]


@pytest.mark.parametrize("parameters", [None, ("colour",)])
def test_a_driver_that_declares_nothing_gets_all_parameters(parameters):
    provider = DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: Driver([]), parameters=parameters)
    check_parameters(provider, HostURI.parse("toy://a?colour=red"))
