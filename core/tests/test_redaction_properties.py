"""What is redacted whatever the words are: secrets in every place, and nothing beside them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.redaction import HIDDEN, is_secret_name, redacted

WORDS = ["password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "private-key", "credentials", "session_id"]
CASES = st.sampled_from([str, str.upper, str.title])
SECRETS = (
    st.text("abcxyzXYZ0123456789+/=._~^", min_size=6, max_size=20).filter(lambda text: text.strip("=.") == text).map("q9".__add__)
)
BESIDE = st.text("fghijkl", min_size=4, max_size=10)


@st.composite
def names(draw):
    """The name of a secret, such as `db_password` or `Token`."""
    before = draw(st.sampled_from(["", "db_", "guest.", "my-"]))
    return draw(CASES)(before + draw(st.sampled_from(WORDS)) + draw(st.sampled_from(["", "s", "_2", "_value"])))


@st.composite
def harmless(draw):
    """A name that says something about a secret: `password_file`, `TOKEN-TTL`."""
    about = ["file", "path", "ttl", "lifetime", "expires", "expires_at", "expiry", "max_age", "length", "policy", "type", "count"]
    sign = draw(st.sampled_from("_-"))
    word, last = (
        draw(st.sampled_from(WORDS)),
        draw(st.sampled_from([*about, "min_length", "max_age_days", "key_file", "required"])),
    )
    return draw(CASES)(draw(st.sampled_from(["", "db_"])) + word + sign + last)


SHAPES = [
    "{name}: {secret}",
    "{name}={secret}",
    '"{name}": "{secret}"',
    "{name}:\n{secret}",
    "{name}: \r\n{secret}",
    "{name}:\n\n{secret}",
    "Enter the {name}:\n{secret}",
    "[sudo] {name} for bob:\n{secret}",
    "{name}:\n  {secret}",
    "{name}:\n- {secret}",
    "{name}: [{secret}]",
    "{name}: [{secret}, {secret}",
    '{name}: ["{secret}",\n"{secret}',
    '"{name}": [\n  "{secret}",\n  "{secret}"',
    '"{name}": [\n"{secret}",\n"{secret}"\n]',
    '{name}={{"a": ["{secret}", "it\'s"]}}',
    "{name}: [it's {secret}",
    "{name}: |\n  {secret}\n  {secret}",
]


@pytest.mark.parametrize("shape", SHAPES)
@given(names(), SECRETS, BESIDE, BESIDE)
def test_a_secret_is_hidden_and_the_lines_around_it_stay(shape, name, secret, before, after):
    text = f"{before} one\n{shape.format(name=name, secret=secret)}\n{after}: two\n{after} three [x]\n"
    shown = redacted(text)
    assert secret not in shown
    assert HIDDEN in shown
    assert shown.startswith(f"{before} one\n")
    assert shown.endswith(f"\n{after}: two\n{after} three [x]\n")


@pytest.mark.parametrize("text", ["got token: [", "unexpected token: {", "bad secret=[ here"])
@given(st.lists(BESIDE, min_size=2, max_size=5))
def test_a_bracket_that_nothing_closes_hides_its_line_only(text, lines):
    assert redacted("\n".join([text, *lines])).splitlines()[1:] == lines


@given(harmless(), SECRETS)
def test_what_is_said_about_a_secret_stays(name, value):
    assert not is_secret_name(name)
    for text in ("{}: {}", "{}={}", '"{}": "{}"', "{}: [{}]", "{}:\n  {}", "a:\n  {}: {}\n", "--{} {}", "?{}={}"):
        assert redacted(text.format(name, value)) == text.format(name, value)
    assert redacted({name: value}) == {name: value}
    assert redacted(json.dumps({name: [value]})) == json.dumps({name: [value]})


@given(harmless(), names(), SECRETS)
def test_a_secret_beside_a_harmless_name_is_hidden(other, name, secret):
    for text in (
        "{0}: {1}: {2}",
        "{0}={1}={2}",
        "{0}:\n{1}: {2}",
        '{{"{0}": "/x", "{1}": "{2}"}}',
        "{0}_{1}: {2}",
        "{1}_of_{0}_1={2}",
    ):
        assert secret not in redacted(text.format(other, name, secret)), text


@given(names(), SECRETS)
def test_what_is_redacted_stays_as_it_is(name, secret):
    for shape in SHAPES:
        once = redacted(shape.format(name=name, secret=secret))
        assert secret not in redacted(once)


@pytest.mark.parametrize(
    "name",
    ["secretmessage", "password_storage", "token_file_password", "secret_page", "passwordfilecontent", "bearer_token", "pwd1"],
)
def test_a_name_that_only_looks_harmless_is_a_secret(name):
    assert is_secret_name(name)
    assert "hunter2" not in redacted(f"{name}: hunter2")


@pytest.mark.parametrize(
    "text", ["secret: [\n" * 100_000, "secret: ['\"" * 50_000, "Password:\n\n" * 50_000, "token_" * 50_000, "a: [" * 9_999]
)
def test_long_text_takes_no_long_time(text):
    """What looks for an end that is not there looks for it only so far."""
    redacted(text)
