"""
All the kinds of agents, and the order in which a way to start one is looked for.

Of a provider that Loki Mode can run it is, first come, unless the request wants its own CLI:

1. the project's ``autonomy/run.sh``, for which the provider is an option;
2. today's Loki Mode, if its ``loki`` is installed; it says itself what it misses;
3. the provider's own CLI.

Any other provider is started its own way alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface import implementer

from loki_twisted.agents.interface import (
    LOKI_MODE,
    Abilities,
    IDriver,
    IProvider,
    IProviders,
    LaunchPlan,
    LaunchRequest,
)
from loki_twisted.agents.providers.loki_mode import maybe_run_script
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.prompts import check_texts
from loki_twisted.model.errors import InvalidRequest

_LOOK_SECONDS: Final = 5.0
"""For how long an answer of :meth:`Providers.available` is given again."""

_NOTHING: Final = Abilities()

_log = Logger()


def installed_providers() -> Mapping[str, IProvider]:
    """
    Find all providers, ours and those of others, by their names.

    A plugin that cannot be imported is logged by Twisted, and is not there.
    """
    return by_name(getPlugins(IProvider))


def by_name(found: Iterable[IProvider]) -> Mapping[str, IProvider]:
    """Sort providers by their names; of two of a name the first stays."""
    providers: dict[str, IProvider] = {}
    for each in sorted(found, key=lambda one: not type(one).__module__.startswith("loki_twisted.")):
        if each.name in providers:
            _log.warn("{other} is left out: there is another {name}", name=each.name, other=each)
        providers.setdefault(each.name, each)
    return providers


@implementer(IProviders)
@attrs.define(eq=False)
class Providers:
    """
    The providers of this machine.

    :ivar machine: What agents are started on.
    :ivar clock: Says how old an answer of :meth:`available` is.
    :ivar providers: By name.
    """

    machine: Machine
    clock: IReactorTime
    providers: Mapping[str, IProvider] = attrs.field(factory=installed_providers)
    _seen: tuple[float, Mapping[str, bool]] | None = attrs.field(default=None, init=False)

    def available(self) -> Mapping[str, bool]:
        """See :class:`IProviders`."""
        now = self.clock.seconds()
        if self._seen is None or not 0 <= now - self._seen[0] < _LOOK_SECONDS:
            found = {
                name: each.program(self.machine) is not None
                for name, each in self.providers.items()
            }
            self._seen = now, found
        return self._seen[1]

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        """See :class:`IProviders`."""
        provider = self.providers.get(request.provider)
        if provider is None:
            fault = f"{request.provider!r} is none of {', '.join(self.providers)}"
            raise InvalidRequest.of([("provider", fault)])
        check_texts(request)
        way = self._way(provider, request)
        return attrs.evolve(way.plan(request, self.machine), driven_by=way.name)

    def abilities(self, provider: str) -> Abilities:
        """See :class:`IProviders`."""
        found = self.providers.get(provider)
        return _NOTHING if found is None else found.abilities

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProviders`."""
        provider = self.providers.get(request.provider)
        return PlainDriver(memory) if provider is None else provider.driver(request, memory)

    def _way(self, provider: IProvider, request: LaunchRequest) -> IProvider:
        """Say which provider starts it: its own, or Loki Mode."""
        loki = self.providers.get(LOKI_MODE)
        if loki is None or not provider.through_loki_mode or request.direct:
            return provider
        if maybe_run_script(request.loki_dir) is not None or loki.program(self.machine) is not None:
            return loki
        return provider
