"""
Finding providers: ours and those of others, as Twisted plugins.

A plugin that cannot be imported is logged by Twisted and is not there; one that is no provider
after all, or has a name that no request can say, is left out here. No plugin of others takes the
place of one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from twisted.logger import Logger
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import Abilities, IProvider

_OURS: Final = "twisted.plugins.loki_providers"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""As the field ``provider`` of a request has it."""

_log: Final = Logger()


def installed_providers() -> Mapping[str, IProvider]:
    """
    Find all providers by their names, ours first.

    Twisted imports the plugins of others only where it has not noted yet that they hold none.
    """
    ours = [each for each in vars(namedAny(_OURS)).values() if IProvider.providedBy(each)]
    return by_name([*ours, *getPlugins(IProvider)])


def by_name(found: Iterable[IProvider]) -> Mapping[str, IProvider]:
    """Sort providers by their names; of two of a name the first stays."""
    providers: dict[str, IProvider] = {}
    for each in found:
        fault = _fault_of(each)
        if fault is not None:
            _log.error("The provider {other} is left out: {fault}", other=each, fault=fault)
        elif providers.setdefault(each.name, each) is not each:
            _log.warn("{other} is left out: there is another {name}", other=each, name=each.name)
    return providers


def _fault_of(provider: IProvider) -> str | None:
    """Say why something is no provider, although it says that it is one; None if it is."""
    try:
        verifyObject(IProvider, provider)
        if _NAME.fullmatch(provider.name) is None:
            return f"its name is {provider.name!r}"
        if not isinstance(provider.abilities, Abilities):
            return f"its abilities are {provider.abilities!r}"
    except Exception as error:  # noqa: BLE001 (whatever code of others may do)
        return str(error)
    return None
