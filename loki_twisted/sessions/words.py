"""The events that the session service itself says of a talk with an agent."""

from __future__ import annotations

from loki_twisted.model.budget import Alarm
from loki_twisted.model.events import Fact
from loki_twisted.model.messages import Message, MessageStatus
from loki_twisted.model.spending import Spending


def of_alarm(alarm: Alarm) -> Fact:
    """That a limit is near, or reached."""
    return Fact("log:warn", {"level": "warn", "message": alarm.words, "source": "limits"})


def of_message(word: str, message: Message) -> Fact:
    """That a message is queued, delivered or dropped; its text is told once."""
    data = {"messageId": message.id, "delivery": str(message.delivery)}
    if message.status is MessageStatus.QUEUED:
        data["text"] = message.text
    if message.reason is not None:
        data["reason"] = message.reason
    return Fact(f"message:{word}", data)


def of_spending(total: Spending, origin: str) -> Fact:
    """What was spent so far."""
    return Fact(
        "metrics:update",
        {
            "tokensUsed": total.tokens,
            "apiCalls": total.api_calls,
            "cost": round(total.cost, 9),
            "costOrigin": origin,
            "inputTokens": total.input_tokens,
            "outputTokens": total.output_tokens,
            "cacheReadTokens": total.cache_read_tokens,
            "cacheWriteTokens": total.cache_write_tokens,
            "reasoningTokens": total.reasoning_tokens,
        },
    )
