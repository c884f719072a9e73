"""Tests of :mod:`loki_twisted.web.authorities`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.web.authorities import (
    LOOPBACK_NAMES,
    MalformedHost,
    host_name,
    is_loopback_origin,
    own_hosts,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"localhost", "localhost"),
        (b"LocalHost:57374", "localhost"),
        (b"127.0.0.1:1", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[::1]:65535", "[::1]"),
        (b"[::FFFF:127.0.0.1]", "[::ffff:127.0.0.1]"),
        (b"localhost.", "localhost."),
        (b"localhost%00", "localhost%00"),
        (b"localhost:1@evil", "localhost:1@evil"),
        (b"my_host", "my_host"),
    ],
)
def test_a_host_is_read_whole(value: bytes, name: str) -> None:
    """The name is what stands before the port, in lower case and not changed otherwise."""
    assert host_name(value) == name


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b":80",
        b"localhost:",
        b"localhost:abc",
        b"localhost:0",
        b"localhost:65536",
        b"localhost:99999",
        b"localhost:+80",
        b"localhost:80:80",
        b"localhost, evil",
        b"localhost evil",
        b"localhost/",
        b"::1",
        b"[::1",
        b"[localhost]",
        b"[::1]evil",
        b"local\xc3\xa9",
        b"localhost:\xd9\xa1",
    ],
)
def test_what_is_no_host_is_malformed(value: bytes) -> None:
    """Neither a list, nor a port out of range, nor anything that is no host is read."""
    with pytest.raises(MalformedHost):
        host_name(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_host_or_malformed(value: bytes) -> None:
    """Only a value that is literally one of the names, with a port or not, is read as one."""
    try:
        name = host_name(value)
    except MalformedHost:
        return
    if name in LOOPBACK_NAMES:
        text = value.decode("ascii").lower()
        assert text == name or (text.startswith(name + ":") and text[len(name) + 1 :].isdigit())


@pytest.mark.threat("T2")
@given(
    st.sampled_from(sorted(LOOPBACK_NAMES)),
    st.text("abc.:@%[]/ ,127", min_size=1, max_size=8),
    st.booleans(),
)
def test_nothing_can_be_added_to_a_name(name: str, more: str, before: bool) -> None:
    """What is put before or behind a name of ours makes another name, or none at all."""
    value = more + name if before else name + more
    try:
        read = host_name(value.encode("ascii"))
    except MalformedHost:
        return
    assert read not in LOOPBACK_NAMES or value.split(":")[-1].isdigit()


@pytest.mark.parametrize(
    "origin",
    [
        b"http://localhost",
        b"https://localhost:5173",
        b"http://127.0.0.1:1",
        b"http://[::1]:65535",
    ],
)
def test_pages_of_this_machine_are_told(origin: bytes) -> None:
    """Loopback by its three names, either scheme, any port."""
    assert is_loopback_origin(origin)


@pytest.mark.threat("T3")
@pytest.mark.parametrize(
    "origin",
    [
        b"",
        b"null",
        b"*",
        b"localhost",
        b"http://",
        b"http://localhost/",
        b"http://localhost:",
        b"http://localhost:0",
        b"http://localhost:080",
        b"http://localhost:65536",
        b"http://localhost:99999",
        b"HTTP://localhost",
        b"http://LOCALHOST",
        b"http://localhost.",
        b"http://localhost.evil.example",
        b"http://evil-localhost",
        b"http://localhost@evil.example",
        b"http://user@localhost",
        b"http://127.0.0.1.evil.example",
        b"http://127.0.0.2",
        b"http://127.1",
        b"http://2130706433",
        b"http://0.0.0.0",
        b"http://[::]",
        b"http://[0:0:0:0:0:0:0:1]",
        b"ftp://localhost",
        b"file://localhost",
        b"chrome-extension://localhost",
        b"http://localhost\n",
        b"http://localhost http://evil.example",
        b"http://localhost,http://evil.example",
        b"http://localhost%2f",
        b"xhttp://localhost",
    ],
)
def test_other_pages_are_told(origin: bytes) -> None:
    """Nothing that only begins, ends or looks like an origin of this machine is one."""
    assert not is_loopback_origin(origin)


@pytest.mark.threat("T3")
@given(st.binary(max_size=40))
def test_an_origin_is_never_taken_for_its_beginning(more: bytes) -> None:
    """A loopback origin stays one only if a port is added to it."""
    origin = b"http://localhost" + more
    expected = not more or (
        more[:1] == b":" and more[1:].isdigit() and more[1:2] != b"0" and int(more[1:]) <= 65535
    )
    assert is_loopback_origin(origin) == expected


def test_a_server_answers_to_its_own_names() -> None:
    """The names are those of loopback, what it listens on, and what is allowed, as sent."""
    assert own_hosts("localhost") == LOOPBACK_NAMES
    assert own_hosts("192.0.2.1", ["Box.Example"]) == LOOPBACK_NAMES | {"192.0.2.1", "box.example"}
    assert own_hosts("fe80::1", ["[2001:db8::1]"]) >= {"[fe80::1]", "[2001:db8::1]"}


@pytest.mark.threat("T4")
@pytest.mark.parametrize("wildcard", ["", "0.0.0.0", "::"])
def test_a_wildcard_stands_for_the_machine(wildcard: str) -> None:
    """Who listens everywhere is reached by the machine's name, and never by the wildcard."""
    assert own_hosts(wildcard, machine="Box") == LOOPBACK_NAMES | {"box"}
    assert len(own_hosts(wildcard)) > 3


@pytest.mark.parametrize("name", ["host:80", "a@b", "a b", "", "é", "a,b", "http://a"])
def test_what_can_be_in_no_host_header_is_refused(name: str) -> None:
    """A name that no client can send is an error, and not a name that never matches."""
    with pytest.raises(ValueError, match=r"host|ordinal"):
        own_hosts("localhost", [name])
