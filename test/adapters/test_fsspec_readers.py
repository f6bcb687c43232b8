"""pandas, dask.bag and zarr, unmodified, read through the file system for fsspec."""

import bz2
import gzip
import io

import fsspec
import pytest
from kit.folder_site import FolderSite
from kit.support import installed

from dugong_like.adapters.fsspec import DugongFileSystem

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = "".join(f"{number},{number * number}\n" for number in range(5000))
TABLE = f"a,b\n{ROWS}".encode()


@pytest.fixture
def site():
    """A site, whose files are read by ``dugong+http``, which an installation registers."""
    fsspec.register_implementation("dugong+http", DugongFileSystem, clobber=True)
    with FolderSite({}) as site:
        yield site
        for system in list(DugongFileSystem._cache.values()):
            system.client.close()
        DugongFileSystem.clear_instance_cache()


@pytest.mark.feature("E46")
def test_pandas_reads_and_writes_tables(site):
    pandas = installed("pandas", "data")
    site.files.update({
        "/t.csv": TABLE, "/t.csv.gz": gzip.compress(TABLE), "/t.csv.bz2": bz2.compress(TABLE),
        "/t.jsonl": b'{"a": 1}\n{"a": 2}\n',
    })  # fmt: skip
    options = {"headers": {"X-Own": "1"}, "timeout": 30}

    for name in ("t.csv", "t.csv.gz", "t.csv.bz2"):
        table = pandas.read_csv(f"dugong+{site.url}/{name}", storage_options=options)
        assert table["b"].sum() == sum(number * number for number in range(5000))
    assert {fields["X-Own"] for _, _, fields in site.seen} == {"1"}
    lines = pandas.read_json(f"dugong+{site.url}/t.jsonl", lines=True)
    assert lines["a"].sum() == 3
    chunks = pandas.read_csv(f"dugong+{site.url}/t.csv", chunksize=1000)
    assert sum(map(len, chunks)) == 5000
    table.to_csv(f"dugong+{site.url}/new.csv", index=False)
    assert site.files["/new.csv"] == TABLE
    with pytest.raises(FileNotFoundError):
        pandas.read_csv(f"dugong+{site.url}/none.csv")


@pytest.mark.feature("E46")
def test_bags_of_dask_read_texts(site):
    installed("dask", "data")
    from dask import bag

    site.files.update({f"/logs/{number}.log": TABLE for number in range(3)})

    lines = bag.read_text(f"dugong+{site.url}/logs/*.log")
    assert lines.npartitions == 3
    assert lines.count().compute(scheduler="threads") == 3 * 5001
    blocks = bag.read_text(f"dugong+{site.url}/logs/0.log", blocksize=9000)
    assert blocks.npartitions > 3
    text = "".join(blocks.compute(scheduler="synchronous"))
    assert text.encode() == TABLE


@pytest.mark.feature("E46")
def test_zarr_reads_arrays(site):
    zarr = installed("zarr", "data")
    numpy = installed("numpy", "data")
    values = numpy.arange(10_000, dtype="i4").reshape(100, 100)
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, shape=values.shape, chunks=(30, 30), dtype="i4")
    array[:] = values
    files = {f"/array/{name}": value.to_bytes() for name, value in store._store_dict.items()}
    site.files.update(files)

    found = zarr.open_array(f"dugong+{site.url}/array", mode="r")
    assert (found[:] == values).all()
    assert (found[40:50, 3:9] == values[40:50, 3:9]).all()
    fresh = zarr.create_array(f"dugong+{site.url}/new", shape=(9,), chunks=(4,), dtype="i4")
    fresh[:] = numpy.arange(9)
    assert (zarr.open_array(f"dugong+{site.url}/new", mode="r")[:] == numpy.arange(9)).all()


def test_text_of_any_coding_is_read(site):
    site.files["/t.txt"] = "ä\nö\n".encode("utf-16")
    with fsspec.open(f"dugong+{site.url}/t.txt", "r", encoding="utf-16") as file:
        assert isinstance(file, io.TextIOBase)
        assert file.read() == "ä\nö\n"
