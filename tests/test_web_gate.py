"""Tests of :mod:`loki_twisted.web.gate`: decisions about described requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.task import Clock

from loki_twisted.access.keyring import Keyring
from loki_twisted.access.tokens import plain_token
from loki_twisted.web.arrivals import Arrival
from loki_twisted.web.attempts import FailedAttempts
from loki_twisted.web.authorities import own_hosts
from loki_twisted.web.gate import Gate, GatePolicy, Verdict
from loki_twisted.web.tickets import Tickets
from tests.fakes_web import (
    LOOPBACK,
    LOOPBACK_6,
    NEIGHBOUR,
    NEIGHBOUR_6,
    PUBLIC,
    SOCKET_FILE,
    STRANGER,
    TOKEN,
)

KEYRING = Keyring([plain_token("one", TOKEN), plain_token("two", "another")])
OPEN = GatePolicy(auth_required=False)
EVIL = b"https://evil.example"
RIGHT = [b"Bearer " + TOKEN.encode()]


def arrival(**changes: Any) -> Arrival:
    """A plain request of a neighbour, changed."""
    fields: dict[str, Any] = {
        "method": b"GET",
        "target": b"/api/sessions",
        "here": LOOPBACK,
        "peer": NEIGHBOUR,
        "hosts": [b"localhost:57374"],
        **changes,
    }
    fields.setdefault("path", fields["target"].partition(b"?")[0])
    return Arrival(**fields)


def gate_of(policy: GatePolicy, clock: Clock) -> Gate:
    """Make a gate."""
    return Gate(policy, FailedAttempts(clock), Tickets(clock, policy.keyring))


def judge(
    policy: GatePolicy,
    is_our_user: Callable[[], bool] = lambda: True,
    **changes: Any,
) -> Verdict:
    """Decide about one request."""
    return gate_of(policy, Clock()).judge(arrival(**changes), is_our_user)


def refused(verdict: Verdict) -> tuple[int, str] | None:
    """Status and code of a refusal, or None if the request may come in."""
    if verdict.answer is None:
        return None
    return verdict.answer.status, json.loads(verdict.answer.body)["code"]


# Host


@pytest.mark.parametrize("host", [b"LocalHost:57374", b"127.0.0.1", b"[::1]:57374", b"localhost:1"])
def test_requests_to_this_machine_come_in(host: bytes) -> None:
    """Loopback by any of its three names, with whatever port a tunnel has given it."""
    assert refused(judge(OPEN, hosts=[host])) is None


@pytest.mark.threat("T2", "T4")
@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"localhost.evil.com",
        b"localhost:1@evil",
        b"127.0.0.1.nip.io",
        b"LOCALHOST.",
        b"localhost%00",
        b"0.0.0.0",
        b"[::]",
        b"2130706433",
        b"0x7f.1",
        b"127.1",
        b"[::ffff:127.0.0.1]",
        b"127.0.0.2",
        b"xlocalhost",
    ],
)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", b"/api/sessions"),
        (b"POST", b"/api/sessions"),
        (b"OPTIONS", b"/api/sessions"),
        (b"GET", b"/health/live"),
        (b"GET", b"/nowhere"),
    ],
)
def test_requests_to_other_hosts_are_misdirected(host: bytes, method: bytes, target: bytes) -> None:
    """A name that is not ours is refused on every route, before anything else is looked at."""
    verdict = judge(
        GatePolicy(keyring=KEYRING),
        hosts=[host],
        method=method,
        target=target,
        origins=[EVIL],
        wanted_methods=[b"POST"],
        authorizations=[b"Bearer wrong"],
    )
    assert refused(verdict) == (421, "HOST_NOT_ALLOWED")


@pytest.mark.threat("T2", "T24")
@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b""],
        [b"localhost", b"evil.example"],
        [b"evil.example", b"localhost"],
        [b"localhost", b"localhost"],
        [b"localhost, evil"],
        [b"localhost:99999"],
        [b"localhost:abc"],
    ],
)
def test_a_request_has_one_proper_host(hosts: list[bytes]) -> None:
    """No host, two, or one that is malformed are not understood, and the connection ends."""
    verdict = judge(OPEN, hosts=hosts)
    assert refused(verdict) == (400, "BAD_REQUEST")
    assert verdict.answer is not None
    assert verdict.answer.closes


def test_allowed_hosts_and_the_address_of_the_connection_are_ours() -> None:
    """What is configured is answered to, and so is the very address that was connected to."""
    policy = GatePolicy(auth_required=False, hosts=own_hosts("box", ["Loki.Example"]))
    for host in (b"box", b"loki.example:443", b"192.0.2.1:57374"):
        assert refused(judge(policy, hosts=[host], here=PUBLIC, peer=STRANGER)) is None
    assert refused(judge(policy, hosts=[b"192.0.2.1"])) == (421, "HOST_NOT_ALLOWED")


# Origin


@pytest.mark.parametrize(
    "origin",
    [b"http://localhost:5173", b"https://127.0.0.1", b"http://[::1]:3000", b"http://localhost"],
)
@pytest.mark.parametrize("site", [None, b"same-site", b"cross-site", b"same-origin"])
def test_pages_of_this_machine_may_read(origin: bytes, site: bytes | None) -> None:
    """Their origin is echoed exactly, and credentials are never allowed along."""
    sites = [] if site is None else [site]
    verdict = judge(OPEN, origins=[origin], fetch_sites=sites, method=b"POST")
    assert refused(verdict) is None
    headers = dict(verdict.headers)
    assert headers[b"Access-Control-Allow-Origin"] == origin
    assert b"X-Request-ID" in headers[b"Access-Control-Expose-Headers"]
    assert b"Access-Control-Allow-Credentials" not in headers


@pytest.mark.threat("T1", "T3")
@pytest.mark.parametrize(
    "origins",
    [
        [EVIL],
        [b"null"],
        [b""],
        [b"*"],
        [b"http://localhost.evil.example"],
        [b"http://trusted.example.evil.example"],
        [b"https://trusted.example:444"],
        [b"http://trusted.example"],
        [b"https://trusted.example/"],
        [b"https://TRUSTED.example"],
        [b"https://trustedXexample"],
        [b"http://localhost", b"http://localhost"],
        [b"http://localhost", EVIL],
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_pages_of_others_are_refused(origins: list[bytes], method: bytes) -> None:
    """An origin that is not literally allowed is refused with any method, and not echoed."""
    policy = GatePolicy(auth_required=False, origins=frozenset({"https://trusted.example"}))
    verdict = judge(policy, origins=origins, method=method, wanted_methods=[b"POST"])
    assert refused(verdict) == (403, "FORBIDDEN")
    assert verdict.headers == ()


def test_configured_origins_may_read() -> None:
    """An origin that is listed is allowed, exactly as it is listed."""
    policy = GatePolicy(auth_required=False, origins=frozenset({"https://trusted.example"}))
    assert refused(judge(policy, origins=[b"https://trusted.example"])) is None


@pytest.mark.threat("T3")
def test_without_cors_only_our_own_pages_may() -> None:
    """Our own origin is the scheme of the connection with the host of the request."""
    policy = GatePolicy(
        auth_required=False, own_origin_only=True, origins=frozenset({"https://trusted.example"})
    )
    assert refused(judge(policy, origins=[b"http://localhost:57374"])) is None
    assert refused(judge(policy, origins=[b"https://localhost:57374"], secure=True)) is None
    for origin in (
        b"https://localhost:57374",
        b"http://localhost",
        b"http://127.0.0.1:57374",
        b"https://trusted.example",
    ):
        assert refused(judge(policy, origins=[origin])) == (403, "FORBIDDEN")


def test_our_own_pages_may_whatever_our_name_is() -> None:
    """A page that we serve under an allowed name may use the API without being listed."""
    policy = GatePolicy(auth_required=False, hosts=own_hosts("box"))
    here = {"hosts": [b"Box:57374"], "here": PUBLIC, "peer": STRANGER}
    assert refused(judge(policy, origins=[b"http://box:57374"], **here)) is None
    assert refused(judge(policy, origins=[b"http://box"], **here)) == (403, "FORBIDDEN")


@pytest.mark.threat("T33")
def test_a_link_to_the_page() -> None:
    """Pages of others may link to it, and do nothing else: neither send to it nor ask its files."""
    link = {"fetch_sites": [b"cross-site"], "path": b"/", "target": b"/"}
    assert refused(judge(OPEN, **link)) is None
    assert refused(judge(OPEN, **link, method=b"POST")) == (403, "FORBIDDEN")
    assert refused(judge(OPEN, **link, origins=[b"https://a.example"])) == (403, "FORBIDDEN")
    files = {**link, "path": b"/page/main.js", "target": b"/page/main.js"}
    assert refused(judge(OPEN, **files)) == (403, "FORBIDDEN")


@pytest.mark.threat("T1", "T33")
@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"", b"nonsense"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_other_sites_without_an_origin_are_refused(site: bytes, method: bytes) -> None:
    """What another page makes a browser ask the API for is refused, though it shows no origin."""
    assert refused(judge(OPEN, fetch_sites=[site], method=method)) == (403, "FORBIDDEN")
    assert refused(judge(OPEN, fetch_sites=[b"none", site])) == (403, "FORBIDDEN")


@pytest.mark.parametrize("site", [b"none", b"same-origin"])
def test_the_address_bar_and_our_own_pages_come_in(site: bytes) -> None:
    """What a user typed, and what our own page sends, needs no origin."""
    assert refused(judge(OPEN, fetch_sites=[site])) is None


# Preflights


def test_a_preflight_is_answered_before_the_token() -> None:
    """An allowed page is told what it may send, without a token and without credentials."""
    verdict = judge(
        GatePolicy(keyring=KEYRING, local_without_token=False),
        method=b"OPTIONS",
        target=b"/whatever",
        origins=[b"http://localhost:5173"],
        wanted_methods=[b"POST"],
    )
    assert verdict.answer is not None
    assert verdict.answer.status == 204
    assert verdict.answer.body == b""
    headers = dict(verdict.answer.headers)
    assert headers[b"Access-Control-Allow-Methods"] == b"GET, HEAD, POST, DELETE, OPTIONS"
    for name in (b"Authorization", b"Content-Type", b"Last-Event-ID", b"X-API-Key"):
        assert name in headers[b"Access-Control-Allow-Headers"]
    assert b"Access-Control-Allow-Private-Network" not in headers
    assert dict(verdict.headers)[b"Access-Control-Allow-Origin"] == b"http://localhost:5173"


@pytest.mark.threat("T5")
def test_a_private_network_is_opened_to_allowed_pages_alone() -> None:
    """A browser that asks whether a public page may reach us hears yes only for one we allow."""
    asks = {"method": b"OPTIONS", "wanted_methods": [b"GET"], "wants_private_network": True}
    verdict = judge(OPEN, origins=[b"http://localhost:1"], **asks)
    assert verdict.answer is not None
    assert dict(verdict.answer.headers)[b"Access-Control-Allow-Private-Network"] == b"true"
    assert refused(judge(OPEN, origins=[EVIL], **asks)) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "changes", [{"origins": [b"http://localhost:1"]}, {"wanted_methods": [b"POST"]}]
)
def test_options_that_is_no_preflight_needs_a_token(changes: dict[str, Any]) -> None:
    """Without an origin or a wanted method OPTIONS is a request like any other."""
    policy = GatePolicy(keyring=KEYRING, local_without_token=False)
    assert refused(judge(policy, method=b"OPTIONS", **changes)) == (401, "UNAUTHORIZED")


# Local requests


@pytest.mark.parametrize(
    ("here", "peer"),
    [(LOOPBACK, NEIGHBOUR), (LOOPBACK_6, NEIGHBOUR_6), (SOCKET_FILE, UNIXAddress(None))],
)
@pytest.mark.parametrize("keyring", [Keyring(), KEYRING])
def test_local_requests_need_no_token(here: object, peer: object, keyring: Keyring) -> None:
    """Whether a token is set or not, our own user on this machine comes in without one."""
    policy = GatePolicy(keyring=keyring)
    assert refused(judge(policy, here=here, peer=peer)) is None


@pytest.mark.threat("T8", "T9", "B30")
@pytest.mark.parametrize("keyring", [Keyring(), KEYRING])
@pytest.mark.parametrize(
    "changes",
    [
        {"here": PUBLIC, "peer": STRANGER, "hosts": [b"192.0.2.1"]},
        {"here": PUBLIC, "peer": STRANGER, "hosts": [b"localhost"]},
        {"here": LOOPBACK, "peer": STRANGER},
        {"forwarded": True},
    ],
)
def test_other_requests_need_a_token(keyring: Keyring, changes: dict[str, Any]) -> None:
    """A stranger, a forged host, and whatever a proxy passes on are not local."""
    verdict = judge(GatePolicy(keyring=keyring), **changes)
    assert refused(verdict) == (401, "UNAUTHORIZED")
    assert verdict.answer is not None
    assert dict(verdict.answer.headers) == {b"WWW-Authenticate": b"Bearer"}


@pytest.mark.threat("T10")
def test_other_users_of_the_machine_need_a_token() -> None:
    """Loopback is open to everybody on the machine; we are not."""
    policy = GatePolicy(keyring=KEYRING)
    assert refused(judge(policy, lambda: False)) == (401, "UNAUTHORIZED")
    assert refused(judge(policy, lambda: False, authorizations=RIGHT)) is None


def test_a_listener_that_others_reach_makes_nobody_local() -> None:
    """Where a listener is not bound to loopback, a token is needed from loopback too."""
    policy = GatePolicy(keyring=KEYRING, local_without_token=False)
    assert refused(judge(policy)) == (401, "UNAUTHORIZED")


def test_the_user_is_asked_for_only_where_it_matters() -> None:
    """Nobody is looked up who would be refused, or let in, without it."""

    def fail() -> bool:
        raise AssertionError

    assert refused(judge(OPEN, fail)) is None
    assert refused(judge(GatePolicy(), fail, target=b"/health/live")) is None
    assert refused(judge(GatePolicy(keyring=KEYRING), fail, authorizations=RIGHT)) is None
    assert refused(judge(GatePolicy(), fail, forwarded=True)) == (401, "UNAUTHORIZED")


# Tokens

GUARDED = GatePolicy(keyring=KEYRING, local_without_token=False)


@pytest.mark.threat("B25", "B26")
@pytest.mark.parametrize(
    "changes",
    [
        {"authorizations": [b"Bearer a-right-token"]},
        {"authorizations": [b"bearer a-right-token"]},
        {"authorizations": [b"BEARER   a-right-token"]},
        {"authorizations": [b"Bearer another"]},
        {"api_keys": [b"a-right-token"]},
        {"authorizations": [b"Bearer another"], "api_keys": [b"wrong"]},
    ],
)
def test_a_right_token_opens(changes: dict[str, Any]) -> None:
    """Any of the tokens, in either header; the scheme's case does not matter."""
    assert refused(judge(GUARDED, **changes)) is None
    assert refused(judge(GUARDED, forwarded=True, peer=STRANGER, **changes)) is None


@pytest.mark.threat("T11", "B25", "B26", "B27")
@pytest.mark.parametrize(
    "changes",
    [
        {"authorizations": [b"Bearer wrong"]},
        {"authorizations": [b"Bearer"]},
        {"authorizations": [b"Bearer "]},
        {"authorizations": [b"Bearer  a b"]},
        {"authorizations": [b"Bearer a-right-token x"]},
        {"authorizations": [b"Bearer\ta-right-token"]},
        {"authorizations": [b"Bearera-right-token"]},
        {"authorizations": [b"a-right-token"]},
        {"authorizations": [b"Basic YTpiCg=="]},
        {"authorizations": [b"Token a-right-token"]},
        {"authorizations": [b""]},
        {"authorizations": [b"Bearer a-right-toke"]},
        {"authorizations": [b"Bearer a-right-token1"]},
        {"authorizations": [b"Bearer A-RIGHT-TOKEN"]},
        {"authorizations": [b"Bearer a-right-token\x00"]},
        {"authorizations": [b"Bearer a-right-t\xc3\xb6ken"]},
        {"authorizations": [b"Bearer " + b"x" * 10_000]},
        {"authorizations": [b"Basic x"], "api_keys": [b"a-right-token"]},
        {"authorizations": [b"Bearer wrong"], "api_keys": [b"a-right-token"]},
        {"api_keys": [b"wrong"]},
        {"api_keys": [b""]},
        {"api_keys": [b"a-right-token, a-right-token"]},
        {},
    ],
)
def test_anything_else_does_not_open(changes: dict[str, Any]) -> None:
    """A wrong, cut, longer or missing token, another scheme, or a key beside a wrong header."""
    assert refused(judge(GUARDED, **changes)) == (401, "UNAUTHORIZED")


@pytest.mark.threat("B25")
@pytest.mark.parametrize(
    "changes",
    [
        {"authorizations": RIGHT * 2},
        {"authorizations": [b"Bearer wrong", *RIGHT]},
        {"api_keys": [b"a-right-token"] * 2},
    ],
)
def test_two_tokens_are_not_understood(changes: dict[str, Any]) -> None:
    """Proxies and servers pick different ones of two headers, so two are refused."""
    assert refused(judge(GUARDED, **changes)) == (400, "BAD_REQUEST")


@pytest.mark.threat("T12", "B29")
@pytest.mark.parametrize("policy", [GUARDED, GatePolicy(keyring=KEYRING), GatePolicy()])
@pytest.mark.parametrize("name", ["token", "access_token", "%74oken", "TOKEN", "api_key"])
def test_a_token_in_the_url_is_refused_even_if_right(policy: GatePolicy, name: str) -> None:
    """Whoever puts a token into a URL learns it at once, and not when it is found in a log."""
    target = f"/api/events?{name}={TOKEN}".encode()
    assert refused(judge(policy, target=target)) == (401, "UNAUTHORIZED")
    assert refused(judge(policy, target=target, authorizations=RIGHT)) == (401, "UNAUTHORIZED")


def test_a_wrong_token_takes_the_right_of_the_place_away() -> None:
    """A local client that shows a token hears that it is wrong, where there is one to compare."""
    wrong = {"authorizations": [b"Bearer wrong"]}
    assert refused(judge(GatePolicy(keyring=KEYRING), **wrong)) == (401, "UNAUTHORIZED")
    assert refused(judge(GatePolicy(), **wrong)) is None


@pytest.mark.parametrize("target", [b"/health/live", b"/health/ready", b"/health/live?x=1"])
def test_probes_need_no_token(target: bytes) -> None:
    """A load balancer has none. Host and origin are looked at all the same."""
    stranger = {"target": target, "here": PUBLIC, "peer": STRANGER, "hosts": [b"192.0.2.1"]}
    assert refused(judge(GUARDED, **stranger)) is None
    assert refused(judge(GUARDED, **stranger, origins=[EVIL])) == (403, "FORBIDDEN")


@pytest.mark.threat("T26")
@pytest.mark.parametrize(
    "target",
    [
        b"/health",
        b"/health/",
        b"/health/live/",
        b"/health/liveXYZ",
        b"/health/%6cive",
        b"/Health/live",
        b"/health/live/x",
        b"/x/health/live",
    ],
)
def test_what_only_looks_like_a_probe_needs_a_token(target: bytes) -> None:
    """The exemption is for two paths, byte for byte."""
    assert refused(judge(GUARDED, target=target)) == (401, "UNAUTHORIZED")


def test_without_auth_every_other_check_stays() -> None:
    """Switching tokens off opens the gate for strangers, but not for other hosts and pages."""
    stranger = {"here": PUBLIC, "peer": STRANGER}
    assert refused(judge(OPEN, **stranger)) is None
    assert refused(judge(OPEN, **stranger, hosts=[b"evil.example"])) == (421, "HOST_NOT_ALLOWED")
    assert refused(judge(OPEN, **stranger, origins=[EVIL])) == (403, "FORBIDDEN")
    assert refused(judge(OPEN, **stranger, authorizations=[b"x", b"y"])) == (400, "BAD_REQUEST")


# Many wrong tokens


@pytest.mark.threat("T11", "B31")
def test_many_wrong_tokens_are_slowed_down_and_the_right_one_never() -> None:
    """The eleventh within a minute is told to wait; a right token passes at any time."""
    clock = Clock()
    gate = gate_of(GUARDED, clock)

    def attempt(token: bytes, **changes: Any) -> tuple[int, str] | None:
        wanted = arrival(authorizations=[b"Bearer " + token], peer=STRANGER, **changes)
        return refused(gate.judge(wanted, lambda: False))

    assert {attempt(b"wrong%d" % n) for n in range(10)} == {(401, "UNAUTHORIZED")}
    assert attempt(b"wrong") == (429, "TOO_MANY_REQUESTS")
    assert attempt(TOKEN.encode()) is None
    assert attempt(b"wrong", target=b"/health/live") is None
    assert attempt(b"wrong", hosts=[b"evil.example"]) == (421, "HOST_NOT_ALLOWED")
    verdict = gate.judge(arrival(authorizations=[b"Bearer x"], peer=STRANGER), lambda: False)
    assert verdict.answer is not None
    assert dict(verdict.answer.headers)[b"Retry-After"] == b"60"
    missing = gate.judge(arrival(peer=STRANGER), lambda: False)
    assert refused(missing) == (401, "UNAUTHORIZED")
    clock.advance(60)
    assert attempt(b"wrong") == (401, "UNAUTHORIZED")


def test_the_policy_does_not_show_its_tokens() -> None:
    """What is printed of a policy, into a log for example, has nothing of a token in it."""
    assert "keyring" not in repr(GUARDED)


# The order of the checks, and the law of it all

FAULTS: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"method": b"get"}, (501, "NOT_IMPLEMENTED")),
    ({"target": b"//api", "path": b"//api"}, (400, "BAD_REQUEST")),
    ({"authorizations": [b"a", b"b"]}, (400, "BAD_REQUEST")),
    ({"hosts": [b"evil.example"]}, (421, "HOST_NOT_ALLOWED")),
    ({"origins": [EVIL]}, (403, "FORBIDDEN")),
    ({"fetch_sites": [b"cross-site"]}, (403, "FORBIDDEN")),
    ({}, (401, "UNAUTHORIZED")),
]


@pytest.mark.threat("order")
@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_the_first_fault_is_the_one_that_is_told(first: int) -> None:
    """A request that is wrong in several ways is answered for the first check that it fails."""
    changes: dict[str, Any] = {}
    for fault, _ in reversed(FAULTS[first:]):
        changes.update(fault)
    assert refused(judge(GUARDED, **changes)) == FAULTS[first][1]


@pytest.mark.threat("T8", "T26")
@given(
    hosts=st.lists(
        st.sampled_from([b"localhost", b"evil.example", b"127.0.0.1:9", b"", b"a b"]), max_size=2
    ),
    origins=st.lists(
        st.sampled_from([b"http://localhost:1", EVIL, b"null", b"http://localhost"]), max_size=2
    ),
    fetch_sites=st.lists(st.sampled_from([b"none", b"cross-site", b"same-origin"]), max_size=2),
    authorizations=st.lists(st.sampled_from([*RIGHT, b"Bearer x", b"Basic y", b""]), max_size=2),
    api_keys=st.lists(st.sampled_from([TOKEN.encode(), b"x"]), max_size=2),
    forwarded=st.booleans(),
    ours=st.booleans(),
    near=st.booleans(),
)
def test_nobody_comes_in_without_a_reason(ours: bool, near: bool, **fields: Any) -> None:
    """Whoever comes in came to our name, from no foreign page, with a right token or locally."""
    ends = {} if near else {"here": PUBLIC, "peer": STRANGER}
    verdict = judge(GatePolicy(keyring=KEYRING), lambda: ours, **ends, **fields)
    if verdict.answer is not None:
        return
    assert fields["hosts"] in ([b"localhost"], [b"127.0.0.1:9"])
    assert set(fields["origins"]) <= {b"http://localhost:1", b"http://localhost"}
    assert fields["origins"] or b"cross-site" not in fields["fetch_sites"]
    shown = fields["authorizations"] or fields["api_keys"]
    if shown:
        assert shown in (RIGHT, [TOKEN.encode()])
    else:
        assert near
        assert ours
        assert not fields["forwarded"]
