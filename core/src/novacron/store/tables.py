"""The tables of the state database. Times are in seconds since 1970."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("added_at", sa.String(32), nullable=False),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("machine", sa.String(256), nullable=False, comment="what the process numbers are of"),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("began", sa.String(32), nullable=False, comment="tells a process from a later one of the same number"),
    sa.Column("name", sa.String(256), nullable=False, comment="for people"),
    sa.Column("beat_at", sa.Float, nullable=False, comment="when it last said that it is alive, by the database's clock"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(128), nullable=False, unique=True),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("flow", sa.JSON, nullable=False),
    sa.Column("actor", sa.String(256), nullable=False, server_default="", comment="who asked for it"),
    sa.Column("executor", sa.String(256), comment="the user of the process that runs it, or ran it last"),
    sa.Column("targets", sa.JSON, nullable=False),
    sa.Column("hosts", sa.JSON, nullable=False, comment="the URIs of hosts that may not be in the fleet"),
    sa.Column("code", sa.JSON, nullable=False, comment="what the functions of the flow were when it began"),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("wanted", sa.String(16), comment="what somebody asks of the process that runs it"),
    sa.Column("process", sa.String(32), index=True, comment="who runs it"),
    sa.Column("fence", sa.Integer, nullable=False, comment="counts who has run it; entries of an earlier one are refused"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("result", sa.JSON),
    sa.Column("error", sa.JSON),
    sa.Index("runs_unfinished", "ended_at", "number"),
)

run_vms = sa.Table(
    "run_vms",
    metadata,
    sa.Column("run", sa.String(128), primary_key=True),
    sa.Column("vm", sa.String(128), primary_key=True, index=True),
)

run_entries = sa.Table(
    "run_entries",
    metadata,
    sa.Column("run", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("executor", sa.String(256), nullable=False, server_default="", comment="the user of the process that wrote it"),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", sa.JSON, nullable=False),
    sa.Column("actor", sa.String(256), nullable=False, comment="who asked for it"),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("checked_at", sa.Float, nullable=False, comment="times up to this one need not be looked at again"),
    sa.Column("problem", sa.Text, comment="why it could not begin last time"),
)

schedule_times = sa.Table(
    "schedule_times",
    metadata,
    sa.Column("schedule", sa.String(64), primary_key=True),
    sa.Column("due", sa.Float, primary_key=True, comment="who inserts the row has the time"),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("run", sa.String(128), comment="the run that began, if one did"),
    sa.Column("problem", sa.Text, comment="why none began"),
    sa.Column("executor", sa.String(256), nullable=False, comment="the user of the process that inserted it"),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

migration_slots = sa.Table(
    "migration_slots",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("host", sa.String(512), primary_key=True, index=True, comment="its URI"),
    sa.Column("vm", sa.String(256), nullable=False, comment="for people"),
    sa.Column("process", sa.String(32), nullable=False, index=True, comment="who makes the migration"),
)
lab_resources = sa.Table(
    "lab_resources",
    metadata,
    sa.Column("lab", sa.String(128), primary_key=True),
    sa.Column("host", sa.String(512), primary_key=True, comment="its URI"),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("created", sa.JSON, comment="fields that the host does not report, as they were when the lab created the resource"),
)

macs = sa.Table(
    "macs",
    metadata,
    sa.Column("address", sa.String(17), primary_key=True, comment="given out, or seen on a host"),
)

metric_objects = sa.Table(
    "metric_objects",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False, comment="vm, host, pool or custom"),
    sa.Column("key", sa.String(512), nullable=False, comment="a VM's UUID, a host's name: it stays when the VM migrates"),
    sa.Column("labels", sa.JSON, nullable=False, comment="labels of all series of the object, as they were last"),
    sa.UniqueConstraint("kind", "key"),
)

metric_layouts = sa.Table(
    "metric_layouts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("series", sa.JSON, nullable=False, comment="metric, kind and labels of each value of a row"),
)

metric_rounds = sa.Table(
    "metric_rounds",
    metadata,
    sa.Column("at", sa.Float, primary_key=True, comment="the times that metric_raw has rows of"),
    sa.Column("pushed", sa.Boolean, nullable=False, comment="by metrics.put, not by a collector"),
)

metric_raw = sa.Table(
    "metric_raw",
    metadata,
    sa.Column("at", sa.Float, primary_key=True),
    sa.Column("object", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False, comment="one double for each series of the layout"),
    sqlite_with_rowid=False,
)

metric_chunks = sa.Table(
    "metric_chunks",
    metadata,
    sa.Column("object", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("resolution", sa.Integer, primary_key=True, autoincrement=False, comment="0 for samples; 300 or 3600 for roll-ups"),
    sa.Column("start", sa.Float, primary_key=True),
    sa.Column("end", sa.Float, nullable=False, index=True),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False, comment="see novacron.monitoring.packing"),
    sqlite_with_rowid=False,
)

metric_counters = sa.Table(
    "metric_counters",
    metadata,
    sa.Column("object", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("host", sa.String(256), nullable=False, comment="where the counters counted last"),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column(
        "raw", sa.LargeBinary, nullable=False, comment="the hypervisor's counters when the row was written, one double each"
    ),
    sa.Column("offsets", sa.LargeBinary, nullable=False, comment="what to add to the hypervisor's counters, one double each"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True, comment="the task that one process does at a time"),
    sa.Column("process", sa.String(32), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False, comment="grows with each new holder; writes of an earlier one are refused"),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True, comment="the UUID of the machine"),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("host", sa.String(128), nullable=False, comment="the fleet's host through which it is reached"),
    sa.Column("hosts", sa.JSON, nullable=False, comment="all names of the fleet that lead to it"),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("cordoned", sa.Boolean, nullable=False, comment="takes no further VMs"),
    sa.Column("reason", sa.Text, nullable=False, server_default="", comment="of the status or the cordon, for people"),
    sa.Column("group_name", sa.String(64), index=True, comment="None: its capacity is not managed"),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False, comment="its own ratios and reserves"),
    sa.Column("seen_at", sa.Float, comment="when it last answered, by the database's clock"),
    sa.Column("cpu_percent", sa.Float, comment="measured"),
    sa.Column("memory_used", sa.BigInteger, comment="measured, in bytes"),
    sa.Column("storage_used", sa.BigInteger, comment="measured, in bytes"),
    sa.Column("generation", sa.BigInteger, nullable=False, comment="counts the changes of its allocations"),
    sa.Column("balanced_by", sa.Text, comment="what moves its VMs by itself, such as DRS"),
    sa.Column("restarted_by", sa.Text, comment="what restarts its VMs elsewhere by itself, such as HA"),
    sa.Column("evacuated", sa.JSON, comment="the VMs that come back after its maintenance"),
    *(
        column
        for resource in ("vcpus", "memory", "storage")
        for column in (
            sa.Column(f"{resource}_total", sa.BigInteger, nullable=False),
            sa.Column(f"{resource}_reserved", sa.BigInteger, nullable=False),
            sa.Column(f"{resource}_ratio", sa.Float, comment="None: not limited"),
            sa.Column(f"{resource}_allocated", sa.BigInteger, nullable=False),
        )
    ),
)

node_groups = sa.Table(
    "node_groups",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True, comment="empty: the settings of the whole fleet"),
    sa.Column("settings", sa.JSON, nullable=False),
)

allocations = sa.Table(
    "allocations",
    metadata,
    sa.Column("vm", sa.String(128), primary_key=True, comment="its UUID; of a VM that is being created, a name of the claim"),
    sa.Column("node", sa.String(64), primary_key=True, index=True),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("vcpus", sa.BigInteger, nullable=False),
    sa.Column("memory", sa.BigInteger, nullable=False, comment="bytes"),
    sa.Column("storage", sa.BigInteger, nullable=False, comment="bytes"),
    sa.Column("active", sa.Boolean, nullable=False, comment="whether the VM uses CPUs and memory"),
    sa.Column("owner", sa.String(256), nullable=False, server_default=""),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("locked", sa.JSON, nullable=False, comment="why its memory can't be overcommitted"),
    sa.Column("process", sa.String(32), index=True, comment="the process whose operation has claimed it; None: confirmed"),
    sa.Column("previous", sa.JSON, comment="what the operation changes, to be restored if it fails"),
)

vm_moves = sa.Table(
    "vm_moves",
    metadata,
    sa.Column("vm", sa.String(128), primary_key=True),
    sa.Column("at", sa.Float, nullable=False, comment="when its last migration between managed nodes ended"),
)

group_imbalances = sa.Table(
    "group_imbalances",
    metadata,
    sa.Column(
        "name", sa.String(64), primary_key=True, comment="a group whose imbalance was above its threshold at the last look"
    ),
    sa.Column(
        "since", sa.Float, nullable=False, comment="the first of the looks at which it was above, without a lower one since"
    ),
    sa.Column("seen_at", sa.Float, nullable=False, comment="the last look"),
)

rolling_updates = sa.Table(
    "rolling_updates",
    metadata,
    sa.Column("group_name", sa.String(64), primary_key=True),
    sa.Column("data", sa.JSON, nullable=False, comment="what is asked, and how far each node is"),
)

placement_rules = sa.Table(
    "placement_rules",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", sa.JSON, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False, comment="changed by each claim of a member: one claim at a time"),
)

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("subject", sa.String(300), primary_key=True, comment="owner:NAME or tag:TAG"),
    sa.Column("limits", sa.JSON, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False, comment="changed by each claim of the subject: one claim at a time"),
)

fence_devices = sa.Table(
    "fence_devices",
    metadata,
    sa.Column("node", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("options", sa.JSON, nullable=False, comment="names of secrets, never their values"),
)

protected_vms = sa.Table(
    "protected_vms",
    metadata,
    sa.Column("vm", sa.String(128), primary_key=True, comment="its UUID"),
    sa.Column("node", sa.String(64), nullable=False, index=True, comment="where it was when its definition was read"),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("definition", sa.Text, nullable=False, comment="native, without secrets"),
    sa.Column("priority", sa.Integer, nullable=False, comment="lower ones are restarted first"),
    sa.Column("refusals", sa.JSON, nullable=False, comment="why it can't be restarted elsewhere"),
    sa.Column("volumes", sa.JSON, comment="pool and name of the volumes that only this VM may write to"),
)

failovers = sa.Table(
    "failovers",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("node", sa.String(64), nullable=False, index=True),
    sa.Column("node_name", sa.String(256), nullable=False),
    sa.Column("group_name", sa.String(64), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("began_at", sa.Float, nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float, index=True),
    sa.Column("confirmed_by", sa.String(256), comment="who has confirmed that the node is off"),
    sa.Column("steps", sa.JSON, nullable=False, comment="what was done, for people"),
)

failover_vms = sa.Table(
    "failover_vms",
    metadata,
    sa.Column("failover", sa.String(32), primary_key=True),
    sa.Column("vm", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("taker", sa.JSON, nullable=False, comment="what it takes"),
    sa.Column("tried", sa.JSON, nullable=False, comment="nodes that have refused it"),
    sa.Column("destination", sa.String(64), comment="the node on which it is started; kept before it is defined there"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
)

alert_files = sa.Table(
    "alert_files",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("content", sa.JSON, nullable=False, comment="rules, routes, receivers as they were given"),
    sa.Column("actor", sa.String(256), comment="who loaded it, and so asks for the flows that it begins"),
)

alert_states = sa.Table(
    "alert_states",
    metadata,
    sa.Column("fingerprint", sa.String(16), primary_key=True),
    sa.Column("data", sa.JSON, nullable=False),
)

alert_groups = sa.Table(
    "alert_groups",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("data", sa.JSON, nullable=False, comment="what was said about the group, and when"),
)

alert_outbox = sa.Table(
    "alert_outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(128), nullable=False, unique=True, comment="the notification's key and the place of its sink"),
    sa.Column("sink", sa.JSON, nullable=False),
    sa.Column("notification", sa.JSON, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False, comment="when to try next"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", sa.Float, index=True, comment="empty until the sink has accepted it"),
    sa.Column("error", sa.Text, comment="why it was not accepted last time"),
)

alert_silences = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("matchers", sa.JSON, nullable=False),
    sa.Column("starts_at", sa.Float, nullable=False),
    sa.Column("ends_at", sa.Float, nullable=False),
    sa.Column("actor", sa.String(256), nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
)


def add_missing_columns(connection: sa.Connection) -> None:
    """Add columns that tables of an older version of NovaCron do not have."""
    found = sa.inspect(connection).get_multi_columns()
    for table in metadata.sorted_tables:
        known = {column["name"] for column in found.get((None, table.name), ())}
        for column in table.columns:
            if column.name not in known:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))


__all__ = [
    "add_missing_columns",
    "alert_files",
    "alert_groups",
    "alert_outbox",
    "alert_silences",
    "alert_states",
    "allocations",
    "failover_vms",
    "failovers",
    "fence_devices",
    "group_imbalances",
    "hosts",
    "leases",
    "macs",
    "metadata",
    "metric_chunks",
    "metric_counters",
    "metric_layouts",
    "metric_objects",
    "metric_raw",
    "metric_rounds",
    "migration_slots",
    "node_groups",
    "nodes",
    "placement_rules",
    "processes",
    "protected_vms",
    "quotas",
    "rolling_updates",
    "run_entries",
    "run_vms",
    "runs",
    "schedule_times",
    "schedules",
    "settings",
    "vm_moves",
]
