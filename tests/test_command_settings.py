"""What settings mean: directories, endpoints, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import TCP6ServerEndpoint, serverFromString
from twisted.internet.testing import MemoryReactor

from loki_twisted.endpoints import (
    endpoint_descriptions,
    has_ipv6_loopback,
    is_local_endpoint,
    is_loopback,
    refuse_open_listeners,
)
from loki_twisted.settings import InvalidSettings, Settings, find_loki_dir, holds_state_of_ours


def never(_: Path) -> bool:
    return False


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("/srv/project", "/srv/project"),
        ("/srv/project/", "/srv/project"),
        ("/srv/project/.loki", "/srv/project"),
        ("/srv/project/.loki/", "/srv/project"),
        ("/srv/project/x.loki", "/srv/project/x.loki"),
        ("sub", "/home/me/sub"),
        ("sub/.loki", "/home/me/sub"),
        (".loki", "/home/me"),
        (".", "/home/me"),
        ("../you", "/home/you"),
        ("", "/home/me"),
        (None, "/home/me"),
    ],
)
def test_a_named_loki_dir(named: str | None, found: str) -> None:
    """A value names the directory that holds .loki, or .loki itself, from where one stands."""
    assert find_loki_dir(named, "/home/me", never) == found


def test_loki_dir_is_the_nearest_upward() -> None:
    """Without a value the nearest directory upward that holds state is taken."""
    holders = {Path("/a"), Path("/a/b")}

    assert find_loki_dir(None, "/a/b/c/d", holders.__contains__) == "/a/b"
    assert find_loki_dir(None, "/a/x", holders.__contains__) == "/a"
    assert find_loki_dir(None, "/x/y", holders.__contains__) == "/x/y"


def test_state_is_a_directory_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called .loki holds no state, nor does a directory of somebody else's."""
    assert not holds_state_of_ours(tmp_path)
    state = tmp_path / ".loki"
    state.touch()
    assert not holds_state_of_ours(tmp_path)
    state.unlink()
    state.mkdir()
    assert holds_state_of_ours(tmp_path)

    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert not holds_state_of_ours(tmp_path)


def test_defaults() -> None:
    """A server that is told nothing is the documented one."""
    settings = Settings(loki_dir="/srv/p")

    assert (settings.host, settings.port) == ("localhost", 57374)
    assert settings.data_dir == "/srv/p/.loki/server"
    assert settings.project_roots == ("/srv/p",)
    assert (settings.auth, settings.cors, settings.debug) == (True, True, False)
    assert settings.max_sessions == 8


def test_tokens_are_not_printed() -> None:
    """Who prints settings, in a log or a traceback, prints no secret."""
    assert "s3cret" not in repr(Settings(loki_dir="/", tokens=("s3cret",)))


@pytest.mark.parametrize(
    ("chosen", "ipv6", "descriptions"),
    [
        ({}, False, ("tcp:57374:interface=127.0.0.1:B",)),
        ({}, True, ("tcp:57374:interface=127.0.0.1:B", "tcp6:57374:interface=\\:\\:1:B")),
        ({"port": 0}, True, ("tcp:0:interface=127.0.0.1:B",)),
        ({"host": "127.0.0.1"}, True, ("tcp:57374:interface=127.0.0.1:B",)),
        ({"host": "::"}, True, ("tcp6:57374:interface=\\:\\::B",)),
        ({"host": "0.0.0.0", "port": 80}, True, ("tcp:80:interface=0.0.0.0:B",)),
        ({"listen": ("tcp:1", "unix:/s")}, True, ("tcp:1:B", "unix:/s:mode=600:B")),
        ({"listen": ("unix:/s:mode=660",)}, True, ("unix:/s:mode=660:B",)),
        ({"listen": ("unix:/s:640",)}, True, ("unix:/s:640",)),
        ({"listen": ("tcp:1:backlog=7", "tls:/c:1")}, True, ("tcp:1:backlog=7", "tls:/c:1")),
    ],
)
def test_endpoints(chosen: dict, ipv6: bool, descriptions: tuple[str, ...]) -> None:
    """
    Host and port, or what is listed, become descriptions.

    Sockets are private, and many clients may wait to be accepted, unless it is said otherwise.
    """
    settings = Settings(loki_dir="/", **chosen)

    wanted = tuple(text.replace(":B", ":backlog=1024") for text in descriptions)
    assert endpoint_descriptions(settings, ipv6_loopback=ipv6) == wanted


@given(st.ip_addresses(v=6))
def test_any_ipv6_address_can_be_listened_on(address: object) -> None:
    """Twisted reads from a description the address that went into it."""
    settings = Settings(loki_dir="/", host=str(address))
    (description,) = endpoint_descriptions(settings, ipv6_loopback=True)

    endpoint = serverFromString(MemoryReactor(), description)

    assert isinstance(endpoint, TCP6ServerEndpoint)
    assert endpoint._interface == str(address)


def test_ipv6_loopback(tmp_path: Path) -> None:
    """Whether there is ::1 stands in the kernel's table; where there is no table there is none."""
    table = tmp_path / "if_inet6"
    assert not has_ipv6_loopback(table)
    table.write_text("fe800000000000000000000000000001 02 40 20 80     eth0\n")
    assert not has_ipv6_loopback(table)
    table.write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    assert has_ipv6_loopback(table)


@pytest.mark.parametrize(
    "description",
    [
        "tcp:8080:interface=127.0.0.1",
        "tcp:8080:interface=127.9.9.9",
        "tcp:port=8080:interface=localhost",
        "tcp6:8080:interface=\\:\\:1",
        "ssl:8443:interface=127.0.0.1:privateKey=k.pem",
        "tls:/etc/certs:8443:interface=127.0.0.1",
        "unix:/run/loki.sock",
        "unix:/run/loki.sock:mode=600",
        "unix:address=/run/a\\:b:mode=0700:lockfile=0",
    ],
)
def test_local_endpoints(description: str) -> None:
    """A loopback interface, and a socket that only its owner may open, are local."""
    assert is_local_endpoint(description)


@pytest.mark.parametrize(
    "description",
    [
        "",
        "tcp:8080",
        "tcp:8080:interface=",
        "tcp:8080:interface=0.0.0.0",
        "tcp:8080:interface=192.168.1.5",
        "tcp:8080:interface=127.0.0.1.example.com",
        "tcp:8080:127.0.0.1",
        "tcp:8080:interface=127.0.0.1:interface=0.0.0.0",
        "tcp6:8080",
        "tcp6:8080:interface=\\:\\:",
        "tcp6:8080:interface=\\:\\:ffff\\:127.0.0.1",
        "unix:/run/loki.sock:mode=666",
        "unix:/run/loki.sock:mode=660",
        "unix:/run/loki.sock:606",
        "unix:/run/loki.sock:mode=huh",
        "systemd:domain=INET:index=0",
        "haproxy:tcp:8080:interface=127.0.0.1",
        "haproxy:unix:/s",
    ],
)
def test_endpoints_that_others_may_reach(description: str) -> None:
    """Everything else is not: what cannot be known counts as open."""
    assert not is_local_endpoint(description)


def test_loopback_names() -> None:
    """Only localhost and loopback addresses are loopback."""
    names = ("localhost", "127.0.0.1", "::1", "localhost.example.com", "0.0.0.0", "me", "")

    assert [is_loopback(name) for name in names] == [True, True, True, False, False, False, False]


@pytest.mark.threat("T7")
@pytest.mark.parametrize(
    "chosen",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "192.168.1.5"},
        {"host": "myhost"},
        {"host": "0.0.0.0", "auth": False},
        {"host": "0.0.0.0", "auth": False, "tokens": ("t" * 32,)},
        {"listen": ("tcp:8080",)},
        {"listen": ("unix:/s", "tcp:8080")},
        {"listen": ("tcp:8080",), "auth": False, "tokens": ("t" * 32,)},
    ],
)
def test_open_servers_are_refused(chosen: dict) -> None:
    """A server that others can reach and that asks for no token is refused, in one line."""
    with pytest.raises(InvalidSettings, match=r"^Refusing to listen on '[^\n]*$"):
        refuse_open_listeners(Settings(loki_dir="/", **chosen))


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"auth": False},
        {"host": "::1", "auth": False},
        {"listen": ("unix:/s",), "auth": False},
        {"listen": ("unix:/s",), "host": "0.0.0.0"},
        {"host": "0.0.0.0", "tokens": ("t" * 32,)},
        {"listen": ("tcp:8080",), "tokens": ("t" * 32,)},
    ],
)
def test_closed_servers_are_not(chosen: dict) -> None:
    """On loopback nothing is needed; elsewhere a token is enough."""
    refuse_open_listeners(Settings(loki_dir="/", **chosen))
