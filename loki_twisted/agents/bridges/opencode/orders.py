"""Orders: what we are told, and the requests that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Order = Mapping[str, Any]
Ways = Sequence[tuple[Sequence[str], Mapping[str, Any]]]


def body_of_prompt(order: Order) -> Mapping[str, Any]:
    """The body of a prompt."""
    body: dict[str, Any] = {"parts": [{"type": "text", "text": order.get("text")}]}
    if order.get("agent"):
        body["agent"] = order["agent"]
    provider, slash, model = str(order.get("model") or "").partition("/")
    if slash:
        body["model"] = {"providerID": provider, "modelID": model}
    return body


def ways_of_permission(order: Order) -> Ways:
    """The routes for an answer to a permission."""
    request, reply = str(order.get("request")), order.get("reply")
    said = {"message": order["message"]} if order.get("message") else {}
    return (
        (("permission", request, "reply"), {"reply": reply, **said}),
        (
            ("session", str(order.get("session")), "permissions", request),
            {"response": reply},
        ),
    )


def ways_of_question(order: Order) -> Ways:
    """The route for the answers to a question."""
    return ((("question", str(order.get("request")), "reply"), {"answers": order.get("answers")}),)


def ways_of_rejection(order: Order) -> Ways:
    """The route for a question that is not answered."""
    return ((("question", str(order.get("request")), "reject"), {}),)


WAYS: Mapping[str, Callable[[Order], Ways]] = {
    "permission": ways_of_permission,
    "question": ways_of_question,
    "reject": ways_of_rejection,
}
"""By the word of an order that may be given twice."""
