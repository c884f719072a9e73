"""
Secrets taken out of text, before it becomes an event that is kept and sent to whoever listens.

Agents print what they see: a configuration file, the headers of a request, their environment.
What has the form of a secret becomes :data:`MASK`, and the text around it stays. A secret that
has no form of its own is known where it stands in the environment (:class:`Redactor`); any
other is not found. What an agent printed stays as it was in its own files.

Every line of every agent comes through here, and most hold none of the marks that every secret
has. So lines are looked through together, as many as come at once, and one by one only where
there is a mark (:meth:`Redactor.may_concern`): that costs less than half a microsecond for each
line of a flood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.model.events import Fact

MASK: Final = "***"
"""What stands where a secret stood. No secret is shorter, so no text becomes longer."""

_LEAST_VALUE: Final = 8
"""Values of variables that have fewer characters would be found in ordinary words."""

_SHOWN_HEAD: Final = 8
_SHOWN_TAIL: Final = 4
"""So much of a key Loki Mode shows, with dots between."""

_SECRET_NAME: Final = re.compile(
    r".*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)"
    r"(?!S$|.*(?:FILE|PATH|DIR|URL|NAME|HELPER|MODE|_MS|_LIMIT)$)",
    re.IGNORECASE,
)

# Each form begins behind what is no part of a word, and goes on for as long as it can: so what is
# left around it is hardly ever a secret itself.
_SECRETS: Final = re.compile(
    r"""
      (?P<name>
        (?<![A-Z0-9_]) [A-Z0-9_]{0,64}+                                            # NAME_KEY=
        (?: (?<=KEY) | (?<=TOKEN) | (?<=SECRET) | (?<=PASSWORD) | (?<=PASSWD) ) =
      ) (?: "[^"\n]*+"?+ | '[^'\n]*+'?+ | [^\s"'&,;] )++
    | (?P<word>                                                                    # "apiKey": "
        (?i: api[_-]?key | (?:access|secret|private|signing)[_-]?key | client[_-]?secret
           | passw(?:or)?d | secret | token )
        (?P<quote>["']?+) \s{0,8}+ [:=] \s{0,8}+
      ) (?: (?<==) (?= [^\s"'&,;()<>]{8} | [^\s"'&,;()<>]{0,7} ["'] )
              (?: "[^"\n]*+"?+ | '[^'\n]*+'?+ | [^\s"'&,;()<>] )++
          | (?: "[^"\n]*+"?+ | '[^'\n]*+'?+ )++ )
    | (?P<url> [a-z][a-z0-9+.-]{0,20}+ :// [^\s/:@"']{0,256}+ : ) [^\s/@"']{3,}+ (?=@)
    | (?P<scheme> (?i: bearer | basic ) \s{1,4}+ )                                 # a header
      (?= [^\s"',;*]{0,512}? \d | [^\s"',;*]{20} ) [A-Za-z0-9._~+/=-]{8,}+
    | (?<![A-Za-z0-9])
      (?: (?: sk | rk | pk_live | sk_live ) [-_] [A-Za-z0-9_-]{16,}+
        | gh[pousr]_ [A-Za-z0-9]{20,}+ | github_pat_ [A-Za-z0-9_]{20,}+
        | glpat- [A-Za-z0-9_-]{16,}+ | xox[a-z]- [A-Za-z0-9-]{10,}+ | hf_ [A-Za-z0-9]{20,}+
        | A[KS]IA [A-Z0-9]{16,}+ | AIza [A-Za-z0-9_-]{30,}+
        | eyJ [A-Za-z0-9_-]{8,}+ \. [A-Za-z0-9_-]{4,}+ (?: \. [A-Za-z0-9_-]*+ )?+ )
      [A-Za-z0-9_-]*+
    | -----BEGIN\ [A-Z0-9 ]{0,32}?PRIVATE\ KEY----- (?: .*? -----END\ [A-Z0-9 ]{0,32}+----- | .*+ )
    | \A (?= .*[A-Z] ) (?= .*[a-z] ) (?= .*\d ) [A-Za-z0-9+/]{64,76}+ \Z           # a line of one
    | [^\s.*]{1,8}+ \.\.\. [^\s*]{1,4}+ (?= \ \(\d+\ chars\) )                     # head...tail
    """,
    re.VERBOSE | re.DOTALL,
)
_MARKS: Final[Mapping[str, Sequence[str]]] = {
    "": ("earer", "asic", "EARER", "ASIC", "PRIVATE KEY", " chars)"),
    "=": ("KEY", "TOKEN", "SECRET", "PASSW", "key", "Key", "oken", "ecret", "assw"),
    ":": ("KEY", "TOKEN", "SECRET", "PASSW", "key", "Key", "oken", "ecret", "assw", "://"),
    "-": ("sk-", "rk-", "glpat-", "xox"),
    "_": ("sk_", "rk_", "pk_", "hf_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ".": ("eyJ",),
    "A": ("AKIA", "ASIA", "AIza"),
}
"""
A text that has none of these is no secret, unless it is a line of a private key.

They stand behind a character that they need, which is found many times faster.
"""

_HIDING: Final = ("\x1b", "\x9b", "\\u")
"""What may stand in the middle of a mark before a line is cleaned or decoded."""

_LEAST_LINE: Final = 64
_LONGEST_LINE: Final = 76
"""Characters of a line of a private key, by the two programs that write most of them."""


def redact(text: str) -> str:
    """
    Take out what has the form of a secret.

    :returns: A text that is not longer, and in which nothing is left to be taken out; the same
        object if there is nothing.
    """
    if not _has_mark(text) and not _may_be_of_a_key(text):
        return text
    redacted = _SECRETS.sub(_masked, text)
    if redacted == text:
        return text
    # A mask may close a gap that had hidden another: `a://me:KEY="x y"@host`. That ends, because
    # each time fewer characters are left that are no mask.
    while (further := _SECRETS.sub(_masked, redacted)) != redacted:
        redacted = further
    return redacted


def _masked(found: re.Match[str]) -> str:
    kept = found["name"] or found["word"] or found["url"] or found["scheme"] or ""
    whole = found[0]
    return kept + MASK if len(whole) - len(kept) >= len(MASK) else whole


def _has_mark(text: str) -> bool:
    # Not one expression for all: that is tried at each character, and takes fifty times as long.
    for need, marks in _MARKS.items():
        if need in text:
            for mark in marks:
                if mark in text:
                    return True
    return False


def _may_be_of_a_key(text: str) -> bool:
    return _LEAST_LINE <= len(text) <= _LONGEST_LINE and " " not in text


class Redactor:
    """
    Takes secrets out, those too that stand in an environment.

    :param environ: Values of variables that are called after secrets become the
        mask wherever they stand, also as Loki Mode shows them: ``first...last``.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = tuple(_values_of(environ))

    def may_concern(self, lines: Sequence[str]) -> bool:
        """Whether a secret may be in one of these lines, or in what they are decoded to."""
        text = "\n".join(lines)
        return (
            any(hiding in text for hiding in _HIDING)
            or _has_mark(text)
            or any(value in text for value in self._values)
            or any(map(_may_be_of_a_key, lines))
        )

    def text(self, text: str) -> str:
        """Take the secrets out of a text."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        return redact(text)

    def fact(self, fact: Fact) -> Fact:
        """Take the secrets out of every text of a fact; the same fact if there are none."""
        data = self.value(fact.data)
        return fact if data is fact.data else Fact(fact.type, data)

    def value(self, value: Any) -> Any:
        """
        Take the secrets out of every text in a value.

        :param value: A text, or what may hold some: objects and lists as of JSON, classes
            of attrs and structs of msgspec. Anything else is given back.
        :returns: The same object if there are none.
        """
        if type(value) is str:
            return self.text(value)
        if isinstance(value, Mapping):
            changed = self._changed(value)
            return {**value, **changed} if changed else value
        if isinstance(value, list | tuple):
            new = [self.value(each) for each in value]
            is_same = all(a is b for a, b in zip(new, value, strict=True))
            return value if is_same else type(value)(new)
        if isinstance(value, msgspec.Struct):
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            changed = self._changed(fields)
            return msgspec.structs.replace(value, **changed) if changed else value
        if attrs.has(type(value)):
            fields = {each.name: getattr(value, each.name) for each in attrs.fields(type(value))}
            changed = self._changed(fields)
            return attrs.evolve(value, **changed) if changed else value
        return value

    def _changed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        values = ((name, old, self.value(old)) for name, old in fields.items())
        return {name: new for name, old, new in values if new is not old}


def _values_of(environ: Mapping[str, str]) -> Iterable[str]:
    """The longest come first: one may be a part of another."""
    found = {
        value
        for name, value in environ.items()
        if len(value) >= _LEAST_VALUE and _SECRET_NAME.match(name)
    }
    shown = {f"{value[:_SHOWN_HEAD]}...{value[-_SHOWN_TAIL:]}" for value in found}
    return sorted(found | shown, key=len, reverse=True)
