"""A file that is not text in UTF-8 is reported by its name, by every option and argument that reads text."""

import click
import pytest

from novacron_shell.cli import cli
from novacron_shell.options import TextFile


def text_parameters():
    """Yield each parameter of each command that reads a whole text file, with the command's words."""

    def walk(command, words):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), [*words, name])
        else:
            for each in command.params:
                if isinstance(each.type, TextFile):
                    yield words, each

    return list(walk(cli, []))


FOUND = text_parameters()


def test_there_are_such_parameters():
    assert {words[0] for words, _ in FOUND} >= {"vm", "filter", "guest", "up"}


@pytest.mark.parametrize(("words", "parameter"), FOUND, ids=[f"{' '.join(words)} {each.name}" for words, each in FOUND])
@pytest.mark.parametrize("content", [b"name: caf\xe9\n", b"\xff\xfe<\x00d\x00", b"\x80"])
def test_what_is_not_utf8_is_named(tmp_path, words, parameter, content):
    file = tmp_path / "odd.txt"
    file.write_bytes(content)
    with pytest.raises(click.BadParameter, match=r"odd\.txt is not text in UTF-8"):
        parameter.type.convert(str(file), parameter, None)


def test_no_command_reads_text_by_another_way():
    """`click.File()` raises UnicodeDecodeError while the command runs. YAML files report that themselves."""

    def walk(command, words):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), [*words, name])
        else:
            yield from ((words, each) for each in command.params)

    plain = [
        (" ".join(words), each.name)
        for words, each in walk(cli, [])
        if isinstance(each.type, click.File) and not isinstance(each.type, TextFile) and "b" not in each.type.mode
    ]
    assert {name for _, name in plain} <= {"file"}, "YAML files"


def test_text_is_read(tmp_path):
    file = tmp_path / "fine.txt"
    file.write_text("name: café\n")
    assert TextFile().convert(str(file), None, None).read() == "name: café\n"


def test_a_mac_address_of_digits_is_text_and_numbers_are_numbers():
    import io

    from novacron_shell.yaml_files import load

    text = "mac: 52:54:00:12:34:56\nat: 12:30:00\npart: 1:30.5\nnumbers: [7, -3, 1.5, 0x1f, 1_000, .5]\nyes: [true, null]"
    found = load(io.StringIO(text))
    assert (found["mac"], found["at"], found["part"]) == ("52:54:00:12:34:56", "12:30:00", "1:30.5")
    assert found["numbers"] == [7, -3, 1.5, 31, 1000, 0.5]
    assert found[True] == [True, None]
