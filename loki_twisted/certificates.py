"""
Certificates of ``ssl:`` endpoints: taken up anew while a server works.

Their files are looked at before Twisted reads them: it would wait for whoever writes into a pipe,
read for ever what has no end, and have a passphrase asked for on the terminal.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final

import attrs
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.endpoints import ssl_files
from loki_twisted.settings import InvalidSettings

if TYPE_CHECKING:
    from OpenSSL.SSL import Context

_MOST_FILE_BYTES: Final = 1024 * 1024
"""Of one file. A chain of certificates has some thousands."""

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)

_MARK: Final = re.compile(rb"-----(BEGIN|END) (.+?)-----")
_BEGIN: Final = b"-----BEGIN "

_log: Final = Logger()


class _Unusable(Exception):
    """A file cannot be one of a certificate, for the reason that is the message."""


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
    files = {name: _content_of(path) for name, path in ssl_files(description).items()}
    _refuse_passphrase(files["certKey"] + b"\n" + files["privateKey"])
    ear = _Ear()
    # What is raised before it would listen is raised here; the rest is told by the Deferred.
    failures: list[Any] = []
    serverFromString(ear, description).listen(None).addErrback(failures.append)
    if failures:
        failures[0].raiseException()
    if "extraCertChain" not in files:
        # Twisted takes the first certificate of a file, and clients want those behind it too.
        ear.heard.context_factory.extraCertChain = _chain_behind_first(files["certKey"])
    # A pair that does not fit may be noticed only when a context is made of it.
    ear.heard.context_factory.getContext()
    return ear.heard


def _content_of(path: str) -> bytes:
    """Read a file, and wait for nobody."""
    with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            msg = f"{path} is no file"
            raise _Unusable(msg)
        content = file.read(_MOST_FILE_BYTES + 1)
    if len(content) > _MOST_FILE_BYTES:
        msg = f"{path} has more than {_MOST_FILE_BYTES} bytes"
        raise _Unusable(msg)
    if b"ENCRYPTED" in content:  # so PEM says it, of whatever is
        msg = f"{path} has a passphrase, and nobody can be asked for it"
        raise _Unusable(msg)
    if _is_cut_off(content):
        msg = f"{path} ends in the midst of what stands in it"
        raise _Unusable(msg)
    return content


def _is_cut_off(content: bytes) -> bool:
    """
    Say whether PEM ends in the midst of a block: whoever writes it has not written all of it yet.

    Who reads certificates passes over such a block, and would show clients a chain without it.
    """
    marks = _MARK.findall(content)
    for (begin, what), end in zip(marks[::2], [*marks[1::2], None], strict=False):
        if begin != b"BEGIN" or end != (b"END", what):
            return True
    last = content.rstrip().rpartition(b"\n")[2]
    return last != b"" and (_BEGIN.startswith(last) or last.startswith(_BEGIN))


def _refuse_passphrase(content: bytes) -> None:
    """See that a key can be read without one, also where it does not say that it has one."""
    from OpenSSL import crypto

    def refuse(*_: object) -> bytes:
        msg = "the key has a passphrase, and nobody can be asked for it"
        raise _Unusable(msg)

    crypto.load_privatekey(crypto.FILETYPE_PEM, content, refuse)


def _chain_behind_first(content: bytes) -> list[Any]:
    from twisted.internet.ssl import Certificate as Pem

    return [Pem.loadPEM(found).original for found in _CERTIFICATE.findall(content)[1:]]


def _reason(error: Exception) -> str:
    """Say in a sentence why files are no certificate and key of each other."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}."
    if isinstance(error, _Unusable):
        return f"{error}."
    said = " ".join(str(error).split()) or type(error).__name__
    return f"its files are no certificate and key that belong together ({said})."
