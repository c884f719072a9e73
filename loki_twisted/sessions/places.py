"""Where a session may work: paths from requests, held to the allowed roots."""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs

from loki_twisted.model.errors import InvalidRequest


@attrs.frozen(slots=True)
class Place:
    """
    Where a session works.

    :ivar project_dir: Absolute, without symbolic links.
    :ivar prd_path: Absolute path of an existing file, without symbolic links, or None.
    """

    project_dir: str
    prd_path: str | None


def is_inside(path: str, root: str) -> bool:
    """Whether an absolute, resolved path is a root or lies under it."""
    return os.path.commonpath([path, root]) == root


def find_place(
    project_dir: str | None, prd_path: str | None, home: str, roots: Sequence[str]
) -> Place:
    """
    Resolve the paths of a request.

    :param project_dir: As it came; relative to ``home``, which None stands for.
    :param prd_path: As it came; relative to the project directory.
    :param home: The server's own project directory.
    :param roots: Resolved directories; both paths must lie in one of them, after
        symbolic links were followed.
    :raises InvalidRequest: naming each path that does not do.
    """
    faults: list[tuple[str, str]] = []
    directory = _resolve(home, project_dir or ".", roots)
    if directory is None:
        faults.append(("projectDir", f"{project_dir!r} is outside the allowed roots"))
        directory = home
    elif not _is_text(directory):
        faults.append(("projectDir", f"{directory!a} is no text in UTF-8"))
    elif not os.path.isdir(directory):
        faults.append(("projectDir", f"there is no directory {project_dir!r}"))
    prd = None
    if prd_path is not None:
        prd = _resolve(directory, prd_path, roots)
        if prd is None:
            faults.append(("prdPath", f"{prd_path!r} is outside the allowed roots"))
        elif not _is_text(prd):
            faults.append(("prdPath", f"{prd!a} is no text in UTF-8"))
        elif not os.path.isfile(prd):
            faults.append(("prdPath", f"there is no file {prd_path!r}"))
    if faults:
        raise InvalidRequest.of(faults)
    return Place(directory, prd)


def _is_text(path: str) -> bool:
    """Whether a path can be told: names of files may hold any bytes."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _resolve(base: str, path: str, roots: Sequence[str]) -> str | None:
    if "\0" in path:
        return None
    resolved = os.path.realpath(os.path.join(base, path))
    return resolved if any(is_inside(resolved, root) for root in roots) else None
