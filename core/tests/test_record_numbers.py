"""Records as plain values."""

import json

from novacron.records.record import Record


class Long(int):
    """An SDK's own kind of integer."""


class Counted(Record, frozen=True):
    """A record with a number."""

    size: int


def test_an_integer_of_an_sdk_is_a_plain_number():
    plain = Counted(size=Long(7)).as_dict()
    assert json.dumps(plain) == '{"size": 7}'
    assert type(plain["size"]) is int
