"""
The gate: who may come in. It stands before routing and before bodies.

Checks in their order, so that the answer to a request that is wrong in several ways is defined:

1. request line (400, 405, 501) and shape of the headers (400);
2. ``Host`` (421): a page that has pointed its own name at this machine is stopped here;
3. ``Origin`` and ``Sec-Fetch-Site`` (403): other sites' pages are stopped here, but for links to
   the page of this server;
4. a preflight is answered (204);
5. token or ticket (401; 429 instead after too many wrong ones).

Whether a request is local is decided by the two ends of its connection. Headers
can only take that right away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs

from loki_twisted.access.interface import LOCAL, Caller, IKeyring
from loki_twisted.access.keyring import Keyring
from loki_twisted.web.answers import NOBODY, Answer, Headers
from loki_twisted.web.arrivals import (
    Arrival,
    host_for_address,
    is_within_machine,
    names_in_query,
    parameters_in,
    party,
)
from loki_twisted.web.attempts import FailedAttempts
from loki_twisted.web.authorities import (
    LOOPBACK_NAMES,
    MalformedHost,
    host_name,
    is_loopback_origin,
)
from loki_twisted.web.page import PAGE_PATHS
from loki_twisted.web.problems import problem
from loki_twisted.web.targets import ALLOWED, fault_of_line
from loki_twisted.web.tickets import Tickets
from loki_twisted.web.visits import Source

OPEN_PATHS: Final = frozenset((b"/health/live", b"/health/ready"))
"""What of the API needs no token: whole paths, as they are routed by."""

TOKEN_PARAMETERS: Final = frozenset(("token", "access_token", "api_key", "apikey"))
"""Names in a query under which people put tokens, where logs and histories keep them."""

TICKET: Final = "ticket"
_TAKES_TICKETS: Final = b"/api/events"

_NEED_NO_TOKEN: Final = OPEN_PATHS | PAGE_PATHS
_OWN_SITES: Final = frozenset((b"same-origin", b"none"))
_BEARER: Final = re.compile(rb"bearer +([!-~]+)", re.IGNORECASE)
_PREFLIGHT: Final[Headers] = (
    (b"Access-Control-Allow-Methods", ALLOWED),
    (
        b"Access-Control-Allow-Headers",
        b"Authorization, Cache-Control, Content-Type, Last-Event-ID, X-API-Key, X-Request-ID",
    ),
    (b"Access-Control-Max-Age", b"600"),
)
_EXPOSED: Final = (
    b"Access-Control-Expose-Headers",
    (
        b"Allow, Retry-After, X-Next-Offset, X-Oldest-Event-ID, X-Output-Size, X-Request-ID, "
        b"X-Response-Time"
    ),
)


@attrs.frozen(slots=True, kw_only=True)
class GatePolicy:
    """
    Who may come in.

    :ivar keyring: Knows the tokens that open the API.
    :ivar hosts: Names in a ``Host`` header that are ours; see
        :func:`~loki_twisted.web.authorities.own_hosts`. The address that a connection
        came in on is ours too: no page can make its name an address.
    :ivar origins: Exact origins whose pages may use the API, beside those of this machine.
    :ivar own_origin_only: Whether only pages of this very server may use it.
    :ivar auth_required: Whether a request that is not local needs a token.
    :ivar local_without_token: Whether a local request needs none. It is true only
        where every TCP listener is bound to a loopback address.
    :ivar debug: Whether answers to faults of ours hold the stack.
    """

    keyring: IKeyring = attrs.field(factory=Keyring, repr=False)
    hosts: frozenset[str] = LOOPBACK_NAMES
    origins: frozenset[str] = frozenset()
    own_origin_only: bool = False
    auth_required: bool = True
    local_without_token: bool = True
    debug: bool = False


@attrs.frozen(slots=True)
class Verdict:
    """
    What the gate has decided.

    :ivar answer: What to answer at once, or None if the request may come in.
    :ivar headers: What every answer to it carries, so that a page that may read it can.
    :ivar caller: Who sends it, as far as that was found out.
    """

    answer: Answer | None
    headers: Headers = ()
    caller: Caller = NOBODY


class Gate:
    """
    Decides about each request by itself.

    :param failed: Counts wrong tokens.
    :param tickets: Those that stand for tokens.
    """

    def __init__(self, policy: GatePolicy, failed: FailedAttempts, tickets: Tickets) -> None:
        self.policy = policy
        self._failed = failed
        self._tickets = tickets
        self._origins = frozenset(origin.encode("ascii") for origin in policy.origins)

    def judge(self, arrival: Arrival, is_our_user: Callable[[], bool]) -> Verdict:
        """
        Decide about a request.

        :param is_our_user: Tells whether the other end of the connection is a
            process of our user. Asked only where it matters.
        """
        answer = (
            fault_of_line(arrival.method, arrival.target)
            or _fault_of_headers(arrival)
            or self._fault_of_host(arrival)
            or self._fault_of_origin(arrival)
        )
        if answer is not None:
            return Verdict(answer)
        headers: Headers = ()
        if arrival.origins:
            headers = ((b"Access-Control-Allow-Origin", arrival.origins[0]), _EXPOSED)
            if arrival.method == b"OPTIONS" and arrival.wanted_methods:
                return Verdict(_answer_to_preflight(arrival), headers)
        found = self._admit(arrival, is_our_user)
        if isinstance(found, Answer):
            return Verdict(found, headers)
        return Verdict(None, headers, found)

    def _fault_of_host(self, arrival: Arrival) -> Answer | None:
        try:
            name = host_name(arrival.hosts[0])
        except MalformedHost as error:
            return problem("BAD_REQUEST", str(error), closes=True)
        if name in self.policy.hosts or name == host_for_address(arrival.here):
            return None
        return problem(
            "HOST_NOT_ALLOWED", "This server does not answer to that host; see --allowed-host."
        )

    def _fault_of_origin(self, arrival: Arrival) -> Answer | None:
        if arrival.origins:
            if len(arrival.origins) == 1 and self._is_allowed(arrival.origins[0], arrival):
                return None
            return problem("FORBIDDEN", "Pages of that origin may not use this server.")
        if all(site in _OWN_SITES for site in arrival.fetch_sites) or _follows_a_link(arrival):
            return None
        return problem("FORBIDDEN", "Other sites may not send requests to this server.")

    def _is_allowed(self, origin: bytes, arrival: Arrival) -> bool:
        if origin == arrival.scheme + b"://" + arrival.hosts[0].lower():
            return True
        if self.policy.own_origin_only:
            return False
        return origin in self._origins or is_loopback_origin(origin)

    def _admit(self, arrival: Arrival, is_our_user: Callable[[], bool]) -> Answer | Caller:
        """Find out who it is, or what to answer where that has to be known and is not."""
        policy = self.policy
        if arrival.path in _NEED_NO_TOKEN:
            return NOBODY
        if not policy.auth_required:
            return LOCAL
        if not names_in_query(arrival.target).isdisjoint(TOKEN_PARAMETERS):
            return _unauthorized("A token in a URL ends up in logs; send it as a header.")
        shown = self._shown(arrival)
        if shown is not None:
            return shown
        if _may_be_local(arrival, policy) and is_our_user():
            return LOCAL
        return _unauthorized("This request needs a token: Authorization: Bearer <token>.")

    def _shown(self, arrival: Arrival) -> Answer | Caller | None:
        """Look at what a request shows for itself; None if it shows nothing."""
        keyring = self.policy.keyring
        if keyring.asks and (arrival.authorizations or arrival.api_keys):
            caller = keyring.find(_token_of(arrival))
            return caller or self._refuse(arrival, "The token is wrong.")
        ticket = _ticket_in(arrival)
        if ticket is None:
            return None
        caller = self._tickets.find(ticket, _source_of(arrival))
        return caller or self._refuse(arrival, "The ticket is wrong, used or too old.")

    def _refuse(self, arrival: Arrival, sentence: str) -> Answer:
        wait = self._failed.fail(party(arrival.peer))
        if not wait:
            return _unauthorized(sentence)
        headers = ((b"Retry-After", b"%d" % wait),)
        return problem("TOO_MANY_REQUESTS", "Too many wrong tokens.", headers=headers)


def _fault_of_headers(arrival: Arrival) -> Answer | None:
    if len(arrival.hosts) != 1:
        return problem("BAD_REQUEST", "A request needs exactly one Host header.", closes=True)
    if len(arrival.authorizations) > 1 or len(arrival.api_keys) > 1:
        return problem("BAD_REQUEST", "A request can have one token only.", closes=True)
    return None


def _follows_a_link(arrival: Arrival) -> bool:
    """Whether it may be a link to the page: that does nothing, is no secret, and fits no frame."""
    return arrival.path == b"/" and arrival.method in (b"GET", b"HEAD")


def _answer_to_preflight(arrival: Arrival) -> Answer:
    headers = _PREFLIGHT
    if arrival.wants_private_network:
        headers = (*headers, (b"Access-Control-Allow-Private-Network", b"true"))
    return Answer(204, headers=headers)


def _may_be_local(arrival: Arrival, policy: GatePolicy) -> bool:
    return (
        policy.local_without_token
        and not arrival.forwarded
        and is_within_machine(arrival.here, arrival.peer)
    )


def _token_of(arrival: Arrival) -> bytes:
    # Who sends Authorization means it, so a key beside it cannot mend a wrong one.
    if not arrival.authorizations:
        return arrival.api_keys[0]
    match = _BEARER.fullmatch(arrival.authorizations[0])
    return match[1] if match else b""


def _ticket_in(arrival: Arrival) -> str | None:
    if arrival.path != _TAKES_TICKETS or arrival.method != b"GET":
        return None
    return next((value for name, value in parameters_in(arrival.target) if name == TICKET), None)


def _source_of(arrival: Arrival) -> Source:
    origin = arrival.origins[0] if arrival.origins else None
    return Source(origin, arrival.scheme, arrival.hosts[0])


def _unauthorized(sentence: str) -> Answer:
    return problem("UNAUTHORIZED", sentence)
