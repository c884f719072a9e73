"""Start, steer and watch coding agents over HTTP and Server-Sent Events."""

__version__ = "0.1.0"
