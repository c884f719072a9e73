"""Certificates of ``ssl:`` endpoints: taken up anew while a server works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.settings import InvalidSettings

if TYPE_CHECKING:
    from OpenSSL.SSL import Context

_log: Final = Logger()


@attrs.frozen
class _Terms:
    """With what an endpoint would listen."""

    port: int
    context_factory: Any
    backlog: int
    interface: str


class _Ear:
    """Stands where an endpoint has its reactor, and hears with what it would listen."""

    heard: _Terms

    def listenSSL(  # noqa: N802  # Twisted's name
        self,
        port: int,
        factory: object,  # noqa: ARG002  # it listens for nobody
        contextFactory: Any,  # noqa: N803  # Twisted's name
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        """Keep it."""
        # A pair that does not fit may be noticed only when a context is made of it.
        contextFactory.getContext()
        self.heard = _Terms(port, contextFactory, backlog, interface)


@implementer(IOpenSSLContextFactory)
class Certificate:
    """
    Gives each connection the certificate that is good when it begins.

    Files that become wrong, or go, change nothing but what is told of it: who has written half of
    them, or one of two, goes on with those that were there.

    :param description: Of an ``ssl:`` endpoint, for ``serverFromString``.
    :raises InvalidSettings: if its files cannot be used.
    """

    def __init__(self, description: str) -> None:
        self._description = description
        self._problem: str | None = None
        try:
            self._terms = _terms_of(description)
        except Exception as error:  # OpenSSL has many errors, files of a user too
            msg = f"The certificate of {description!r} cannot be used: {_reason(error)}"
            raise InvalidSettings(msg) from error

    def endpoint(self, reactor: Any) -> SSL4ServerEndpoint:
        """What listens with it."""
        terms = self._terms
        return SSL4ServerEndpoint(
            reactor, terms.port, self, backlog=terms.backlog, interface=terms.interface
        )

    def getContext(self) -> Context:  # noqa: N802  # Twisted's name
        """Say with what a connection that begins now is made."""
        context: Context = self._terms.context_factory.getContext()
        return context

    def reload(self) -> None:
        """Take up what its files hold now."""
        before = self._problem
        try:
            self._terms = _terms_of(self._description)
        except Exception as error:  # noqa: BLE001 (as above: whatever it is, it is told)
            self._problem = (
                f"The certificate of {self._description!r} is that of before: {_reason(error)}"
            )
            if self._problem != before:
                _log.error("{problem}", problem=self._problem)
        else:
            self._problem = None
            _log.info(
                "The certificate of {description} is as its files say now",
                description=self._description,
            )

    def retry(self) -> None:
        """See whether what could not be used can be by now."""
        if self._problem is not None:
            self.reload()

    def problem(self) -> str | None:
        """Why the certificate is not that of its files, in a sentence, or None."""
        return self._problem


def _terms_of(description: str) -> _Terms:
    ear = _Ear()
    # What is raised before it would listen is raised here; the rest is told by the Deferred.
    failures: list[Any] = []
    serverFromString(ear, description).listen(None).addErrback(failures.append)
    if failures:
        failures[0].raiseException()
    return ear.heard


def _reason(error: Exception) -> str:
    """Say in a sentence why files are no certificate and key of each other."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}."
    said = " ".join(str(error).split()) or type(error).__name__
    return f"its files are no certificate and key that belong together ({said})."
