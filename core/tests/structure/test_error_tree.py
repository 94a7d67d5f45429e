"""The tree that is drawn at the top of `novacron.errors` is the tree of its classes."""

import re

from novacron import errors

ROW = re.compile(r"^(?P<lead>[│ ]*[├└]── )(?P<name>\w+)(?P<rest>.*)$")


def drawn():
    """Return the parent of each class, as the module's docstring draws it."""
    parents, above = {}, {0: "NovaCronError"}
    last = "NovaCronError"
    for line in errors.__doc__.splitlines():
        found = ROW.match(line)
        if found:
            depth = len(found["lead"]) // 4
            last = found["name"]
            parents[last] = above[depth - 1]
            above[depth] = last
        rest = found["rest"] if found else line
        for name in re.findall(r"\b[A-Z]\w+Error\b", rest.partition(";")[0]) if line.startswith(("│", "├", "└")) else ():
            parents.setdefault(name, last)
    return parents


def test_every_class_is_drawn_below_its_parent():
    classes = {
        name: cls
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.NovaCronError) and cls is not errors.NovaCronError
    }
    real = {
        name: next(base.__name__ for base in cls.__bases__ if issubclass(base, errors.NovaCronError))
        for name, cls in classes.items()
    }
    assert drawn() == real
