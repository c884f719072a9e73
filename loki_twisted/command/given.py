"""
From what was given to settings.

An option's value is taken from the command line, else from the first of its
environment variables that is set and not empty, else from the defaults of
:class:`~loki_twisted.settings.Settings`.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loki_twisted.access.token_file import TokenFileRefused, read_tokens
from loki_twisted.command.option import Option
from loki_twisted.command.options import OPTIONS
from loki_twisted.command.readers import read_token
from loki_twisted.endpoints import refuse_open_listeners
from loki_twisted.settings import InvalidSettings, Settings, find_loki_dir, holds_state_of_ours

Given = Mapping[str, Any]
"""What a command line gave: by an option's name its text, its texts, or something true."""


def settings_from(given: Given, environ: Mapping[str, str], current: str) -> Settings:
    """
    Make the settings, and make sure that they are safe.

    :param given: What the command line gave.
    :param current: Absolute path of the current directory.
    :raises InvalidSettings: with one line that says which value is wrong and what would
        be right. Nothing has been changed on the machine then.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        for where, text in _sources(option, given, environ):
            values[option.field] = _value(option, where, text)
            break
    if "token_file" in values:
        values["token_file"] = _token_file(_absolute(current, values["token_file"]))
    elif environ.get("LOKI_API_TOKEN"):
        # Not in the table: a token on the command line could be read by every user.
        values["tokens"] = (_read("LOKI_API_TOKEN", read_token, environ["LOKI_API_TOKEN"]),)
    values["loki_dir"] = find_loki_dir(values.get("loki_dir"), current, holds_state_of_ours)
    if "data_dir" in values:
        values["data_dir"] = _absolute(current, values["data_dir"])
    if "replay" in values:
        values["replay"] = _absolute(current, values["replay"])
    if "project_roots" in values:
        values["project_roots"] = tuple(_absolute(current, r) for r in values["project_roots"])
    settings = Settings(**values)
    for directory in (settings.loki_dir, *settings.project_roots):
        if not os.path.isdir(directory):
            raise InvalidSettings(f"{directory!r} is no directory.")
    refuse_open_listeners(settings)
    return settings


def _sources(option: Option, given: Given, environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    if given.get(option.name):
        yield f"--{option.name}", given[option.name]
    elif given.get(option.name) == "":
        raise InvalidSettings(f"--{option.name} needs a value.")
    yield from ((name, environ[name]) for name in option.variables if environ.get(name))


def _value(option: Option, where: str, text: Any) -> Any:
    if isinstance(text, str):
        return _read(where, option.read, text)
    if option.metavar is None:
        return option.flag_means
    return tuple(_read(where, option.read, each) for each in text)


def _read(where: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        # A token that is wrong is a secret all the same.
        shown = where if read is read_token else f"{where}: {text!r}"
        raise InvalidSettings(f"{shown} {error}.") from None


def _token_file(path: str) -> str:
    """Make sure that a file of tokens can be used, and holds one."""
    try:
        tokens = read_tokens(path)
    except TokenFileRefused as error:
        raise InvalidSettings(f"--token-file: {error}") from None
    if not tokens:
        msg = f"--token-file: {path}: holds no tokens; make one with: lokictl token create"
        raise InvalidSettings(f"{msg}.")
    return path


def _absolute(current: str, path: str) -> str:
    return os.path.normpath(os.path.join(current, path))
