"""The route of the figures for Prometheus."""

from __future__ import annotations

from typing import Final

from loki_twisted.web.answers import Answer
from loki_twisted.web.operations import operation
from loki_twisted.web.vitals import IVitals

MEDIA_TYPE: Final = "text/plain"
_CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class MetricsRoutes:
    """The route that a Prometheus server asks."""

    def __init__(self, vitals: IVitals) -> None:
        self._vitals = vitals

    @operation("GET", "/metrics", tag="health", media_type=MEDIA_TYPE)
    def get_metrics(self) -> Answer:
        """Tell the figures of this moment, for Prometheus."""
        return Answer(200, self._vitals.metrics(), ((b"Content-Type", _CONTENT_TYPE),))
