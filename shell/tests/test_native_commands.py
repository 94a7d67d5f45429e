"""Commands of native operations are made from their signatures and docstrings."""

from __future__ import annotations

from typing import Literal

import pytest
from click.testing import CliRunner

from novacron.drivers.sim.plugin import connect
from novacron.jobs import Job
from novacron.plugins import Driver, DriverProvider, NativeArea
from novacron.records.vm import Deleted
from novacron.site import default_site
from novacron_shell.cli import cli

toy = NativeArea("toy")


class Toys:
    """Toys."""

    @toy.operation(kind="change")
    def toy_make(
        self,
        name: str,
        parts: tuple[str, ...],
        size: int = 1,
        colour: Literal["red", "blue"] = "red",
        soft: bool = False,
        warm: bool | None = None,
        extra: dict[str, str] | None = None,
    ) -> str:
        """Make a toy.

        Args:
            name: its name.
            parts: what it is of.
            size: its size,
                in metres.
        """
        return f"{name} {parts} {size} {colour} {soft} {warm} {extra or {}}"

    @toy.operation(kind="job", destroys=True)
    def toy_break(self, name: str, job: Job[Deleted]) -> Deleted:
        """Break a toy."""
        return Deleted(name=name)

    @toy.operation(kind="read")
    def toy_list(self) -> list[Deleted]:
        """List them."""
        return [Deleted(name="ball", id="1"), Deleted(name="car", id="2")]


def with_toys(uri, context):
    driver = connect(uri, context)
    return Driver([*driver.parts, Toys()], close=driver.close, native=driver.native)


provider = DriverProvider(name="toys", schemes=("toy",), connect=with_toys, areas=lambda: [Toys], native="Toys of all kinds.")


@pytest.fixture
def run():
    default_site().drivers.register(provider)
    yield lambda *words: CliRunner().invoke(cli, ["-c", "toy://x", *words])
    default_site().drivers.unregister(provider)


def test_arguments_and_options_come_from_the_signature(run):
    done = run(
        "toy", "toy", "make", "ball", "skin", "air", "--size", "3", "--colour", "blue", "--soft", "--no-warm", "--extra", "a=b=c"
    )
    assert done.output == "ball ('skin', 'air') 3 blue True False {'a': 'b=c'}\n"
    assert run("toy", "toy", "make", "ball", "skin").output == "ball ('skin',) 1 red False None {}\n"
    assert run("toy", "toy", "make", "ball", "skin", "--size", "big").exit_code == 2
    assert run("toy", "toy", "make", "ball", "skin", "--extra", "a").exit_code == 2


def test_the_help_has_the_texts_of_the_docstring(run):
    text = " ".join(run("toy", "toy", "make", "--help").output.split())
    assert "Make a toy." in text
    assert "--size INTEGER Its size, in metres." in text
    assert "Args" not in text
    assert "Toys of all kinds." in run("--help").output


def test_a_destructive_command_asks(run):
    assert run("toy", "toy", "break", "ball").exit_code == 2
    assert "ball" in run("toy", "toy", "break", "ball", "-y").output


def test_lists_have_the_usual_formats(run):
    assert run("toy", "toy", "list", "-o", "name").output == "ball\ncar\n"
    assert run("toy", "toy", "list", "--columns", "name", "--sort", "-name").output.split() == ["NAME", "car", "ball"]
