"""Places in logs by name, and which names each file has: asked for a few among very many."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from loki_twisted.state.held import Position, furthest


class Places:
    """A place for each name."""

    def __init__(self) -> None:
        self._places: dict[str, Position] = {}
        self._names: dict[int, dict[str, None]] = {}

    def get(self, name: str) -> Position | None:
        """The place of a name, or None."""
        return self._places.get(name)

    def names(self) -> list[str]:
        """All names."""
        return list(self._places)

    def names_of(self, inode: int) -> Collection[str]:
        """The names whose places are in a file."""
        return self._names.get(inode, {}).keys()

    def of(self, names: Iterable[str]) -> list[Position]:
        """The places of names that have some."""
        return [self._places[name] for name in names]

    def furthest_in(self, inode: int, found: Position | None = None) -> Position | None:
        """
        Say how far a file was read under any of its names.

        :param found: A place in it that is known otherwise. Of two alike the one named last counts.
        """
        for name in self.names_of(inode):
            found = furthest([self._places[name], found])
        return found

    def put(self, name: str, place: Position) -> None:
        """Give a name another place."""
        before = self._places.get(name)
        if before is None or before.ino != place.ino:
            self.drop(name)
            self._names.setdefault(place.ino, {})[name] = None
        self._places[name] = place

    def drop(self, name: str) -> None:
        """Forget a name, if it is known."""
        before = self._places.pop(name, None)
        if before is None:
            return
        names = self._names[before.ino]
        del names[name]
        if not names:
            del self._names[before.ino]

    def __contains__(self, name: str) -> bool:
        return name in self._places
