"""What `top` lists and in what order, without a screen."""

import asyncio

import pytest

from novacron_shell.top.app import host_table
from novacron_shell.top.model import COLUMNS, GROUPS, HostState, View, VMState, lines
from novacron_shell.top.posting import Post


def test_the_row_of_a_dead_host_says_how_old_it_is():
    from rich.console import Console

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(
        host_table(
            [
                HostState(
                    name="kvm1",
                    age_seconds=1.0,
                    cpus=8,
                    cpu_percent=50.0,
                    memory_bytes=2**34,
                    memory_free_bytes=2**33,
                    vms=3,
                    running=2,
                ),
                HostState(name="kvm2\x1b[2J", age_seconds=75.0, error="no route"),
                HostState(name="kvm3", error="refused"),
                HostState(name="kvm4"),
            ]
        )
    )
    text = console.export_text()
    for part in (
        "8 GiB of 16 GiB",
        "2 of 3",
        "no answer, seen 1m15s ago: no route",
        "never answered: refused",
        "connecting",
        "kvm2\\x1b",
    ):
        assert part in text


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("sort", COLUMNS)
def test_every_column_sorts_in_every_group(group, sort):
    some = [
        VMState(
            host=f"h{n % 2}",
            id=str(n),
            name=f"vm{n}",
            status="running" if n % 3 else "stopped",
            tags=("a", "b")[: n % 3],
            cpus=n / 3,
            vcpus=n,
        )
        for n in range(6)
    ]
    found = [line for line in lines(some, View(sort=sort, group=group)) if isinstance(line, VMState)]
    assert {vm.key for vm in found} == {vm.key for vm in some}
    if not group and sort == "vcpus":
        assert [vm.vcpus for vm in found] == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web", {"web1", "web2"}),
        ("web* status:run", {"web1"}),
        ("tag:prod", {"db"}),
        ("host:b", {"web2", "db"}),
        ("x?", set()),
        ("", {"web1", "web2", "db"}),
    ],
)
def test_filters(text, found):
    some = [
        VMState(host="a", id="1", name="web1", status="running"),
        VMState(host="b", id="2", name="web2", status="stopped"),
        VMState(host="b", id="3", name="db", status="running", tags=("Prod",)),
    ]
    assert {vm.name for vm in lines(some, View(filter=text))} == found


def test_a_subscription_that_comes_after_the_screen_has_closed_is_closed_at_once():
    class Subscription:
        closed = False

        def close(self):
            self.closed = True

    before, after, posted = Subscription(), Subscription(), []

    async def main():
        post.open()
        post.until_closed(before)
        post(posted.append, "in time")
        await asyncio.sleep(0)
        post(posted.append, "closed before it ran")
        post.close()
        await asyncio.sleep(0)

    post = Post()
    asyncio.run(main())
    post.until_closed(after)
    post(posted.append, "after the end")
    assert (before.closed, after.closed, posted) == (True, True, ["in time"])
