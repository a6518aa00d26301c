"""The part of the provider exam that writes: bodies, modes, attributes, deletes, copies, links."""

import array
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from datastore.errors import (
    AlreadyExists,
    Conflict,
    HeadMoved,
    InvalidURL,
    NotFound,
    TooLarge,
    UnsupportedOperation,
    ValidationError,
)
from datastore.names import content_type_of
from datastore.provider import Body, Provider, SupportsCopy, SupportsLink, SupportsWriter
from datastore.testing.exam import BAD_KEYS, MIB, content, copier, linker, listed, needs, payload, timeless, together
from datastore.values import CREATE, OVERWRITE, Attributes, Digest, Match, ObjectInfo, digest_of

__all__ = ["WritingExam"]

ODD_KEYS = [
    "with space/and more .txt",
    " leading and trailing ",
    "#1",
    "what?",
    "100%20",
    "a=b&c=d",
    "[1]",
    "*",
    "~user",
    "~",
    "a@b",
    "a:b",
    "it's",
    '"quoted"',
    "back\\slash",
    "new\nline",
    "+plus",
    "ünïcödé/日本語",
    "😀",
    "\uffff",
    ".hidden/.file",
    "...",
    "-",
    "a.b.c",
    "-rf",
]


def _as_path(data: bytes, folder: Path, _stack: ExitStack) -> Body:
    path = folder / "body.bin"
    path.write_bytes(data)
    return path


def _as_open_file(data: bytes, folder: Path, stack: ExitStack) -> Body:
    path = folder / "body.bin"
    path.write_bytes(b"skipped" + data)
    file = stack.enter_context(path.open("rb"))
    file.seek(len(b"skipped"))
    return file


def _as_generator(data: bytes, _folder: Path, _stack: ExitStack) -> Body:
    yield from (b"", data[: len(data) // 3], b"", data[len(data) // 3 :], b"")


BODIES: dict[str, Callable[[bytes, Path, ExitStack], Body]] = {
    "bytes": lambda data, _folder, _stack: data,
    "bytearray": lambda data, _folder, _stack: bytearray(data),
    "memoryview": lambda data, _folder, _stack: memoryview(data),
    "BytesIO": lambda data, _folder, _stack: io.BytesIO(data),
    "list": lambda data, _folder, _stack: [data[:5], data[5:]],
    "generator": _as_generator,
    "Path": _as_path,
    "open file": _as_open_file,
}


class BrokenBody(Exception):
    """Stands for whatever goes wrong where the bytes come from."""


def _broken(beginning: bytes) -> Iterator[bytes]:
    yield beginning
    raise BrokenBody


def _refusal(provider: Provider, key: str) -> str | None:
    """Return what a store says that cannot hold an object and a folder of one name."""
    try:
        provider.put(key, b"new")
    except Conflict as error:
        return str(error)
    return None


class WritingExam:
    """What `put`, `delete`, `copy` and `link` have to do."""

    @pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB + 1, 5 * MIB])
    @pytest.mark.parametrize("kind", BODIES)
    def test_what_was_put_comes_back(self, provider: Provider, tmp_path: Path, size: int, kind: str) -> None:
        data = payload(size)
        with ExitStack() as stack:
            info = provider.put("folder/data.bin", BODIES[kind](data, tmp_path, stack))
        assert (info.key, info.size) == ("folder/data.bin", size)
        assert content(provider, "folder/data.bin") == data
        assert timeless(provider.head("folder/data.bin")) == timeless(info)

    def test_an_info_tells_what_it_can(self, provider: Provider) -> None:
        info = provider.put("a.txt", b"hello")
        assert info.etag
        assert info.identity
        assert info.digest == digest_of(b"hello") or (info.digest is None and not provider.capabilities.digests)
        assert info.commit is None
        assert abs(datetime.now(UTC) - provider.head("a.txt").modified) < timedelta(days=1)

    def test_identity_tells_different_bytes_apart(self, provider: Provider) -> None:
        one, other = provider.put("a", b"one"), provider.put("b", b"two")
        again = provider.put("a", b"owt")
        assert len({one.identity, other.identity, again.identity}) == 3

    def test_a_view_of_numbers_is_taken_by_its_bytes(self, provider: Provider) -> None:
        numbers = array.array("i", range(1000))
        assert provider.put("numbers.bin", memoryview(numbers)).size == 4000
        assert content(provider, "numbers.bin") == numbers.tobytes()

    @pytest.mark.parametrize("text", [str, io.StringIO, list], ids=["str", "file", "list"])
    def test_text_is_refused(self, provider: Provider, text: Callable[[str], Body]) -> None:
        with pytest.raises(ValidationError):
            provider.put("a.txt", text("text"))
        assert listed(provider) == []

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_keys_are_taken_verbatim(self, provider: Provider, key: str) -> None:
        provider.put(f"{key}/inside", b"1")
        provider.put(f"last/{key}", b"22")
        assert listed(provider) == sorted([f"{key}/inside", f"last/{key}"], key=str.encode)
        assert (provider.head(f"{key}/inside").size, content(provider, f"last/{key}")) == (1, b"22")
        assert not provider.delete([f"{key}/inside", f"last/{key}"])
        assert listed(provider) == []

    @pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_keys_that_may_not_be_written_are_refused(self, provider: Provider, key: str) -> None:
        provider.put("kept", b"1")
        attempts: list[Callable[[], object]] = [
            lambda: provider.put(key, b"2"),
            lambda: provider.put(key, b"2", mode=CREATE),
        ]
        if isinstance(provider, SupportsWriter):
            attempts.append(lambda: provider.writer(key))
        if isinstance(provider, SupportsCopy):
            attempts.append(lambda: provider.copy("kept", key))
        if isinstance(provider, SupportsLink):
            attempts.append(lambda: provider.link(provider.head("kept"), key))
        for attempt in attempts:
            with pytest.raises((InvalidURL, TooLarge)):
                attempt()
        assert listed(provider) == ["kept"]

    def test_a_long_key_is_taken(self, provider: Provider) -> None:
        key = "/".join(["ü" * 100] * 4 + ["name.txt"])
        provider.put(key, b"1")
        assert listed(provider) == [key]

    def test_a_key_that_is_a_folder_too_lives_or_is_refused(self, provider: Provider) -> None:
        provider.put("a/b", b"below")
        provider.put("c", b"above")
        for key, other, data in (("a", "a/b", b"below"), ("c/d", "c", b"above")):
            refused = _refusal(provider, key)
            if refused:
                assert repr(key) in refused
                assert repr(other) in refused
                with pytest.raises(NotFound):
                    provider.head(key)
            else:
                assert content(provider, key) == b"new"
            assert content(provider, other) == data

    def test_overwriting_replaces_everything(self, provider: Provider) -> None:
        provider.put("a.bin", payload(2 * MIB))
        info = provider.put("a.bin", b"short", mode=OVERWRITE)
        assert (content(provider, "a.bin"), provider.head("a.bin").size, info.size) == (b"short", 5, 5)
        assert listed(provider) == ["a.bin"]

    def test_create_leaves_what_is_there(self, provider: Provider) -> None:
        provider.put("a/b", b"first", mode=CREATE)
        with pytest.raises(AlreadyExists) as caught:
            provider.put("a/b", b"second", mode=CREATE)
        assert isinstance(caught.value, FileExistsError)
        assert content(provider, "a/b") == b"first"
        provider.delete(["a/b"])
        provider.put("a/b", b"third", mode=CREATE)
        assert content(provider, "a/b") == b"third"

    def test_of_eight_that_create_one_succeeds(self, provider: Provider) -> None:
        needs(provider, "create")

        def create(number: int) -> int | None:
            try:
                provider.put("a/prize", bytes([number]) * 1000, mode=CREATE)
            except AlreadyExists:
                return None
            return number

        (winner,) = [number for number in together(create) if number is not None]
        assert content(provider, "a/prize") == bytes([winner]) * 1000

    def test_match_replaces_only_what_it_names(self, provider: Provider) -> None:
        info = provider.put("a", b"first")
        if not provider.capabilities.match:
            with pytest.raises(UnsupportedOperation):
                provider.put("a", b"second", mode=Match(info.etag))
            assert content(provider, "a") == b"first"
            return
        second = provider.put("a", b"second", mode=Match(info.etag))
        for key, etag in (("a", info.etag), ("a", "never an etag"), ("b", second.etag)):
            with pytest.raises(HeadMoved):
                provider.put(key, b"third", mode=Match(etag))
        assert (content(provider, "a"), listed(provider)) == (b"second", ["a"])

    def test_of_eight_that_match_one_succeeds(self, provider: Provider) -> None:
        needs(provider, "match")
        etag = provider.put("a", b"first").etag

        def replace(number: int) -> int | None:
            try:
                provider.put("a", bytes([number]) * 1000, mode=Match(etag))
            except HeadMoved:
                return None
            return number

        (winner,) = [number for number in together(replace) if number is not None]
        assert content(provider, "a") == bytes([winner]) * 1000

    def test_a_body_that_breaks_changes_nothing(self, provider: Provider) -> None:
        provider.put("old.bin", b"old")
        for key in ("old.bin", "folder/new.bin"):
            with pytest.raises(BrokenBody):
                provider.put(key, _broken(payload(2 * MIB)))
        assert (listed(provider), content(provider, "old.bin")) == (["old.bin"], b"old")

    def test_a_body_that_is_not_there_changes_nothing(self, provider: Provider, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            provider.put("folder/new.bin", tmp_path / "missing.bin")
        assert listed(provider) == []

    def test_the_content_type_follows_from_the_extension(self, provider: Provider) -> None:
        for key in ("a.parquet", "b.CSV", "c", "d.csv/e.unknown"):
            assert provider.put(key, b"1").content_type == provider.head(key).content_type == content_type_of(key)
        same = Attributes(content_type="text/csv")
        assert provider.put("f.csv", b"1", attributes=same).content_type == "text/csv"

    @pytest.mark.parametrize(
        "given",
        [
            Attributes(content_type="text/x-own"),
            Attributes(metadata={"run": "12", "note": "ö=1; 日本", "empty": ""}),
        ],
        ids=["content type", "metadata"],
    )
    def test_attributes_are_kept_or_refused(self, provider: Provider, given: Attributes) -> None:
        if not provider.capabilities.attributes:
            with pytest.raises(UnsupportedOperation):
                provider.put("folder/a.csv", b"1", attributes=given)
            assert listed(provider) == []
            return
        put = provider.put("folder/a.csv", b"1", attributes=given)
        with provider.read("folder/a.csv") as reader:
            infos = [put, provider.head("folder/a.csv"), reader.info]
        expected = (given.content_type or "text/csv", dict(given.metadata))
        assert [(info.content_type, dict(info.metadata)) for info in infos] == [expected] * 3
        provider.put("folder/a.csv", b"2")
        after = provider.head("folder/a.csv")
        assert (after.content_type, dict(after.metadata)) == ("text/csv", {}), "attributes belong to one version"

    @pytest.mark.parametrize("metadata", [{"run": 12}, {1: "run"}, ["run"], {"run": "x" * 70_000}, {"run": "\ud800"}])
    def test_metadata_that_is_not_short_text_is_refused(self, provider: Provider, metadata: object) -> None:
        needs(provider, "attributes")
        with pytest.raises(ValidationError):
            provider.put("a", b"1", attributes=Attributes(metadata=metadata))  # pyright: ignore[reportArgumentType] - on purpose
        assert listed(provider) == []

    def test_delete_takes_exact_keys(self, provider: Provider) -> None:
        for key in ("a/b/c", "a/b/d", "ab", "a.b", "a-"):
            provider.put(key, key.encode())
        assert not provider.delete(["a", "a/", "a/b", "a/b/", "", "*"])
        assert listed(provider) == ["a-", "a.b", "a/b/c", "a/b/d", "ab"]
        assert not provider.delete(["a/b/c", "missing", "ab", "ab"])
        assert listed(provider) == ["a-", "a.b", "a/b/d"]
        assert not provider.delete(["a-", "a.b", "a/b/d"])
        assert listed(provider) == []
        assert not provider.delete([])
        with pytest.raises(NotFound):
            provider.head("ab")

    def test_a_deleted_key_can_be_used_for_anything(self, provider: Provider) -> None:
        provider.put("a/b/c", b"1")
        provider.delete(["a/b/c"])
        provider.put("a", b"2")
        provider.delete(["a"])
        provider.put("a/b", b"3")
        assert (listed(provider), content(provider, "a/b")) == (["a/b"], b"3")

    def test_a_copy_has_the_bytes_and_its_own_name(self, provider: Provider) -> None:
        supports = copier(provider)
        source = provider.put("a.csv", payload(MIB + 1))
        copied = supports.copy("a.csv", "folder/b.json")
        assert (copied.key, copied.size, copied.content_type) == ("folder/b.json", source.size, "application/json")
        assert content(provider, "folder/b.json") == content(provider, "a.csv") == payload(MIB + 1)
        provider.put("a.csv", b"changed")
        assert timeless(provider.head("folder/b.json")) == timeless(copied)
        assert content(provider, "folder/b.json") == payload(MIB + 1)

    def test_a_copy_obeys_its_mode(self, provider: Provider) -> None:
        supports = copier(provider)
        provider.put("a", b"a")
        provider.put("b", b"b")
        with pytest.raises(AlreadyExists):
            supports.copy("a", "b", mode=CREATE)
        with pytest.raises(NotFound):
            supports.copy("missing", "b")
        assert content(provider, "b") == b"b"
        supports.copy("a", "b")
        supports.copy("a", "a")
        assert (content(provider, "a"), content(provider, "b"), listed(provider)) == (b"a", b"a", ["a", "b"])

    @pytest.mark.parametrize("verb", ["copy", "link"])
    def test_attributes_go_with_copies_and_links(self, provider: Provider, verb: str) -> None:
        needs(provider, "attributes")
        if verb == "copy":
            go = copier(provider).copy
        else:
            supports = linker(provider)

            def go(source: str, target: str) -> ObjectInfo | None:
                return supports.link(provider.head(source), target)

        provider.put("a.csv", b"1", attributes=Attributes(metadata={"run": "12"}))
        provider.put("b.csv", b"2", attributes=Attributes(content_type="text/x-own"))
        go("a.csv", "c.json")
        go("b.csv", "d.json")
        kept, typed = provider.head("c.json"), provider.head("d.json")
        assert (kept.content_type, dict(kept.metadata)) == ("application/json", {"run": "12"})
        assert typed.content_type == "text/x-own"

    def test_a_link_has_the_bytes_without_copying_them(self, provider: Provider) -> None:
        supports = linker(provider)
        source = provider.put("a.csv", payload(MIB))
        linked = supports.link(source, "folder/b.json")
        assert linked is not None
        assert (linked.key, linked.size, linked.content_type) == ("folder/b.json", MIB, "application/json")
        provider.delete(["a.csv"])
        assert content(provider, "folder/b.json") == payload(MIB)

    def test_a_link_to_unknown_bytes_is_none(self, provider: Provider) -> None:
        supports = linker(provider)
        source = provider.put("a", b"1")
        unknown = Digest("sha256:" + "0" * 64)
        assert supports.link(structs.replace(source, identity=unknown, digest=unknown, etag="unknown"), "b") is None
        with pytest.raises(AlreadyExists):
            supports.link(source, "a", mode=CREATE)
        assert listed(provider) == ["a"]
