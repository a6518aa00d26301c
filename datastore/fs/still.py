"""A view for the length of one bulk verb: it asks for each thing once, and knows objects from listings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from datastore.bridging import serves_requests
from datastore.bulk.reading import head_objects
from datastore.errors import NotFound
from datastore.fs.opening import Remote
from datastore.fs.view import Listing, Place, View
from datastore.values import ObjectInfo

if TYPE_CHECKING:
    from datastore.bulk.gathering import Failure

__all__ = ["StillView"]


class StillView(View):
    """What another view sees, remembered until this one is dropped: whatever it is, and however much.

    Args:
        view: The other one; pins, and what it remembers of commits, are shared.
    """

    def __init__(self, view: View) -> None:
        self.__dict__.update(view.__dict__)
        self._places: dict[tuple[str, bool], Place] = {}
        self._known: dict[tuple[str, str], ObjectInfo | Failure | None] = {}
        self._covered: dict[str, list[str]] = {}
        self._listed: dict[tuple[str, str, str | None], Listing] = {}

    def place(self, path: str, *, live: bool = False) -> Place:
        """Return where a stripped path leads; each mount and ref is looked up once."""
        head, _, key = path.partition("/")
        frozen = self.frozen
        if not frozen and "::" not in key:
            repo, _, rest = key.partition("/")
            for base, below in ((head, key), (f"{head}/{repo}", rest)):
                known = self._places.get((base, live))
                if known is not None:
                    return structs.replace(known, key=below)
        place = super().place(path, live=live)
        if not frozen and not place.base.endswith("/"):
            self._places[place.base, live] = place
        return place

    def remote(self, place: Place) -> Remote | None:
        """Return the provider of a place, if it is behind a network."""
        return place.provider if serves_requests(place.provider) else None

    def look(self, places: Iterable[Place]) -> None:
        """Ask for all objects at once that nothing is known of."""
        wanted: dict[tuple[str, str | None], dict[str, Place]] = {}
        for place in places:
            if place.key and _spot(place) not in self._known and super().known(place) is None:
                wanted.setdefault(place.same[:2], {})[place.key] = place
        for group in wanted.values():
            spots = [*group.values()]
            provider = self.remote(spots[0])
            if len(spots) > 1 and provider is not None:
                for number, result in head_objects(provider, [*group]):
                    self._known[_spot(spots[number])] = result

    def known(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place if it was seen; asks nobody."""
        known = self._known.get(_spot(place))
        return known if isinstance(known, ObjectInfo) else super().known(place)

    def seen(self, place: Place) -> tuple[ObjectInfo | None] | tuple[()]:
        """Return the object at a place, or None for a prefix, in a tuple; an empty one if nothing is known of it."""
        if not place.key:
            return (None,)
        known = self._known.get(_spot(place), self)
        if known is None or isinstance(known, ObjectInfo):
            return (known,)
        found = super().known(place)
        return () if found is None else (found,)

    def head(self, place: Place) -> ObjectInfo:
        """Return the object at a place; a prefix is `NotFound`, too."""
        known = self._known.get(_spot(place))
        if isinstance(known, Exception):
            raise known
        return super().head(place)

    def entry(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place, or None for a prefix or mount that exists; else raise `NotFound`."""
        spot = _spot(place)
        if place.key and spot not in self._known and any(map(place.key.startswith, self._covered.get(spot[0], ()))):
            raise NotFound(f"nothing is at {place.path!r}")
        if spot not in self._known:
            self._known[spot] = super().entry(place)
        known = self._known[spot]
        if isinstance(known, NotFound) and self.is_prefix(place):
            known = self._known[spot] = None
        if isinstance(known, Exception):
            raise known
        return known

    def is_prefix(self, place: Place) -> bool:
        """Tell whether something is under a place with a key."""
        listed = self._listed.get((_spot(place)[0], place.prefix, None))
        return super().is_prefix(place) if listed is None else bool(listed.objects)

    def listing(self, place: Place, *, delimiter: str | None = None, stem: str = "") -> Listing:
        """Return what is under a place; arguments as in `View.listing`."""
        state, _ = _spot(place)
        key = state, place.prefix + stem, delimiter
        if key not in self._listed:
            found = self._listed[key] = super().listing(place, delimiter=delimiter, stem=stem)
            self._learn(state, place, found, below=delimiter is None)
            if delimiter is None and found.objects:
                self._covered.setdefault(state, []).append(place.prefix + stem)
        return self._listed[key]

    def _learn(self, state: str, place: Place, found: Listing, *, below: bool) -> None:
        """Remember the objects of a listing, and the prefixes that follow from them."""
        for prefix in found.prefixes:
            self._known.setdefault((state, prefix[:-1]), None)
        folders: set[str] = set()
        for info in found.objects:
            self._known[state, info.key] = info
            folder = info.key.rpartition("/")[0] if below else ""
            while len(folder) > len(place.prefix) and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        if place.key and (found.objects or found.prefixes):
            folders.add(place.key)
        for folder in folders:
            self._known.setdefault((state, folder), None)


def _spot(place: Place) -> tuple[str, str]:
    return place.snapshot or place.base, place.key
