"""The route of the OpenAPI document."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from loki_twisted.web.openapi import document
from loki_twisted.web.operations import operation


class DocumentRoutes:
    """The route of the document that describes all routes."""

    @operation("GET", "/openapi.json", tag="document", answer=dict[str, Any])
    def get_document(self) -> msgspec.Raw:
        """Read this document."""
        return _encoded_document()


@functools.cache
def _encoded_document() -> msgspec.Raw:
    from loki_twisted.web.routes import every_operation  # it imports this module

    return msgspec.Raw(msgspec.json.encode(document(every_operation())))
