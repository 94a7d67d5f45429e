"""Rules: expressions as in Prometheus, hysteresis and missing data, and invalid rules that are named."""

import math
import random
import shutil
import subprocess

import pytest
import yaml

from novacron.errors import InvalidSpecError
from novacron.monitoring.alerting.configuration import read_configuration
from novacron.monitoring.alerting.defaults import default_configuration
from novacron.monitoring.alerting.evaluation import evaluate
from novacron.monitoring.alerting.expressions import parse
from novacron.monitoring.alerting.quantities import wrong_units
from novacron.monitoring.alerting.rule_tests import expanded, run_tests
from novacron.monitoring.alerting.rules import Rule, prometheus_file, read_rules
from novacron.monitoring.alerting.samples import Samples
from novacron.monitoring.alerting.states import AlertStates
from novacron.monitoring.alerting.templates import fill
from novacron.monitoring.builtin import definitions
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey

BASES = ['m{job="a"}', "m", 'm{host!="h1"}', 'm{host=~"h[12]"}', "c_total"]
RANGED = [
    "rate",
    "increase",
    "delta",
    "irate",
    "deriv",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "changes",
    "resets",
]


def some_expression(chance):
    base = chance.choice(BASES)
    ranged = chance.choice(["2m", "5m", "7m30s", "10m"])
    kind = chance.randrange(9)
    if kind == 0:
        inner = base
    elif kind == 1:
        inner = f"{chance.choice(RANGED)}({base}[{ranged}])"
    elif kind == 2:
        inner = f"predict_linear({base}[{ranged}], {chance.choice([60, 3600])})"
    elif kind == 3:
        inner = (
            f"{chance.choice(['sum', 'avg', 'min', 'max', 'count'])} {chance.choice(['by (job)', 'without (host)', ''])} ({base})"
        )
    elif kind == 4:
        inner = f"{base} {chance.choice('+-*/%')} {chance.choice(['2', '0', '7.5'])}"
    elif kind == 5:
        inner = f"m / ignoring(x) {chance.choice(['m', 'n'])}"
    elif kind == 6:
        inner = f"m - on(host, job) n {chance.choice(['', 'offset 2m'])}"
    elif kind == 7:
        sets = f"{chance.choice(['and', 'or', 'unless'])} {chance.choice(['on(host)', ''])}"
        return f"{base} > {chance.randrange(50)} {sets} n < {chance.randrange(80)}"
    else:
        inner = f"{chance.choice(['abs', 'ceil', 'floor', 'round'])}({base} / 3)"
    return f"{inner} {chance.choice(['>', '<', '>=', '<=', '!=', '=='])} {chance.choice([0, 1, 10, 33.5, 60])}"


def some_values(chance):
    kind = chance.randrange(4)
    if kind == 0:
        return " ".join(str(chance.randrange(100)) for _ in range(40))
    if kind == 1:
        return f"0+{chance.randrange(1, 9)}x{chance.randrange(20, 40)} 5 _x{chance.randrange(1, 8)} 1+3x10"
    if kind == 2:
        return " ".join(chance.choice(["_", str(chance.randrange(100))]) for _ in range(40))
    return f"{chance.randrange(80)}x{chance.randrange(5, 40)}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs the package prometheus")
def test_decisions_equal_those_of_promtool(tmp_path, sample):
    """Generated rules and series: each alert fires and resolves at the same time as in Prometheus.

    promtool makes a database for each test, which is slow. So a hundred rules share the series of one test. Each test has its own file of
    rules, because promtool evaluates all rules of a file in each of its tests.
    """
    chance = random.Random(20261125)
    rules, tests, files = [], [], []
    for number in range(sample(2, 15)):
        given = [some_rule(chance, f"A{number}x{place}") for place in range(100)]
        series = [
            {"series": f'{metric}{{host="h{host}",job="{job}"}}', "values": some_values(chance)}
            for metric in ("m", "n", "c_total")
            for host, job in ((1, "a"), (2, "a"), (3, "b"))
            if chance.random() < 0.9
        ]
        rules += given
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": decisions(given, series)})
        (tmp_path / f"rules{number}.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": given}]}))
        content = {"rule_files": [f"rules{number}.yml"], "evaluation_interval": "1m", "tests": tests[-1:]}
        files.append(f"tests{number}.yml")
        (tmp_path / files[-1]).write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", *files], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[:3000] + done.stderr[:5000]
    fired = sum(bool(one["exp_alerts"]) for test in tests for one in test["alert_rule_test"])
    assert fired > len(rules)


def some_rule(chance, name):
    fields = {"alert": name, "expr": some_expression(chance), "for": chance.choice(["0m", "1m", "3m", "5m"])}
    if chance.random() < 0.3:
        fields["keep_firing_for"] = chance.choice(["2m", "4m"])
    return {**fields, "labels": {"severity": "x"}}


def decisions(rules, series):
    """Return which alerts of the rules fire in NovaCron, every fourth minute, as promtool's expectations."""
    own = [Rule.of({**rule, "no_data": "resolve"}) for rule in rules]
    asked = [(f"{minute}m", rule["alert"]) for minute in range(1, 42, 4) for rule in rules]
    questions = [{"eval_time": time, "alertname": name, "exp_alerts": []} for time, name in asked]
    results = run_tests({"tests": [{"interval": "1m", "input_series": series, "alert_rule_test": questions}]}, own)
    return [
        {
            "eval_time": time,
            "alertname": name,
            "exp_alerts": [{"exp_labels": {k: v for k, v in labels.items() if k != "alertname"}} for labels in result.found],
        }
        for (time, name), result in zip(asked, results, strict=True)
    ]


def states(*rules):
    return AlertStates([Rule.of({"alert": f"R{n}", **fields}) for n, fields in enumerate(rules)])


def follow(found, values, interval=60, gone=lambda labels: False, metric="m"):
    """Return the states of the alerts after each value; None is a missing value."""
    samples, seen = Samples(), []
    for number, value in enumerate(values):
        if value is not None:
            samples.add(metric, {"host": "a"}, number * interval, value)
        found.evaluate(samples, number * interval, gone)
        seen.append(",".join(one.alert.state for one in found.known.values()) or "-")
    return seen


def test_hysteresis_keeps_an_alert_until_the_value_has_passed_the_second_threshold():
    found = follow(states({"expr": "m > 90", "clear_threshold": 80}), [89, 91, 85, 81, 80, 85, 91])
    assert found == ["-", "firing", "firing", "firing", "resolved", "resolved", "firing"]
    falling = follow(states({"expr": "m < 5", "clear_threshold": 10}), [4, 9, 11])
    assert falling == ["firing", "firing", "resolved"]


GAP = [95, 95] + [None] * 8


@pytest.mark.parametrize(("no_data", "expected"), [("keep", "firing"), ("alert", "firing"), ("resolve", "resolved")])
def test_missing_data_is_not_taken_for_a_condition_that_ended(no_data, expected):
    assert follow(states({"expr": "m > 90", "no_data": no_data}), GAP)[-1] == expected
    assert follow(states({"expr": "m > 90 and m < 200", "no_data": no_data}), GAP)[-1] == expected


def test_a_rule_with_an_empty_label_goes_on_to_fire():
    assert follow(states({"expr": "m > 90", "labels": {"team": ""}, "for": "2m"}), [95] * 4)[-1] == "firing"


def test_values_that_are_too_large_stop_no_rule():
    """A sum beyond the largest number is infinite, as in Prometheus."""
    found, samples = states({"expr": "sum_over_time(m[5m]) > 1"}, {"expr": "m > 1"}), Samples()
    for at in (0, 60, 120):
        samples.add("m", {"host": "a"}, at, 1.7e308)
        _, problems = found.evaluate(samples, at)
        assert problems == {}
    assert sorted(one.alert.rule for one in found.known.values() if one.alert.state == "firing") == ["R0", "R1"]


def test_missing_data_does_not_let_a_pending_alert_fire_unless_it_says_so():
    assert follow(states({"expr": "m > 90", "for": "9m"}), GAP + [None] * 3)[-1] == "pending"
    assert follow(states({"expr": "m > 90", "for": "9m", "no_data": "alert"}), GAP + [None] * 3)[-1] == "firing"
    assert follow(states({"expr": "m > 90", "no_data": "alert"}), [1, 1] + [None] * 8)[-1] == "firing"


def test_alerts_of_deleted_objects_resolve():
    deleted = []
    found = states({"expr": "m > 90"})
    samples = Samples()
    samples.add("m", {"host": "a"}, 0, 95)
    for at in (0, 60):
        found.evaluate(samples, at, lambda labels: labels["host"] in deleted)
        deleted.append("a")
    assert [one.alert.state for one in found.known.values()] == ["resolved"]


def test_the_clock_may_go_back_or_far_ahead():
    found = states({"expr": "m > 90", "for": "5m"})
    samples = Samples()
    for at in (0, 60, 120, 100_000, 100_060, 100_500):
        samples.add("m", {}, at, 95)
        found.evaluate(samples, at)
    found.evaluate(samples, 10)
    assert [one.alert.state for one in found.known.values()] == ["firing"]


def test_a_rule_that_fails_affects_no_other():
    found = states({"expr": "m / on(job) n > 1"}, {"expr": "m > 90"})
    samples = Samples()
    for host in "ab":
        samples.add("m", {"host": host, "job": "x"}, 0, 95)
        samples.add("n", {"host": host, "job": "x"}, 0, 1)
    _, problems = found.evaluate(samples, 0)
    assert list(problems) == ["R0"]
    assert len(found.known) == 2


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"expr": ""}, "expr"),
        ({"alert": ""}, "alert"),
        ({"expr": "m >"}, "expr"),
        ({"for": "soon"}, "for"),
        ({"severity": "x"}, "severity"),
        ({"labels": {"a-b": "x"}}, "labels.a-b"),
        ({"labels": {"a": 3}}, "labels.a"),
        ({"annotations": {"a": "{{ $value"}}, "annotations.a"),
        ({"annotations": {"a": "{{ range query }}"}}, "annotations.a"),
        ({"clear_threshold": 2}, "clear_threshold"),
        ({"expr": "m", "clear_threshold": 2}, "clear_threshold"),
        ({"expr": "m == 1", "clear_threshold": 1}, "clear_threshold"),
        ({"clear_threshold": "x"}, "clear_threshold"),
        ({"no_data": "panic"}, "no_data"),
        ({"labels": ["x"]}, "labels"),
        ({"expr": None}, "expr"),
        ({"expr": "rate(m[0s]) > 1"}, "expr"),
        ({"expr": "rate(m[31d]) > 1"}, "expr"),
        ({"expr": "m offset 31d > 1"}, "expr"),
        ({"clear_threshold": math.nan}, "clear_threshold"),
        ({"clear_threshold": -math.inf}, "clear_threshold"),
    ],
)
def test_invalid_rules_are_named(fields, path):
    with pytest.raises(InvalidSpecError) as caught:
        Rule.of({"alert": "A", "expr": "m > 1", **fields})
    assert path in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("histogram_quantile(0.9, m)", "histogram_quantile"),
        ("m[5m:1m] > 1", "subquery"),
        ("topk(3, m)", "topk"),
        ("m @ 5 > 1", "@"),
        ('{__name__=~"x"}', "without a metric"),
        ("rate(m)", "rate"),
        ("m{a=~'('}", "regular"),
        ("1 > 2", "two numbers"),
        ("m and 1", "number"),
        ("m{a=b}", "quotes"),
        ("(" * 200 + "m", "levels"),
        ("m ~ 3", "character"),
        ("", "expression"),
        ("sum(m", "end"),
        ("m bool > 1", "end"),
    ],
)
def test_what_is_not_supported_is_named(text, named):
    with pytest.raises(InvalidSpecError) as caught:
        parse(text)
    assert named in str(caught.value) + str(caught.value.problems)


def units_of(expr, **fields):
    return [one.given for one in wrong_units([Rule.of({"alert": "A", "expr": expr, **fields})], definitions())]


@pytest.mark.parametrize(
    ("expr", "named"),
    [
        ("novacron_pool_available_bytes > novacron_vm_cpu_seconds_total", "bytes > seconds"),
        ("novacron_pool_available_bytes < 10", "bytes < 10"),
        ("90 < novacron_vm_memory_used_bytes", "bytes < 90"),
        ("novacron_pool_allocated_bytes / novacron_pool_capacity_bytes > 85", "from 0 to 1 > 85"),
        ("1 - novacron_host_memory_free_bytes / novacron_host_memory_bytes > 95", "from 0 to 1 > 95"),
        ("novacron_vm_running < 50 and novacron_vm_stopped == 0", "from 0 to 1 < 50"),
        ("rate(novacron_vm_disk_read_bytes_total[5m]) > novacron_host_memory_bytes", "bytes per seconds > bytes"),
        ("novacron_vm_memory_bytes + novacron_vm_vcpus > 5e9", "bytes + a plain number"),
        ("sum by (host) (novacron_pool_available_bytes) < count by (host) (novacron_pool_capacity_bytes)", "bytes < a plain"),
        ("time() - novacron_pool_capacity_bytes > 3", "seconds - bytes"),
        ("novacron_host_up == 0 or novacron_host_up == 3", "from 0 to 1 == 3"),
        ("(novacron_vm_memory_bytes or novacron_vm_cpu_seconds_total) > 5e9", "bytes or seconds"),
    ],
)
def test_rules_with_wrong_units_are_named(expr, named):
    (given,) = units_of(expr)
    assert named in given


def test_the_second_threshold_has_the_unit_of_the_first_one():
    share = "novacron_pool_allocated_bytes / novacron_pool_capacity_bytes"
    assert units_of(f"{share} < 0.5", clear_threshold=60) == ["a value from 0 to 1 < 60"]


@pytest.mark.parametrize(
    "expr",
    [
        "100 * novacron_pool_allocated_bytes / novacron_pool_capacity_bytes > 85",
        "novacron_pool_available_bytes == 0",
        "novacron_pool_available_bytes < 5e9",
        "rate(novacron_vm_disk_read_bytes_total[5m]) > 10",
        "myapp_queue_length > novacron_vm_cpu_seconds_total",
        "novacron_vm_disk_read_bytes_total / novacron_vm_disk_written_bytes_total > 90",
        "novacron_vm_memory_bytes ^ 2 > 5",
        "changes(novacron_vm_memory_bytes[1h]) > 10",
        "rate(novacron_vm_cpu_seconds_total[5m]) / novacron_vm_vcpus > 0.9",
        "(novacron_host_up == bool 0) * 100 > 50",
    ],
)
def test_rules_with_right_units_are_accepted(expr):
    assert units_of(expr) == []


def test_the_default_rules_have_right_units():
    assert wrong_units(default_configuration().rules, definitions()) == []


def test_a_file_with_wrong_units_is_rejected_whole(site):
    rules = [{"alert": "Right", "expr": "novacron_host_up == 0"}, {"alert": "Full", "expr": "novacron_pool_available_bytes < 10"}]
    with pytest.raises(InvalidSpecError) as caught:
        site.fleet.alerts.load("own", {"rules": rules})
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("Full.expr", "bytes < 10")
    assert "divide by" in problem.allowed
    assert "Right" not in {rule.alert for rule in site.fleet.alerts.rules()}


def test_nan_and_infinities_are_no_traps():
    samples = Samples()
    samples.add("m", {}, 0, 0.0)
    samples.add("n", {}, 0, 5.0)
    assert evaluate(parse("n / m > 1"), samples, 0) == {(): math.inf}
    assert evaluate(parse("m / m > 0"), samples, 0) == {}
    for text in ("round(n / m)", "ceil(m / m)", "n % m", "(n / m) % 2", "n ^ 5000", "-n ^ 0.5"):
        assert evaluate(parse(text), samples, 0)


@pytest.mark.parametrize(
    "function", ["sum_over_time(m[5m])", "avg_over_time(m[5m])", "deriv(m[5m])", "predict_linear(m[5m], 60)"]
)
@pytest.mark.parametrize("odd", [(1e308, 1.7e308), (math.inf, -math.inf), (-1e308, math.inf)])
def test_odd_values_of_one_series_leave_the_others_alone(function, odd):
    """A series with enormous or infinite values has some result. The others of the same rule have theirs."""
    samples = Samples()
    for number in range(5):
        samples.add("m", {"vm": "odd"}, 60.0 * number, odd[number % 2])
        samples.add("m", {"vm": "usual"}, 60.0 * number, 2.0)
    found = evaluate(parse(function), samples, 240.0)
    assert math.isfinite(found[("vm", "usual"),])
    assert len(found) == 2


def many(layouts, at, numbers, metrics=("m", "n"), disks=()):
    """Return a round of VMs whose values are their numbers."""
    keys = [SeriesKey(metric) for metric in metrics] + [SeriesKey("d", (("disk", disk),)) for disk in disks]
    layout = layouts.of(keys)
    return Round(at, [Measured("vm", str(n), "a", (("vm", str(n)),), layout, [float(n)] * len(keys)) for n in numbers])


def test_rows_of_deleted_vms_are_dropped():
    """VMs come and go. The memory that samples take does not grow with all that there ever were."""
    samples, layouts = Samples(), Layouts()
    for number in range(40):
        samples.add_round(many(layouts, 60.0 * number, range(100 * number, 100 * number + 100), disks=("vda",)), ["m", "d"])
        samples.forget({"m": 60.0 * number - 90, "d": 60.0 * number - 90})
    sizes = [len(table.rows) for metric in ("m", "d") for table in samples.of(metric)]
    assert sizes
    assert max(sizes) < 2000
    assert evaluate(parse("m"), samples, 60.0 * 39).keys() >= {(("vm", str(n)),) for n in range(3900, 4000)}
    assert evaluate(parse("m > 3998"), samples, 60.0 * 39) == {(("vm", "3999"),): 3999.0}


def test_series_of_several_layouts_are_matched_by_their_labels():
    """VMs with other devices, VMs that came later, and values that a script pushed belong together if their labels are equal."""
    samples, layouts = Samples(), Layouts()
    samples.add_round(many(layouts, 0.0, (1, 2), disks=("vda", "vdb")), ["m", "n", "d"])
    samples.add_round(many(layouts, 60.0, (3, 1)), ["m", "n", "d"])
    samples.add("n", {"vm": "4"}, 30.0, 4.0)
    samples.add("d", {"disk": "vda", "vm": "2"}, 30.0, 7.0)
    samples.add("m", {"vm": "1"}, 30.0, 99.0)
    vms = {(("vm", str(n)),): float(n) for n in (1, 2, 3)}
    assert evaluate(parse("m + n"), samples, 60.0) == {labels: 2 * value for labels, value in vms.items()}
    assert evaluate(parse("n unless m"), samples, 60.0) == {(("vm", "4"),): 4.0}
    assert evaluate(parse("m or n"), samples, 60.0) == {**vms, (("vm", "4"),): 4.0}
    assert evaluate(parse("sum by (vm) (d) > m"), samples, 60.0) == {(("vm", "1"),): 2.0, (("vm", "2"),): 9.0}
    assert evaluate(parse("count_over_time(m[2m]) == 2"), samples, 60.0) == {(("vm", "1"),): 2.0}


def test_labels_and_templates():
    assert fill("{{$labels.host}} {{ $value | humanize1024 }}B", {"host": "a"}, 3 * 2**20) == "a 3MiB"
    assert fill('{{ printf "%.1f" $value }} {{ $labels.absent }}|', {}, 2.25) == "2.2 |"
    assert fill("{{ $value }} {{ $value | humanizeDuration }}", {}, 90) == "90 1m30s"


def test_prometheus_rule_files_are_imported_and_exported():
    file = prometheus_file(default_configuration().rules)
    again = read_rules(yaml.safe_load(yaml.safe_dump(file)), "again")
    assert [rule.expr for rule in again] == [rule.expr for rule in default_configuration().rules]
    with pytest.raises(InvalidSpecError, match="invalid rules") as caught:
        read_rules(
            {"groups": [{"rules": [{"record": "a:b", "expr": "sum(m)"}, {"alert": "B", "expr": "quantile(0.9, m) > 1"}]}]}, "x"
        )
    assert [problem.path for problem in caught.value.problems] == ["rules.1", "rules.B.expr"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs the package prometheus")
def test_promtool_accepts_the_default_rules(tmp_path):
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(prometheus_file(default_configuration().rules)))
    done = subprocess.run(["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "content",
    [
        {"rules": [], "route": {"receiver": "nobody"}},
        {"receivers": [{"name": "a", "sinks": [{"type": "pigeon"}]}]},
        {"receivers": [{"name": "a", "sinks": [{"type": "webhook", "url": "file:///etc/passwd"}]}]},
        {"receivers": [{"name": "a"}]},
        {"receivers": [{"name": "a", "sinks": [{"type": "email", "to": "x"}]}]},
        {"route": {"group_wait": "soon"}},
        {"route": ["x"]},
        {"receivers": [{"name": "a", "sinks": [{"type": "webhook", "url": "https://u:pw@x/"}]}]},
        {"rule": []},
        [],
        None,
        {"route": {"matchers": ["a"]}},
        {"inhibit_rules": [{"source": "x"}]},
        {"rules": ["x"]},
        {"receivers": [{"name": "a", "sinks": [{"type": "log"}]}, {"name": "a", "sinks": []}]},
    ],
)
def test_invalid_files_are_rejected(content):
    with pytest.raises(InvalidSpecError):
        read_configuration(content, "file")


def test_values_in_prometheus_notation():
    assert expanded("1+1x2 _x2 -5 3x1 1e3") == [1, 2, 3, None, None, -5, 3, 3, 1000]
    for bad in ("x", "1+x3", "1x99999999", "stale"):
        with pytest.raises(InvalidSpecError, match="values"):
            expanded(bad)
