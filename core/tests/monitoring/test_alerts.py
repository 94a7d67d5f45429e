"""Alerts from the round to the receiver: grouping, silences, files of rules."""

import pytest

from novacron.errors import InvalidSpecError, NotFoundError
from novacron.monitoring.alerting.configuration import Configuration, Inhibition, Route, matcher
from novacron.monitoring.alerting.grouping import Silence, due, muted
from novacron.monitoring.layouts import Measured, Round, SeriesKey
from novacron.monitoring.service import MonitorService
from novacron.records.alerts import Alert


def test_an_alert_is_notified_once_and_resolved_once(site, receiver, told_by, rounds):
    site.fleet.alerts.load("own", told_by(receiver.url))
    notifier = site.fleet.alerts.notifier(None)
    rounds(notifier, 50, 95, 96, 97, 50, 50)
    assert [(body["status"], body["alerts"][0]["state"]) for _, _, body in receiver.received] == [
        ("firing",) * 2,
        ("resolved",) * 2,
    ]
    assert "a is at 95" in receiver.received[0][2]["text"]
    assert [alert.state for alert in site.fleet.alerts.list()] == ["resolved"]
    assert not list(site.fleet.alerts.waiting())


def test_a_new_process_continues(site, receiver, told_by, rounds):
    """Pending, firing and told alerts are the same for a notifier that starts from the database."""
    site.fleet.alerts.load("own", told_by(receiver.url, [{"alert": "Slow", "expr": "load > 90", "for": "2m"}]))
    for number, value in enumerate((95, 95, 95, 95, 20)):
        rounds(site.fleet.alerts.notifier(None), value, start=1000 + 60 * number)
    states = [(body["labels"]["alertname"], body["status"]) for _, _, body in receiver.received]
    assert sorted(states) == [("High", "firing"), ("High", "resolved"), ("Slow", "firing"), ("Slow", "resolved")]
    assert len({key for key, _, _ in receiver.received}) == 4


def alert(rule="A", state="firing", **labels):
    from novacron.monitoring.alerting.states import fingerprint_of

    labels = {"alertname": rule, **labels}
    return Alert(fingerprint=fingerprint_of(labels), rule=rule, state=state, labels=labels)


def test_groups_wait_and_repeat():
    """Two hosts are told together after group_wait; the third after group_interval; then all again after repeat_interval."""
    route = Route(receiver="log", group_wait=30, group_interval=300, repeat_interval=3600)
    configuration, groups, told = Configuration(routes=(route,)), {}, []

    def at(time, *alerts):
        notifications, changed = due(alerts, groups, configuration, time)
        for key, group in changed.items():
            groups.pop(key) if group is None else groups.update({key: group})
        told.extend((time, note.status, len(note.alerts)) for note in notifications)

    one, two, three = (alert(host=host) for host in "abc")
    at(0, one)
    at(20, one, two)
    at(40, one, two)
    at(60, one, two, three)
    at(341, one, two, three)
    at(700, one, two, three)
    at(3942, one, two, three)
    at(4000, one, two, three.replace(state="resolved"))
    at(4300, one, two, three.replace(state="resolved"))
    at(4660, one.replace(state="resolved"), two.replace(state="resolved"))
    assert told == [(40, "firing", 2), (341, "firing", 3), (3942, "firing", 3), (4300, "firing", 3), (4660, "resolved", 2)]


def test_silences_and_inhibitions():
    from novacron.monitoring.alerting.defaults import default_configuration

    configuration = default_configuration()
    down, high = (
        alert("HostUnreachable", severity="critical", host="a"),
        alert("PoolFilling", severity="warning", host="a", pool="p"),
    )
    other = alert("PoolFilling", severity="warning", host="b", pool="p")
    worse = alert("PoolFilling", severity="critical", host="b", pool="p")
    found = muted([down, high, other, worse], [], configuration, 0)
    assert [one.inhibited_by for one in found] == [None, "HostUnreachable", "PoolFilling", None]
    silence = Silence(id="1", matchers=("host=~a|c",), starts_at=0, ends_at=100)
    silences = [(silence, (matcher("host=~a|c"),))]
    assert [one.silenced_by for one in muted([down, other], silences, configuration, 50)] == ["1", None]
    assert [one.silenced_by for one in muted([down, other], silences, configuration, 100)] == [None, None]


def test_alerts_that_are_source_and_target_do_not_inhibit_each_other():
    """Otherwise nobody would be told of either."""
    critical, any_host = (matcher('severity="critical"'),), (matcher('host!=""'),)
    configuration = Configuration(inhibitions=(Inhibition(source=critical, target=any_host, equal=("host",)),))
    two = [alert(name, severity="critical", host="a") for name in ("A", "B")]
    assert [one.inhibited_by for one in muted(two, [], configuration, 0)] == [None, None]
    found = muted(
        [*two, alert("C", severity="warning", host="a"), alert("D", severity="warning", host="b")], [], configuration, 0
    )
    assert [one.inhibited_by for one in found] == [None, None, "A", None]


def test_a_silence_mutes_and_its_end_tells(site, receiver, told_by, rounds):
    alerts = site.fleet.alerts
    alerts.load("own", told_by(receiver.url))
    silence = alerts.silence(["app=a"], "10d", comment="works")
    now = alerts.storage.silences()[0].starts_at
    notifier = alerts.notifier(None)
    rounds(notifier, 95, 95, start=now + 1)
    assert receiver.received == []
    assert [one.silenced_by for one in alerts.list()] == [silence.id]
    alerts.unsilence(silence.id)
    rounds(notifier, 95, start=now + 200)
    assert [body["status"] for _, _, body in receiver.received] == ["firing"]
    with pytest.raises(NotFoundError, match="no silence"):
        alerts.unsilence(silence.id)
    for bad in ([], ["host"], ["host=~("]):
        with pytest.raises(InvalidSpecError):
            alerts.silence(bad, "1h")


def test_what_can_not_be_read_any_more_stops_no_other_alert(site, receiver, told_by, rounds):
    """An older version took expressions that look ahead. One stored rule or silence ended all alerts, and nothing could be loaded."""
    alerts = site.fleet.alerts
    ahead = "host=~a(?!b).*"
    alerts.storage.save_file("old", {"rules": [{"alert": "Old", "expr": 'load{app=~"a(?!b)"} > 1'}]})
    alerts.storage.save_silence(Silence(id="s1", matchers=(ahead,), starts_at=0, ends_at=1e12))
    alerts.load("own", told_by(receiver.url))
    notifier = alerts.notifier(None)
    rounds(notifier, 95, 95)
    assert [body["status"] for _, _, body in receiver.received] == ["firing"]
    assert set(notifier.unread) == {"alerts in old", "silence s1"}
    said = []
    service = MonitorService(site.fleet.metrics, alerts=alerts, say=said.append)
    service.step()
    service.close()
    assert any(text.startswith("alerts in old: ") and "(?!" in text for text in said), said
    assert any(text.startswith("silence s1: ") for text in said), said
    alerts.unload("old")
    assert alerts.configuration().unread == {}


def test_rules_of_two_files_and_of_plugins(site):
    alerts = site.fleet.alerts
    alerts.load("one", {"rules": [{"alert": "Mine", "expr": "load > 1"}]})
    with pytest.raises(InvalidSpecError, match="invalid alerts in two"):
        alerts.load("two", {"rules": [{"alert": "Mine", "expr": "load > 2"}]})
    alerts.load("one", {"rules": [{"alert": "Mine", "expr": "load > 3"}]})
    assert [rule.expr for rule in alerts.rules() if rule.alert == "Mine"] == ["load > 3"]
    alerts.load("defaults", {"rules": [{"alert": "HostUnreachable", "expr": "novacron_host_up == 0"}]})
    assert {rule.alert for rule in alerts.rules()} == {"Mine", "HostUnreachable"}
    alerts.unload("one")
    with pytest.raises(NotFoundError):
        alerts.unload("one")


@pytest.mark.parametrize(
    "other",
    [{"expr": "disk > 1"}, {"expr": "load > 9", "labels": {"team": "a"}}, {"expr": "disk > 1", "labels": {"severity": ""}}],
)
def test_two_rules_of_one_name_need_a_label_that_differs(site, other):
    """Otherwise each would take the alerts of the other one for its own, and resolve them."""
    one = {"alert": "Mine", "expr": "load > 1", "labels": {"severity": "critical"}}
    with pytest.raises(InvalidSpecError, match=r"Mine\.labels"):
        site.fleet.alerts.load("mine", {"rules": [one, {"alert": "Mine", **other}]})
    site.fleet.alerts.load("mine", {"rules": [one, {"alert": "Mine", "expr": "load > 0", "labels": {"severity": "warning"}}]})


def test_a_new_process_reads_the_past_of_all_vms_at_once(site, monkeypatch):
    """A rule that needs two values of each VM fires in the first round of the next process. More VMs take no more transactions."""
    storage, counted = site.fleet.metrics.storage, []
    layout, start = storage.layouts.of([SeriesKey("novacron_vm_cpu_seconds_total")]), storage.now() - 120
    real = type(storage.database).transaction
    monkeypatch.setattr(type(storage.database), "transaction", lambda self: (counted.append(1), real(self))[1])

    def vms(count, seconds):
        labels = [(("name", str(number)), ("vm", str(number))) for number in range(count)]
        return [Measured("vm", dict(one)["vm"], "a", one, layout, [float(seconds)]) for one in labels]

    rule = {"alert": "Busy", "expr": "count(rate(novacron_vm_cpu_seconds_total[4m]) > 0.4) > 1"}
    site.fleet.alerts.load("defaults", {"rules": [rule]})
    transactions = []
    for count in (2, 200):
        for minute in range(2):
            storage.write(start + 60 * minute, vms(count, 60 * minute), pushed=False)
        counted.clear()
        notifier = site.fleet.alerts.notifier(None)
        transactions.append(len(counted))
    notifier.take(Round(start + 120, vms(200, 120)))
    assert [one.rule for one in site.fleet.alerts.list("firing")] == ["Busy"]
    assert len(set(transactions)) == 1, transactions


def test_a_rule_with_an_unknown_metric_of_novacron_is_rejected(site):
    """The most similar metric is named, and nothing is stored. Metrics of scripts may come later."""
    rules = [{"alert": "A", "expr": "novacron_vm_crash == 1"}, {"alert": "B", "expr": "myapp_queue_length > 3"}]
    with pytest.raises(InvalidSpecError) as caught:
        site.fleet.alerts.load("own", {"rules": rules})
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("A.expr", "novacron_vm_crash")
    assert "novacron_vm_crashed" in problem.allowed
    assert "B" not in {rule.alert for rule in site.fleet.alerts.rules()}
    site.fleet.alerts.load("own", {"rules": rules[1:]})
    assert "B" in {rule.alert for rule in site.fleet.alerts.rules()}
