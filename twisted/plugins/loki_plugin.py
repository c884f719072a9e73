"""Tell ``twistd`` about the ``loki`` command without importing any of it."""

from twisted.application.service import ServiceMaker

loki = ServiceMaker(
    "Loki",
    "loki_twisted.tap",
    "Serve coding-agent sessions over HTTP and Server-Sent Events.",
    "loki",
)
