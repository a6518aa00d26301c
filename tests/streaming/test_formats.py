"""What formats make of objects of others: what is found by hand agrees with the libraries."""

import io
import tarfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.streaming.tarwalk import members

few = settings(max_examples=60, deadline=None)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: not name.endswith("/") and name.strip("/") == name
)
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@few
@given(st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=6), st.sampled_from(FORMATS), st.booleans())
def test_members_of_a_tar_are_those_of_tarfile(files, form, others):
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            try:
                archive.addfile(member, io.BytesIO(data))
            except ValueError:  # the oldest format does not take every name
                continue
            if others:
                for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE):
                    other = tarfile.TarInfo("other")
                    other.type, other.linkname = kind, "x" * 150 * (form != tarfile.USTAR_FORMAT)
                    archive.addfile(other)
    whole = shard.getvalue()
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        expected = [(member.name, archive.extractfile(member).read()) for member in archive if member.isreg()]
    found = [
        (member.name, whole[member.data : member.data + member.size]) for member in members(io.BytesIO(whole), "k")
    ]
    assert found == expected


@pytest.mark.parametrize("cut", [0, 100, 512, 600, 2000, 2600])
def test_a_tar_that_is_cut_off_is_an_error(cut):
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as archive:
        for name in ("a.txt", "b.txt"):
            member = tarfile.TarInfo(name)
            member.size = 1000
            archive.addfile(member, io.BytesIO(bytes(1000)))
    with pytest.raises(ds.IntegrityError, match=r"k\.tar"):
        list(members(io.BytesIO(shard.getvalue()[:cut]), "k.tar"))


@few
@given(
    st.lists(st.integers(0, 7), max_size=6),
    st.sampled_from([pa.ipc.new_file, pa.ipc.new_stream]),
    st.sampled_from([None, "lz4", "zstd"]),
    st.booleans(),
)
def test_batches_of_arrow_are_those_of_pyarrow(sizes, writer, compression, dictionary):
    from datastore.streaming.formats import arrow

    values = pa.array(["a", "b", "c"] * 20)
    table = pa.table({"n": range(60), "s": values.dictionary_encode() if dictionary else values})
    file = io.BytesIO()
    with writer(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as sink:
        for size in sizes:
            sink.write_batch(table.to_batches()[0].slice(0, size))
    found = list(arrow._messages(io.BufferedReader(io.BytesIO(file.getvalue())), "k"))
    assert [message.rows for message in found if message.kind == arrow._BATCH] == sizes
    assert found[0].kind == arrow._SCHEMA


def test_changing_dictionaries_are_refused():
    main = ds.create_repo("garments").branch("main")
    file = io.BytesIO()
    first = pa.record_batch({"s": pa.array(["a"]).dictionary_encode()})
    second = pa.record_batch({"s": pa.array(["b"]).dictionary_encode()})
    with pa.ipc.new_stream(file, first.schema) as sink:
        sink.write_batch(first)
        sink.write_batch(second)
    main.objects.put("t.arrow", file.getvalue())
    main.commit("Rows")
    with pytest.raises(ds.UnsupportedType, match="changes its dictionaries"):
        ds.stream(main / "t.arrow")
