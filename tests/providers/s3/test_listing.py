"""Long listings on a real server: how many requests they take, one after the other and in all."""

import pytest

from datastore.http.observe import observed
from datastore.providers.s3.bucket import S3Provider
from tests.providers.s3.sites import site_of


def keys_of(pages):
    return [info.key for page in pages for info in page.objects]


@pytest.fixture(scope="module")
def large(versitygw):
    """A bucket of 40,000 objects, put there behind the server's back."""
    bucket = versitygw.new_bucket()
    root = versitygw.folder / "data" / bucket
    keys = [f"data/class_{n % 80:03}/image_{n:06}.jpg" for n in range(40_000)]
    for folder in {key.rpartition("/")[0] for key in keys}:
        (root / folder).mkdir(parents=True)
    for key in keys:
        (root / key).touch()
    return S3Provider(site_of(versitygw), bucket), sorted(keys)


def test_20000_names_take_hardly_more_requests_than_pages_and_few_round_trips(large):
    provider, keys = large
    middle = keys[19_999]
    with observed() as seen:
        assert keys_of(provider.list(start_after=middle)) == keys[20_000:]
    assert len(seen) <= 20 + 6
    assert seen.depth() <= 16


def test_a_short_listing_takes_its_pages(large):
    provider, keys = large
    with observed() as seen:
        assert keys_of(provider.list(start_after=keys[-2500])) == keys[-2499:]
    assert len(seen) == 3


def test_a_long_listing_goes_on_in_parallel(large):
    provider, keys = large
    with observed() as seen:
        assert keys_of(provider.list()) == keys
    assert len(seen) <= 52
    assert seen.depth() < 26


@pytest.mark.parametrize("prefix", ["", "data/", "data/class_0"])
def test_a_parallel_listing_is_complete_below_any_prefix(large, prefix):
    provider, keys = large
    expected = [key for key in keys if key.startswith(prefix)]
    assert keys_of(provider.list(prefix)) == expected
    assert keys_of(provider.list(prefix, start_after=expected[1234])) == expected[1235:]
    below = S3Provider(provider.site, provider.bucket_name, prefix="data/")
    assert [f"data/{key}" for key in keys_of(below.list())] == keys


def test_one_page_is_one_request(large):
    provider, keys = large
    with observed() as seen:
        assert next(provider.list()).objects[0].key == keys[0]
    assert len(seen) == 1


def test_folders_are_folded_by_the_service(large):
    provider, _ = large
    with observed() as seen:
        (page,) = provider.list("data/", delimiter="/")
    assert page.prefixes == [f"data/class_{n:03}/" for n in range(80)]
    assert len(seen) == 1
