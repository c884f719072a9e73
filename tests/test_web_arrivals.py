"""Tests of :mod:`loki_twisted.web.arrivals`."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.http_headers import Headers

from loki_twisted.web.arrivals import (
    Arrival,
    arrival_of,
    host_for_address,
    is_within_machine,
    names_in_query,
    party,
    place_of,
)
from tests.fakes_web import (
    LOOPBACK,
    LOOPBACK_6,
    NEIGHBOUR,
    NEIGHBOUR_6,
    PUBLIC,
    SOCKET_FILE,
    STRANGER,
)


def describe(**headers: str) -> Arrival:
    """Describe a request with headers; an underscore stands for a hyphen."""
    raw = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
    return arrival_of(
        raw, method=b"GET", target=b"/", path=b"/", here=LOOPBACK, peer=NEIGHBOUR, secure=False
    )


def test_headers_are_taken_as_they_were_sent() -> None:
    """Names in any case are found, and each time a header was sent is seen."""
    raw = Headers()
    for name, value in [(b"HOST", b"a"), (b"hoSt", b"b"), (b"x-api-KEY", b"k"), (b"Origin", b"o")]:
        raw.addRawHeader(name, value)
    seen = arrival_of(
        raw, method=b"GET", target=b"/", path=b"/", here=LOOPBACK, peer=NEIGHBOUR, secure=True
    )
    assert list(seen.hosts) == [b"a", b"b"]
    assert list(seen.api_keys) == [b"k"]
    assert list(seen.origins) == [b"o"]
    assert list(seen.authorizations) == []
    assert seen.scheme == b"https"


@pytest.mark.threat("T9")
@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "x-forwarded-anything",
        "CF-Connecting-IP",
        "Cf-Ray",
        "Client-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-ProxyUser-Ip",
        "X-Original-Host",
        "X-Envoy-External-Address",
        "X-Amzn-Trace-Id",
        "X-Azure-ClientIP",
        "X-ARR-SSL",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Tailscale-User-Login",
    ],
)
def test_the_mark_of_a_proxy_is_seen(name: str) -> None:
    """Any header by which proxies and tunnels say that they are there counts."""
    assert describe(**{name: "127.0.0.1"}).forwarded


@pytest.mark.parametrize("name", ["Host", "X-Forward", "Viable", "Accept", "X-Request-ID"])
def test_other_headers_are_no_mark_of_a_proxy(name: str) -> None:
    """Headers that clients send themselves do not count."""
    assert not describe(**{name: "x"}).forwarded


@pytest.mark.parametrize(
    ("here", "peer"),
    [
        (LOOPBACK, NEIGHBOUR),
        (LOOPBACK_6, NEIGHBOUR_6),
        (IPv4Address("TCP", "127.0.0.53", 1), NEIGHBOUR),
        (SOCKET_FILE, UNIXAddress(None)),
    ],
)
def test_connections_within_the_machine(here: object, peer: object) -> None:
    """Both ends on loopback, or a unix socket."""
    assert is_within_machine(here, peer)  # type: ignore[arg-type]  # they are addresses


@pytest.mark.parametrize(
    ("here", "peer"),
    [
        (PUBLIC, STRANGER),
        (PUBLIC, NEIGHBOUR),
        (LOOPBACK, STRANGER),
        (LOOPBACK_6, IPv6Address("TCP", "::ffff:127.0.0.1", 1)),
        (IPv6Address("TCP", "::ffff:127.0.0.1", 1), IPv6Address("TCP", "::ffff:127.0.0.1", 1)),
        (IPv6Address("TCP", "::", 1), NEIGHBOUR_6),
        (None, None),
    ],
)
def test_connections_from_outside(here: object, peer: object) -> None:
    """Anything else, and anything unknown, is not within the machine."""
    assert not is_within_machine(here, peer)  # type: ignore[arg-type]  # mostly addresses


def test_an_address_as_a_host_header_names_it() -> None:
    """IPv6 addresses stand in brackets; a unix socket has no such name."""
    assert host_for_address(PUBLIC) == "192.0.2.1"
    assert host_for_address(LOOPBACK_6) == "[::1]"
    assert host_for_address(SOCKET_FILE) is None


def test_an_ipv4_client_of_a_socket_for_both_kinds_is_one() -> None:
    """Its Host names our IPv4 address, it is counted by itself, and recorded as what it is."""
    here = IPv6Address("TCP", "::ffff:192.0.2.1", 80)
    assert host_for_address(here) == "192.0.2.1"
    assert place_of(here) == "192.0.2.1:80"
    assert party(here) == "192.0.2.1"
    assert party(IPv6Address("TCP", "::ffff:192.0.2.2", 80)) == "192.0.2.2"
    assert host_for_address(IPv6Address("TCP", "::ffff:2", 80)) == "[::ffff:2]"


def test_parties() -> None:
    """A party is an IPv4 address, an IPv6 network of 64 bits, or all of a unix socket."""
    assert party(STRANGER) == "198.51.100.7"
    assert party(IPv6Address("TCP", "2001:db8::1", 1)) == party(
        IPv6Address("TCP", "2001:db8::ffff", 2)
    )
    assert party(IPv6Address("TCP", "2001:db8:0:1::1", 1)) != party(
        IPv6Address("TCP", "2001:db8::1", 1)
    )
    assert party(IPv6Address("TCP", "fe80::1%eth0", 1)) == "fe80::/64"
    assert party(SOCKET_FILE) == "unix"


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (b"/x", set()),
        (b"/x?", set()),
        (b"/x?a=1&B=2&a=3", {"a", "b"}),
        (b"/x?%74oken=1", {"token"}),
        (b"/x?token", {"token"}),
        (b"/x?%ff=1&a", {"\ufffd", "a"}),
    ],
)
def test_names_in_a_query(target: bytes, names: set[str]) -> None:
    """Names are found escaped, in any case, and with no value."""
    assert names_in_query(target) == names
