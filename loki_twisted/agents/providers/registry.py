"""
All the kinds of agents, and the order in which a way to start one is looked for.

Of a provider that Loki Mode can run it is, first come, unless the request wants its own CLI:

1. the project's ``autonomy/run.sh``, for which the provider is an option;
2. today's Loki Mode, if its ``loki`` is installed; it says itself what it misses;
3. the provider's own CLI.

Any other provider is started its own way alone.

Providers of others are code of others. One that fails is as good as one that is not installed:
that is logged, and all the others go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IProvider, IProviders, Messaging
from loki_twisted.agents.interface import LOKI_MODE, LaunchPlan, LaunchRequest
from loki_twisted.agents.providers.command import check_command
from loki_twisted.agents.providers.loki_mode import maybe_run_script
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plain import PlainDriver
from loki_twisted.agents.providers.plugins import installed_providers
from loki_twisted.agents.providers.prompts import check_texts
from loki_twisted.model.errors import InvalidRequest, LokiError, ProviderNotAvailable
from loki_twisted.model.wire import ProviderDetail

_LOOK_SECONDS: Final = 5.0
"""For how long an answer of :meth:`Providers.available` is given again."""

_NOTHING: Final = Abilities()

_log: Final = Logger()


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
    _failed: set[str] = attrs.field(factory=set, init=False)

    def available(self) -> Mapping[str, bool]:
        """See :class:`IProviders`."""
        now = self.clock.seconds()
        if self._seen is None or not 0 <= now - self._seen[0] < _LOOK_SECONDS:
            found = {name: self._program(each) is not None for name, each in self.providers.items()}
            self._seen = now, found
        return self._seen[1]

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        """See :class:`IProviders`."""
        provider = self.providers.get(request.provider)
        if provider is None:
            fault = f"{request.provider!r} is none of {', '.join(self.providers)}"
            raise InvalidRequest.of([("provider", fault)])
        check_command(request, self.machine)
        check_texts(request)
        way = self._way(provider, request)
        _check_stay(request, way)
        try:
            return attrs.evolve(way.plan(request, self.machine), driven_by=way.name)
        except LokiError:
            raise
        except Exception as error:
            _log.failure("The provider {name} cannot say how it is started", name=request.provider)
            msg = f"The provider {request.provider!r} is broken; the server's log says why."
            raise ProviderNotAvailable(msg, {"provider": request.provider}) from error

    def abilities(self, provider: str) -> Abilities:
        """See :class:`IProviders`."""
        found = self.providers.get(provider)
        return _NOTHING if found is None else found.abilities

    def described(self) -> list[ProviderDetail]:
        """Tell of each provider whether it can be started now, and what it can do."""
        available = self.available()
        return [
            msgspec.convert(
                {
                    "name": name,
                    "available": available[name],
                    "abilities": {
                        "asks": each.abilities.asks,
                        "messaging": each.abilities.messaging.value,
                        "continues": each.abilities.continues,
                        "cost": each.abilities.cost,
                    },
                },
                ProviderDetail,
            )
            for name, each in self.providers.items()
        ]

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        """See :class:`IProviders`."""
        provider = self.providers.get(request.provider)
        if provider is None:
            return PlainDriver(memory)
        try:
            return provider.driver(request, memory)
        except Exception:  # noqa: BLE001 (a provider may be anybody's)
            _log.failure("The provider {name} cannot make a driver", name=provider.name)
            return PlainDriver(memory)

    def _program(self, provider: IProvider) -> str | None:
        """Ask a provider for its program. Whoever fails has none, and is told of once."""
        try:
            return provider.program(self.machine)
        except Exception:  # noqa: BLE001 (a provider may be anybody's)
            if provider.name not in self._failed:
                self._failed.add(provider.name)
                _log.failure("The provider {name} cannot find its program", name=provider.name)
            return None

    def _way(self, provider: IProvider, request: LaunchRequest) -> IProvider:
        """Say which provider starts it: its own, or Loki Mode."""
        loki = self.providers.get(LOKI_MODE)
        if loki is None or not provider.through_loki_mode or request.direct:
            return provider
        if maybe_run_script(request.loki_dir) is not None or self._program(loki) is not None:
            return loki
        return provider


def _check_stay(request: LaunchRequest, way: IProvider) -> None:
    """Refuse to keep an agent waiting for messages that it could never take."""
    if request.stays_open and way.abilities.messaging is Messaging.NEVER:
        fault = f"{request.provider} takes no messages, so there is nothing to stay for"
        raise InvalidRequest.of([("options.stayOpen", fault)])
