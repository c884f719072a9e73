"""
What lets a shell complete the words of ``lokictl``: scripts that are made of the table of verbs.

Verbs and options stand in the script, so that completing them asks nobody. Names of sessions and
questions are asked for when they are wanted, by ``lokictl`` itself, of the server that the
line names so far. What that says is never evaluated by the shell.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Final

from loki_twisted.command.completion_scripts import BASH, COMMON, FISH_HEAD, ZSH
from loki_twisted.command.exits import Exit
from loki_twisted.command.verbs import SERVER, VERBS
from loki_twisted.command.words import Argument, Holds

_HELP: Final = ("--help", "-h")


def completion(given: argparse.Namespace) -> int:
    """Print the script for a shell."""
    script = script_for(given.shell)
    print(json.dumps({"shell": given.shell, "script": script}) if given.json else script)
    return Exit.DONE


def script_for(shell: str) -> str:
    """
    Make the script for a shell.

    :param shell: ``bash``, ``zsh`` or ``fish``.
    """
    if shell == "fish":
        head = FISH_HEAD.substitute(valued=" ".join(_names_with_values()))
        return "\n".join([head, *_fish_lines()])
    common = COMMON.substitute(
        verbs=" ".join(VERBS),
        positionals="\n".join(_positional_cases()),
        values="\n".join(_value_cases()),
        options="\n".join(_option_cases()),
    )
    return (BASH if shell == "bash" else ZSH).substitute(common=common)


# bash and zsh


def _option_cases() -> Iterator[str]:
    yield _case("-", [*_names(SERVER), "--version", *_HELP])
    for name, verb in VERBS.items():
        yield _case(name, [*_names(verb.arguments), *_HELP])


def _value_cases() -> Iterator[str]:
    for name, arguments in [("-", SERVER), *((n, v.arguments) for n, v in VERBS.items())]:
        for argument in arguments:
            if argument.is_option and not argument.is_flag:
                patterns = "|".join(f"{name}:{each}" for each in argument.names)
                yield _case(patterns, _candidates(argument))


def _positional_cases() -> Iterator[str]:
    for name, verb in VERBS.items():
        positionals = [each for each in verb.arguments if not each.is_option]
        for number, argument in enumerate(positionals):
            place = "*" if argument.many in {"+", "*"} else str(number)
            if candidates := _candidates(argument):
                yield _case(f"{name}:{place}", candidates)


def _case(pattern: str, words: Sequence[str]) -> str:
    return f'        {pattern}) echo "{" ".join(words)}" ;;'


def _names(arguments: Sequence[Argument]) -> list[str]:
    return [name for argument in arguments if argument.is_option for name in argument.names]


def _candidates(argument: Argument) -> list[str]:
    """Give what an argument may be: words (or a list of some), or what kind of thing it is."""
    if argument.listed:
        return ["@list", *argument.listed]
    words = [*argument.choices, *argument.suggested]
    return words or ([] if argument.holds is Holds.WORDS else [f"@{argument.holds.value}"])


# fish


def _fish_lines() -> Iterator[str]:
    yield from (_fish_option("__lokictl_at -", each) for each in SERVER)
    for name, verb in VERBS.items():
        yield f"complete -c lokictl -n '__lokictl_at -' -a {name} -d {_quoted(verb.help)}"
        positionals = [each for each in verb.arguments if not each.is_option]
        for argument in verb.arguments:
            if argument.is_option:
                yield _fish_option(f"__lokictl_at {name}", argument)
            elif values := _fish_values(argument):
                number = "" if argument.many in {"+", "*"} else f" {positionals.index(argument)}"
                yield f"complete -c lokictl -n '__lokictl_at {name}{number}' {values}"


def _names_with_values() -> Iterator[str]:
    """Name the options behind which a value stands, whatever the verb; none is a flag elsewhere."""
    arguments = [each for verb in VERBS.values() for each in verb.arguments]
    yield from dict.fromkeys(_names([each for each in arguments if not each.is_flag]))


def _fish_option(condition: str, argument: Argument) -> str:
    names = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in argument.names]
    values = [] if argument.is_flag else [_fish_values(argument) or "-x"]
    more = [] if argument.is_flag or values[0].startswith("-x") else ["-r"]
    parts = [*names, *more, *values, f"-d {_quoted(argument.help)}"]
    return f"complete -c lokictl -n {_quoted(condition)} {' '.join(parts)}"


def _fish_values(argument: Argument) -> str:
    if argument.listed:
        return f"-x -a '(__lokictl_list {' '.join(map(_escaped, argument.listed))})'"
    words = [*argument.choices, *argument.suggested]
    if words:
        return f"-x -a {_quoted(' '.join(words))}"
    return _FISH_VALUES[argument.holds]


_FISH_VALUES: Final = {
    Holds.WORDS: "",
    Holds.FILE: "-F",
    Holds.DIRECTORY: "-x -a '(__fish_complete_directories)'",
    Holds.SESSION: "-x -a '(echo latest; __lokictl_ids ps)'",
    Holds.QUESTION: "-x -a '(__lokictl_ids inbox)'",
}


def _escaped(word: str) -> str:
    """Write a word for fish so that it is none of its patterns."""
    return word.replace("*", "\\*")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
