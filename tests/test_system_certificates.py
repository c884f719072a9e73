"""Certificates that are replaced while a server works: on real sockets, by signal and by call."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from loki_twisted.certificates import Certificate
from loki_twisted.service import Service
from loki_twisted.settings import InvalidSettings, Settings
from tests.system import TIMEOUT
from tests.test_system_manager import TWISTD, Program
from tests.test_web_event_stream_sockets import over_tls, own_pem

SERVE = ("-m", "loki_twisted", "serve")


class Files:
    """A key and its certificate, in two files."""

    def __init__(self, directory: Path) -> None:
        self.key = directory / "key.pem"
        self.certificate = directory / "crt.pem"

    def endpoint(self) -> str:
        """What to listen on with them."""
        files = f"privateKey={self.key}:certKey={self.certificate}"
        return f"ssl:0:interface=127.0.0.1:{files}"

    def write(self, key: bytes, certificate: bytes) -> bytes:
        """Have them anew; gives what a client sees of the certificate."""
        self.key.write_bytes(key)
        self.certificate.write_bytes(certificate)
        return ssl.PEM_cert_to_DER_cert(certificate.decode())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Where the key and the certificate are to be."""
    return Files(tmp_path)


def connect(port: int) -> ssl.SSLSocket:
    """A client that takes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    below = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    return context.wrap_socket(below)


def shown(port: int) -> bytes | None:
    """The certificate that a new client is shown."""
    with connect(port) as client:
        return client.getpeercert(binary_form=True)


def health(client: ssl.SSLSocket) -> dict[str, object]:
    """What the server says of itself on a connection, which stays."""
    client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(client)
    answer.begin()
    found: dict[str, object] = json.loads(answer.read())
    return found


def replace(path: Path, make: Callable[[Path], object]) -> None:
    """Have something else in the place of a file."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    make(path)


def add_part_of_certificate(number: int, files: Files) -> None:
    """Have another certificate behind that of the server, as far as it is written."""
    another = own_pem()[1].rstrip()
    files.certificate.write_bytes(files.certificate.read_bytes() + another[:number])


def with_passphrase(pem: bytes) -> bytes:
    """The same key, of which nobody knows the passphrase."""
    return serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def chain_of_three() -> list[tuple[bytes, bytes]]:
    """A root, what it has signed, and a server's that this has signed: keys and certificates."""
    made: list[tuple[bytes, bytes]] = []
    now = datetime.datetime.now(datetime.UTC)
    signer, issuer = None, None
    for number, name in enumerate(("root", "middle", "localhost"), 1):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer, issuer = signer or key, issuer or subject
        identifier = x509.SubjectKeyIdentifier.from_public_key
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), number)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(number < 3, None), critical=True)
            .add_extension(identifier(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .add_extension(signs_certificates(number < 3), critical=True)
            .sign(signer, hashes.SHA256())
        )
        signer, issuer = key, subject
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        made.append((pem, certificate.public_bytes(serialization.Encoding.PEM)))
    return made


def signs_certificates(whether: bool) -> x509.KeyUsage:
    """What a key may be used for."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=whether,
        crl_sign=whether,
        encipher_only=False,
        decipher_only=False,
    )


def shake_hands(server: SSL.Connection, trusting: ssl.SSLContext) -> None:
    """Have a client that checks certificates begin with a server, in memory; fails if it cannot."""
    inwards, outwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(inwards, outwards, server_hostname="localhost")
    server.set_accept_state()
    for _ in range(10):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            return
        server.bio_write(outwards.read())
        with suppress(SSL.WantReadError):
            server.do_handshake()
        inwards.write(server.bio_read(2**16))
    raise AssertionError("they never came to an end")


def healthy(client: ssl.SSLSocket, expected: Callable[[dict[str, object]], bool]) -> None:
    """Wait until the server says that of itself."""
    deadline = time.monotonic() + TIMEOUT
    while not expected(health(client)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=[SERVE, TWISTD], ids=["serve", "twistd"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, files: Files
) -> Iterator[tuple[Program, int]]:
    """A server with a certificate, and its port."""
    files.write(*own_pem())
    program = Program(tmp_path, *request.param, "--listen", files.endpoint())
    try:
        program.says("Listening on https://127.0.0.1:")
        found = re.search(r"https://127\.0\.0\.1:(\d+)", program.said.read_text())
        assert found is not None
        yield program, int(found[1])
    finally:
        program.process.kill()
        program.process.wait()


@pytest.mark.threat("T35")
def test_a_hangup_takes_up_a_new_certificate(server: tuple[Program, int], files: Files) -> None:
    """After SIGHUP who connects sees the new one; who was there goes on; broken files keep it."""
    program, port = server
    with connect(port) as old:
        first = old.getpeercert(binary_form=True)
        second = files.write(*own_pem())
        assert shown(port) == first != second
        program.process.send_signal(signal.SIGHUP)
        program.says("is as its files say now")
        assert shown(port) == second
        assert health(old)["status"] != "unhealthy"

        files.certificate.write_bytes(files.certificate.read_bytes()[:200])
        program.process.send_signal(signal.SIGHUP)
        program.says("is that of before")
        assert shown(port) == second
        healthy(old, lambda told: "is that of before" in str(told["problems"]))
        assert program.said.read_text().count("is that of before") == 1

        third = files.write(*own_pem())
        healthy(old, lambda told: "is that of before" not in str(told["problems"]))
        assert shown(port) == third


@over_tls
@pytest_twisted.ensureDeferred
async def test_an_embedding_program_reloads_by_a_call(tmp_path: Path, files: Files) -> None:
    """``Service.reload`` does for a program that embeds it what the signal does elsewhere."""
    files.write(*own_pem())
    settings = Settings(loki_dir=str(tmp_path), listen=(files.endpoint(),))
    service = Service(settings, reactor)
    service.startService()
    try:
        (address,) = await service.ready
        port = int(address.rpartition(":")[2])
        first = await deferToThread(shown, port)
        second = files.write(*own_pem())
        assert first != second
        service.reload()
        assert await deferToThread(shown, port) == second
        files.key.unlink()
        service.reload()
        assert await deferToThread(shown, port) == second
        (problem,) = (each for each in service.vitals.problems() if "certificate" in each)
        assert str(files.key) in problem
    finally:
        await service.stopService()


@over_tls
@pytest.mark.parametrize(
    "spoil",
    [
        lambda files: files.key.unlink(),
        lambda files: files.certificate.write_bytes(b""),
        lambda files: files.certificate.write_bytes(own_pem()[1]),
        lambda files: files.key.write_bytes(b"\x00\xff" * 50),
        lambda files: files.key.write_bytes(files.key.read_bytes()[:100]),
        lambda files: replace(files.certificate, lambda path: path.mkdir()),
        lambda files: replace(files.certificate, os.mkfifo),
        lambda files: replace(files.key, os.mkfifo),
        lambda files: replace(files.certificate, lambda path: path.symlink_to("/dev/zero")),
        lambda files: os.truncate(files.certificate, 2**30),
        *(partial(add_part_of_certificate, number) for number in (1, 6, 20, 28, 300, -2)),
        lambda files: files.key.write_bytes(with_passphrase(files.key.read_bytes())),
        lambda files: files.key.write_bytes(
            with_passphrase(files.key.read_bytes()).replace(b"ENCRYPTED ", b"")
        ),
    ],
    ids=[
        *("gone", "empty", "of another key", "not text", "half", "a directory"),
        *("a pipe", "a key that is a pipe", "without an end", "too large"),
        *(f"its chain is cut off at {number}" for number in (1, 6, 20, 28, 300, -2)),
        *("with a passphrase", "with one in secret"),
    ],
)
def test_files_that_do_not_fit_are_told(files: Files, spoil: Callable[[Files], object]) -> None:
    """At a start they are refused; later those of before stay, until they are mended."""
    good = own_pem()
    files.write(*good)
    certificate = Certificate(files.endpoint())
    context = certificate.getContext()
    spoil(files)
    with pytest.raises(InvalidSettings, match="cannot be used"):
        Certificate(files.endpoint())
    certificate.retry()
    assert certificate.problem() is None
    certificate.reload()
    assert certificate.getContext() is context
    assert certificate.problem() is not None
    assert "\n" not in str(certificate.problem())
    for path in (files.key, files.certificate):
        replace(path, lambda _: None)
    files.write(*good)
    certificate.retry()
    assert certificate.problem() is None
    assert certificate.getContext() is not context


@over_tls
@pytest.mark.parametrize("names", [("both",), ("leaf", "middle")], ids=["in one", "in two"])
def test_clients_are_shown_the_chain(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Who knows the root alone trusts a certificate whose chain is in its file, or in another."""
    root, middle, leaf = chain_of_three()
    key = tmp_path / "key"
    key.write_bytes(leaf[0])
    (tmp_path / "leaf").write_bytes(leaf[1])
    (tmp_path / "middle").write_bytes(middle[1])
    (tmp_path / "both").write_bytes(leaf[1] + middle[1])
    options = (f"{tmp_path / name}" for name in names)
    named = zip(("certKey", "extraCertChain"), options, strict=False)
    files = ":".join(f"{name}={path}" for name, path in named)
    context = Certificate(f"ssl:0:privateKey={key}:{files}").getContext()
    trusting = ssl.create_default_context(cadata=root[1].decode())
    shake_hands(SSL.Connection(context, None), trusting)


@over_tls
def test_a_chain_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    """A file of its own for the chain is taken up when its last certificate is all there."""
    root, middle, leaf = chain_of_three()
    for name, content in (("key", leaf[0]), ("leaf", leaf[1]), ("chain", middle[1])):
        (tmp_path / name).write_bytes(content)
    names = f"privateKey={tmp_path}/key:certKey={tmp_path}/leaf:extraCertChain={tmp_path}/chain"
    certificate = Certificate(f"ssl:0:{names}")
    context = certificate.getContext()
    both = middle[1] + root[1]
    (tmp_path / "chain").write_bytes(both[:-40])
    certificate.reload()
    assert f"{tmp_path}/chain ends in the midst" in str(certificate.problem())
    certificate.retry()
    assert certificate.getContext() is context
    (tmp_path / "chain").write_bytes(both.rstrip())
    certificate.retry()
    assert certificate.problem() is None
    assert certificate.getContext() is not context


@over_tls
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_may_stand_beside_certificates(files: Files, end: str) -> None:
    """Words before, between and behind them make no file one that is cut off."""
    key, certificate = (each.decode().strip() for each in own_pem())
    words = f"- ours\n{certificate}\n--- theirs -----\n{key}\n-- the end --\n"
    files.certificate.write_text(words, newline=end)
    files.key.write_text(f"{words}\n\n", newline=end)
    assert Certificate(files.endpoint()).problem() is None


def test_a_server_without_its_certificate_says_so_in_a_line(tmp_path: Path, files: Files) -> None:
    """A file that is not there ends the start with 2, and a line that names it."""
    done = subprocess.run(
        [sys.executable, *SERVE, "--listen", files.endpoint()],
        env={"LOKI_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(files.certificate) in line
