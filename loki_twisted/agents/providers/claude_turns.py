"""
The turns of Claude Code: how they begin and end, what they cost, and what hinders them.

A ``result`` ends a turn and not the process. That ends when its input does, which is when it has
done with all that it was told, nobody is to be waited for, and nothing goes on in the background:
it would break that off, and it begins a turn by itself when something of that has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from loki_twisted.agents.outputs import (
    EndInput,
    Freed,
    Hindered,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
)
from loki_twisted.agents.providers.claude_memory import Draft, Limit, Standing
from loki_twisted.agents.providers.claude_reading import Line, is_name
from loki_twisted.agents.providers.claude_writing import prompt_line, uuid_of
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import (
    count_of,
    number_of,
    object_of,
    objects_of,
    text_of,
    texts_of,
)
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.telling import MAIN, log, name, spawned, text
from loki_twisted.model.spending import NOTHING, CostOrigin, Spending

_GO_ON: Final = "The limit has passed. Go on where you left off."
_MOST_REASON: Final = 2000
"""Bytes of the reason of a failure."""

_MOST_REPLIES: Final = 16
_ENDS_OF_LIMITS_IN_MS: Final = 10**11
"""A time from here on is in milliseconds, below it in seconds; both are times of our age."""

_FAILURES: Final[Mapping[str, str]] = {
    "error_during_execution": "Something went wrong while it worked.",
    "error_max_turns": "It reached its limit of turns.",
    "error_max_budget_usd": "It reached its own limit of cost.",
    "error_max_structured_output_retries": "It did not give its output the shape that is wanted.",
}


def be_told(draft: Draft, model: str = "") -> None:
    """Tell once that the agent runs."""
    if not draft.memory.is_told:
        draft.change(is_told=True)
        draft.say(spawned(MAIN, CLAUDE, model=model or None))


def be_at_work(draft: Draft) -> None:
    """It does something that no agent without a turn does."""
    be_told(draft)
    if draft.memory.standing is not Standing.WORKING:
        draft.change(standing=Standing.WORKING, error="")
        draft.say(TurnBegan())


def be_free(draft: Draft) -> None:
    """It has got an answer of its model."""
    if draft.memory.is_retrying or draft.memory.limit is not None:
        draft.change(is_retrying=False, limit=None)
        draft.say(Freed())


def take_uuid(draft: Draft, uuid: str) -> None:
    """It has begun with what we sent under an id."""
    for message_id in draft.memory.sent:
        if uuid_of(message_id) == uuid:
            draft.change(sent=tuple(each for each in draft.memory.sent if each != message_id))
            draft.say(Taken(message_id))
            return


def count_reply(draft: Draft, message: Line) -> None:
    """Count the answers of its model, each of which comes in several lines."""
    known, reply_id = draft.memory.replies, text_of(message, "id")
    if reply_id and reply_id not in known:
        kept = (*known, reply_id) if is_name(reply_id) else known
        made = draft.memory.calls_made + 1
        model = name(text_of(message, "model"))
        draft.change(replies=kept[-_MOST_REPLIES:], calls_made=made, model=model)


# The end of a turn


def take_result(draft: Draft, line: Line) -> None:
    """A turn has ended."""
    for uuid in (text_of(line, "user_message_uuid"), *texts_of(line, "user_message_uuids")):
        take_uuid(draft, uuid)
    subtype = text_of(line, "subtype")
    is_error = line.get("is_error") is True or subtype.startswith("error")
    _take_spending(draft, line)
    if not is_error and line.get("num_turns") == 0 and _is_starting(draft):
        # It clears up what an earlier run left; what we told it is still to come.
        return
    be_told(draft)
    _tell_denials(draft, line)
    if is_error:
        _end_badly(draft, line, subtype)
    else:
        be_free(draft)
        _end(draft, Verdict.DONE, None)
    if draft.memory.standing is Standing.IDLE:
        is_queued = count_of(line, "queued_turn_count") > 0
        if draft.memory.sent or is_queued:
            draft.change(standing=Standing.STARTING)


def _is_starting(draft: Draft) -> bool:
    return draft.memory.standing is Standing.STARTING


def end_if_done(draft: Draft) -> None:
    """
    End its input, if there is nothing more to do.

    To be called when nothing has come for a while. Directly behind a turn people may have more
    for it, and it may begin one by itself, in which it may ask something.
    """
    memory = draft.memory
    is_busy = memory.tasks or memory.requests or memory.sent
    if memory.standing is Standing.IDLE and not (memory.input_ended or draft.stays_open or is_busy):
        draft.change(input_ended=True)
        draft.say(EndInput())


def _end_badly(draft: Draft, line: Line, subtype: str) -> None:
    words = _words_of_failure(draft, line, subtype)
    is_aborted = text_of(line, "terminal_reason").startswith("aborted")
    if draft.memory.interrupts or is_aborted:
        _end(draft, Verdict.INTERRUPTED, "It was interrupted.", Standing.HELD)
        return
    draft.say(log("error", words, CLAUDE))
    limit = draft.memory.limit
    if limit is None or limit.until_ms is None or draft.memory.input_ended:
        _end(draft, Verdict.FAILED, words)
    else:
        _end(draft, Verdict.FAILED, words, Standing.LIMITED)
        # Last: it is what holds the session up from here on.
        draft.say(Hindered(Trouble.RATE_LIMITED, limit.words, limit.until_ms))


def _end(
    draft: Draft, verdict: Verdict, words: str | None, standing: Standing = Standing.IDLE
) -> None:
    if draft.memory.is_retrying:
        draft.say(Freed())
    draft.change(standing=standing, verdict=verdict, interrupts=False, is_retrying=False)
    draft.say(TurnEnded(verdict, words))


def _words_of_failure(draft: Draft, line: Line, subtype: str) -> str:
    said = [*texts_of(line, "errors"), text_of(line, "result")]
    words = next((each for each in said if each.strip()), "")
    words = words or _FAILURES.get(subtype, "It says that it failed, and not why.")
    error = draft.memory.error
    return cut(text(words.strip()) + (f" ({error})" if error else ""), _MOST_REASON)


def _tell_denials(draft: Draft, line: Line) -> None:
    denials = objects_of(line, "permission_denials")
    tools = Counter(name(text_of(each, "tool_name")) for each in denials)
    if tools:
        words = ", ".join(
            tool if count == 1 else f"{tool} ({count} times)" for tool, count in tools.items()
        )
        draft.say(log("warn", f"Was not allowed: {words}", CLAUDE))


# What it costs


def _take_spending(draft: Draft, line: Line) -> None:
    """
    Say the totals of the conversation by model, which go on from run to run.

    After a crash they may all be 0. That is no total. Where there are none, the tokens are those
    of the turn, while the cost is a total all the same.
    """
    counter = f"{CLAUDE}:{draft.memory.conversation}"
    models = object_of(line, "modelUsage")
    calls, last = draft.memory.calls_made, draft.memory.model
    if calls:
        # Here it may have a variant behind its name.
        model = next((name(each) for each in models if each.startswith(last)), last) or None
        draft.change(calls_made=0)
        draft.say(Spent(Spending(api_calls=calls), CostOrigin.REPORTED, model=model))
    for model, used in models.items():
        amount = _amount(used) if isinstance(used, dict) else NOTHING
        if amount != NOTHING:
            known = name(model)
            draft.say(Spent(amount, CostOrigin.REPORTED, f"{counter}:{known}", known))
    if not models:
        tokens = _of_turn(object_of(line, "usage"))
        if tokens != NOTHING:
            draft.say(Spent(tokens, CostOrigin.REPORTED))
        cost = Spending(cost=float(number_of(line, "total_cost_usd")))
        if cost != NOTHING:
            draft.say(Spent(cost, CostOrigin.REPORTED, counter))


def _of_turn(usage: Line) -> Spending:
    return Spending(
        input_tokens=count_of(usage, "input_tokens"),
        output_tokens=count_of(usage, "output_tokens"),
        cache_read_tokens=count_of(usage, "cache_read_input_tokens"),
        cache_write_tokens=count_of(usage, "cache_creation_input_tokens"),
    )


def _amount(used: Line) -> Spending:
    return Spending(
        input_tokens=count_of(used, "inputTokens"),
        output_tokens=count_of(used, "outputTokens"),
        cache_read_tokens=count_of(used, "cacheReadInputTokens"),
        cache_write_tokens=count_of(used, "cacheCreationInputTokens"),
        reasoning_tokens=count_of(used, "thinkingTokens"),
        cost=float(number_of(used, "costUSD")),
    )


# What hinders it


def take_rate_limit(draft: Draft, line: Line) -> None:
    """Its provider says how much of a limit is used, or that it is used up."""
    info = object_of(line, "rate_limit_info")
    status, kind = text_of(info, "status"), name(text_of(info, "rateLimitType")).replace("_", " ")
    if status == "rejected" and not _goes_on_anyway(info):
        until_ms = _end_of_limit(info)
        if until_ms == draft.memory.waited_until:
            until_ms = None  # It was waited for, and was not the end.
        limit = Limit(f"Its provider's limit{kind and f' ({kind})'} is used up.", until_ms)
        draft.change(limit=limit)
        draft.say(Hindered(Trouble.RATE_LIMITED, limit.words, until_ms))
    elif draft.memory.standing is Standing.LIMITED:
        go_on(draft)
    elif draft.memory.limit is not None:
        be_free(draft)
    elif status == "allowed_warning":
        used = number_of(info, "utilization")
        share = f"{used:.0%}" if 0 < used <= 1 else "most"
        words = f"Of its provider's limit{kind and f' ({kind})'} {share} is used."
        draft.say(log("warn", words, CLAUDE))


def _goes_on_anyway(info: Line) -> bool:
    return info.get("isUsingOverage") is True or info.get("overageInUse") is True


def _end_of_limit(info: Line) -> int | None:
    said = number_of(info, "resetsAt")
    if said <= 0:
        return None
    return int(said if said >= _ENDS_OF_LIMITS_IN_MS else said * 1000)


def take_retry(draft: Draft, line: Line) -> None:
    """It tries again to reach its model."""
    error = name(text_of(line, "error") or "no answer").replace("_", " ")
    status = count_of(line, "error_status")
    attempt, most = count_of(line, "attempt"), count_of(line, "max_retries")
    seconds = number_of(line, "retry_delay_ms") / 1000
    words = f"{error}{f' ({status})' if status else ''}: attempt {attempt} of {most}"
    draft.change(is_retrying=True)
    draft.say(Hindered(Trouble.RETRYING, f"{words}, again in {seconds:.0f} s."))


def go_on(draft: Draft) -> None:
    """
    The end of a limit has come.

    In the middle of a turn it is not told: it may still say that it has run into the limit, and is
    told then.
    """
    limit = draft.memory.limit
    if limit is None:
        return
    draft.say(Freed())
    if draft.memory.standing is Standing.LIMITED:
        draft.change(standing=Standing.STARTING, limit=None, waited_until=limit.until_ms)
        draft.say(prompt_line(_GO_ON))
