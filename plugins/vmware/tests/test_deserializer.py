"""What is read and written quickly is what pyVmomi itself reads and writes."""

from __future__ import annotations

import pytest

from novacron.specs import VMQuery
from novacron_vmware.deserializer import QuickDeserializer, QuickSerializer
from novacron_vmware.followed import SUMMARY
from novacron_vmware.records import FULL
from novacron_vmware.sdk import ManagedObject, SoapAdapter, vim, vmodl
from novacron_vmware.unknown_types import TolerantDeserializer, Unknown

Filter = vmodl.query.PropertyCollector
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><RetrievePropertiesExResponse xmlns="urn:vim25">'
    "<returnval>{}</returnval></RetrievePropertiesExResponse></soapenv:Body></soapenv:Envelope>"
)
OBJECT = '<objects><obj type="VirtualMachine">vm-{}</obj><propSet><name>{}</name><val {}>{}</val></propSet></objects>'


def told(value, depth=0):
    """Everything that an object holds, with the types: pyVmomi's own text of it, and more."""
    if isinstance(value, ManagedObject):
        return (type(value).__name__, value._moId, value._serverGuid)
    if isinstance(value, list):
        return (type(value).__name__, [told(each) for each in value])
    if hasattr(value, "__dict__") and not isinstance(value, type | str):
        return (type(value).__name__, {name: told(each) for name, each in vars(value).items()})
    return (type(value).__name__, str(value))


def read_by(reader, monkeypatch, answer, kind):
    """Read an answer by one of the readers; what it raises is its answer too."""
    monkeypatch.setattr(SoapAdapter, "SoapDeserializer", reader)
    stub = SoapAdapter.SoapStubAdapter("x", version="vim.version.v8_0_3_0")
    try:
        read = REAL(SoapAdapter.SoapResponseDeserializer(stub), answer, kind)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        return (type(error).__name__, str(error))
    return told(read)


class Written(SoapAdapter.SoapStubAdapter):
    """Answers with the request."""

    def InvokeMethod(self, mo, info, args, outerStub=None):
        return self.SerializeRequest(mo, info, args)


REAL = SoapAdapter.SoapResponseDeserializer.Deserialize


def both(monkeypatch, answer, kind=Filter.RetrieveResult):
    quick, own = (read_by(reader, monkeypatch, answer, kind) for reader in (QuickDeserializer, TolerantDeserializer))
    return quick, own


def test_every_answer_of_a_simulator_is_read_alike(vcenter, host, create, monkeypatch):
    """Listings, full records, samples, events, tasks, alarms, snapshots and faults."""
    answers = []

    def deserialize(self, response, kind, nsMap=None):
        content = response if isinstance(response, bytes) else response.read()
        answers.append((content, kind))
        return REAL(self, content, kind, nsMap)

    with monkeypatch.context() as patched:
        patched.setattr(SoapAdapter.SoapResponseDeserializer, "Deserialize", deserialize)
        vm = create("readtwice", vcpus=2, start=True)
        vm.snapshots.create("one")
        host.invoke("vm_list", query=VMQuery(detail="full"))
        host.invoke("metrics_vms")
        host.info()
        for native in ("event_list", "task_list", "alarm_list", "node_list", "cluster_list"):
            getattr(host.native, native)()
        reader = host.dispatcher.driver.native
        with pytest.raises(vmodl.MethodFault):
            vim.VirtualMachine("vm-none", reader.session).PowerOffVM_Task()
        reader.collect(vim.HostSystem, ["config", "summary"])
        reader.collect(vim.VirtualMachine, ["config", "layoutEx", "guest", "environmentBrowser"])
    assert len(answers) > 30
    for answer, kind in answers:
        quick, own = both(monkeypatch, answer, kind)
        assert quick == own


def objects(*kinds):
    return ENVELOPE.format("".join(OBJECT.format(number, "name", *kind) for number, kind in enumerate(kinds))).encode()


XSD, MOREF = 'xsi:type="xsd:{}"', 'xsi:type="ManagedObjectReference" type="{}"'


@pytest.mark.parametrize(
    "answer",
    {
        "values": objects(*[(XSD.format(kind), text) for kind in ("int", "long") for text in ("1", "-7", "2")]),
        "booleans": objects(*[(XSD.format("boolean"), text) for text in ("1", "true", "0", "false", "TRUE", "1")]),
        "no boolean": objects((XSD.format("boolean"), "true"), (XSD.format("boolean"), "yes")),
        "no number": objects((XSD.format("int"), "1"), (XSD.format("int"), "one")),
        "texts": objects(*[(XSD.format("string"), text) for text in ("a", "", "&lt;&amp;", "日本 🚀", "a")]),
        "times": objects(*[(XSD.format("dateTime"), f"2026-11-27T0{n}:00:00.123Z") for n in (1, 2)]),
        "objects": objects(*[(MOREF.format(kind), "x-1") for kind in ("HostSystem", "Folder", "HostSystem")]),
        "other server": objects((MOREF.format("Folder"), "x-1"), (MOREF.format("Folder") + ' serverGuid="g"', "x-1")),
        "no such object": objects((MOREF.format("Folder"), "x-1"), (MOREF.format("Nothing"), "x-1")),
        "states": objects(*[('xsi:type="VirtualMachinePowerState"', text) for text in ("poweredOn", "poweredOff", "poweredOn")]),
        "no state": objects(*[('xsi:type="VirtualMachinePowerState"', text) for text in ("poweredOn", "mro")]),
        "lists": objects(*[('xsi:type="ArrayOfString"', "<string>a</string><string>b</string>")] * 3),
        "unknown": objects(*[('xsi:type="Mystery"', "<a>1</a><b>2</b>"), ('xsi:type="Mystery"', "<b>2</b><c>3</c>")] * 2),
        "another type": objects((XSD.format("string"), "a"), (XSD.format("int"), "3"), (XSD.format("string"), "3")),
        "prefix": objects(
            (XSD.format("string"), "12"),
            ('xmlns:xsd="urn:vim25" xsi:type="xsd:Description"', "<label>x</label>"),
            (XSD.format("int"), "1"),
        ),
        "wrong kind": objects((XSD.format("string"), "a")).replace(b"<name>", b'<name xsi:type="xsd:int">'),
        "wrong kind later": objects((XSD.format("string"), "a")).replace(
            b"</propSet>", b'</propSet><propSet><name xsi:type="VirtualDisk"/><val xsi:type="xsd:int">1</val></propSet>'
        ),
        "no such element": objects((XSD.format("string"), "a")).replace(b"</propSet>", b"</propSet><shoe>1</shoe>"),
        "token": ENVELOPE.format("<token>1</token><token>2</token>").encode(),
    }.items(),
    ids=lambda each: each[0],
)
def test_odd_answers_are_read_or_refused_alike(answer, monkeypatch):
    quick, own = both(monkeypatch, answer[1])
    assert quick == own


def test_a_list_of_one_object_is_not_that_of_another(monkeypatch):
    """Each object has lists and values of its own."""
    monkeypatch.setattr(SoapAdapter, "SoapDeserializer", QuickDeserializer)
    read = REAL(
        SoapAdapter.SoapResponseDeserializer(None), objects(*[(XSD.format("string"), n) for n in "abc"]), Filter.RetrieveResult
    )
    assert [[p.val for p in each.propSet] for each in read.objects] == [["a"], ["b"], ["c"]]
    assert len({id(each.propSet) for each in read.objects}) == 3
    assert read.objects[2].missingSet == []
    read.objects[1].missingSet.append(1)
    assert read.objects[2].missingSet == []


def test_only_the_first_element_of_each_kind_is_looked_up(monkeypatch):
    """Which is what makes it quick: pyVmomi reads as much of a thousand objects as of two."""
    calls = []
    for name in ("StartElementHandler", "EndElementHandler"):
        real = getattr(TolerantDeserializer, name)
        monkeypatch.setattr(TolerantDeserializer, name, lambda *a, real=real: (calls.append(a[1]), real(*a))[1])
    kinds = [(XSD.format("string"), "a"), (XSD.format("int"), "1"), (MOREF.format("Folder"), "f-1")]
    counts = []
    for times in (2, 1000):
        calls.clear()
        read_by(QuickDeserializer, monkeypatch, objects(*kinds * times), Filter.RetrieveResult)
        counts.append(len([tag for tag in calls if not tag.endswith("objects")]))
    assert counts[0] == counts[1] < 40


def test_kinds_without_end_fill_no_memory(monkeypatch):
    """A server may send a new type with each element."""
    monkeypatch.setattr("novacron_vmware.deserializer.KINDS", 8)
    made = []
    monkeypatch.setattr(
        QuickDeserializer, "__init__", lambda self, *a, real=QuickDeserializer.__init__: (made.append(self), real(self, *a))[1]
    )
    kinds = [(MOREF.format(kind), "x") for kind in ("Folder", "HostSystem", "Datacenter", "Datastore", "Network", "Task")] * 3
    assert len(read_by(QuickDeserializer, monkeypatch, objects(*kinds), Filter.RetrieveResult)[1]["objects"][1]) == 18
    assert 0 < len(made[-1]._begun) <= 8
    assert len(made[-1]._stored) <= 8


def test_requests_are_written_as_pyvmomi_writes_them(monkeypatch):
    """Of samples, whose list of counters all objects share; of a walk, and of data of derived types."""
    Manager = vim.PerformanceManager
    wanted = [Manager.MetricId(counterId=number, instance="*") for number in (2, 4)]
    more = [Manager.MetricId(counterId=7, instance="")]
    specs = [
        Manager.QuerySpec(entity=vim.VirtualMachine(f"vm-{number}"), metricId=ids, intervalId=20, format="csv")
        for number, ids in enumerate((wanted, more, wanted, more, wanted))
    ]
    walk = Filter.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
    start = [Filter.ObjectSpec(obj=vim.Folder(f"group-{n}"), selectSet=[walk]) for n in range(3)]
    filters = [
        Filter.FilterSpec(objectSet=start, propSet=[Filter.PropertySpec(type=vim.VirtualMachine, pathSet=list(SUMMARY + FULL))])
    ]
    device = vim.vm.device.VirtualDeviceSpec(operation="add", device=vim.vm.device.VirtualE1000(key=-1))
    config = vim.vm.ConfigSpec(
        name="<&>", deviceChange=[device, device], extraConfig=[vim.option.OptionValue(key="k", value="v")]
    )
    stub = Written("x", version="vim.version.v8_0_3_0")
    for write in (
        lambda: Manager("p", stub).QueryPerf(specs),
        lambda: Filter("c", stub).RetrieveContents(filters),
        lambda: vim.VirtualMachine("vm-1", stub).ReconfigVM_Task(config),
    ):
        monkeypatch.setattr(SoapAdapter, "SoapSerializer", QuickSerializer.__mro__[1])
        own = write()
        monkeypatch.setattr(SoapAdapter, "SoapSerializer", QuickSerializer)
        assert write() == own
        assert len(own) > 300


def test_specs_of_unknown_types_stay_unknown(monkeypatch):
    """Data of an unknown type has the attributes that were sent, each object its own."""
    monkeypatch.setattr(SoapAdapter, "SoapDeserializer", QuickDeserializer)
    kinds = [('xsi:type="Mystery"', f"<a>{n}</a>" + "<b>2</b>" * (n % 2)) for n in range(4)]
    read = REAL(SoapAdapter.SoapResponseDeserializer(None), objects(*kinds), Filter.RetrieveResult)
    values = [each.propSet[0].val for each in read.objects]
    assert all(type(value) is Unknown for value in values)
    assert [hasattr(value, "b") for value in values] == [False, True, False, True]
