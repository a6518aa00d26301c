import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import ConfigError
from datastore.providers.s3.presets import PRESETS, bucket_url, endpoint_of, is_aws, preset_of

ACCOUNT = "0123456789abcdef" * 2
NAMES = ["s3", "r2", "minio", "hetzner", "b2", "wasabi", "spaces", "tigris", "ceph", "custom"]


def test_each_service_has_its_row():
    assert list(PRESETS) == NAMES
    assert all(row.name == name for name, row in PRESETS.items())


@pytest.mark.parametrize("name", [name for name in NAMES if PRESETS[name].endpoint])
def test_an_endpoint_that_a_row_makes_is_recognised_as_its_own(name):
    row = PRESETS[name]
    made = endpoint_of(row, region="fra1" if name == "spaces" else "eu-central-1", account=ACCOUNT)
    assert preset_of("s3", endpoint=made) is row
    assert preset_of("s3", endpoint=bucket_url(made, "raw", addressing="virtual")) is row


ENDPOINTS = [
    ("s3", {"region": "eu-central-1"}, "https://s3.eu-central-1.amazonaws.com"),
    ("s3", {}, "https://s3.us-east-1.amazonaws.com"),
    ("s3", {"region": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn"),
    ("r2", {"account": ACCOUNT}, f"https://{ACCOUNT}.r2.cloudflarestorage.com"),
    ("r2", {"account": ACCOUNT, "jurisdiction": "eu"}, f"https://{ACCOUNT}.eu.r2.cloudflarestorage.com"),
    ("hetzner", {"region": "fsn1"}, "https://fsn1.your-objectstorage.com"),
    ("b2", {"region": "us-west-004"}, "https://s3.us-west-004.backblazeb2.com"),
    ("wasabi", {}, "https://s3.us-east-1.wasabisys.com"),
    ("spaces", {"region": "nyc3"}, "https://nyc3.digitaloceanspaces.com"),
    ("tigris", {}, "https://t3.storage.dev"),
    ("minio", {"endpoint": "HTTP://Box.Example:9000/".replace("HTTP", "http")}, "http://box.example:9000"),
    ("s3", {"endpoint": "https://gateway.example/s3/", "region": "x"}, "https://gateway.example/s3"),
]


@pytest.mark.parametrize(("name", "options", "expected"), ENDPOINTS)
def test_where_a_service_is(name, options, expected):
    assert endpoint_of(PRESETS[name], **options) == expected


@pytest.mark.parametrize("name", ["minio", "ceph", "custom", "hetzner", "b2", "spaces", "r2"])
def test_what_is_missing_for_an_endpoint_is_named(name):
    with pytest.raises(ConfigError, match=r"needs the option '(endpoint|region|account_id)'"):
        endpoint_of(PRESETS[name])


@given(st.text(min_size=1))
def test_no_text_of_an_option_gets_out_of_its_place_in_the_host(text):
    for row, options in (("s3", {"region": text}), ("r2", {"account": text}), ("hetzner", {"region": text})):
        try:
            made = endpoint_of(PRESETS[row], **options)
        except ConfigError:
            continue
        assert preset_of("s3", endpoint=made) is PRESETS[row]


@pytest.mark.parametrize(
    "region", ["eu-central-1.evil.example/", "x@evil.example", "x#", "", "../x", "x" * 64, "EU", "a b"]
)
def test_a_region_that_is_none_is_refused(region):
    with pytest.raises(ConfigError, match=r"is no region|needs"):
        endpoint_of(PRESETS["hetzner"], region=region)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.evilamazonaws.com",
        "https://s3.amazonaws.com.evil.example",
        "https://s3-evil-123456.us-east-1.elb.amazonaws.com",
        "https://evil.example/s3.amazonaws.com",
        "https://ec2.us-east-1.amazonaws.com",
        "http://s3.us-east-1.amazonaws.com",
        "https://xamazonaws.com",
    ],
)
def test_a_look_alike_is_not_aws(endpoint):
    assert not is_aws(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.amazonaws.com",
        "https://s3.eu-central-1.amazonaws.com",
        "https://s3-eu-west-1.amazonaws.com",
        "https://raw.data.s3.dualstack.eu-west-1.amazonaws.com",
        "https://s3-fips.us-gov-west-1.amazonaws.com",
        "https://s3-accelerate.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
        "https://bucket.vpce-1a2b-5c6d.s3.us-east-1.vpce.amazonaws.com",
    ],
)
def test_aws_is_recognised(endpoint):
    assert is_aws(endpoint)
    assert preset_of("s3", endpoint=endpoint) is PRESETS["s3"]


def test_an_endpoint_of_which_nothing_is_known_is_not_trusted_with_anything():
    row = preset_of("s3", endpoint="http://127.0.0.1:7070")
    assert (row.put.create, row.put.match, row.complete.create, row.copy.create) == (None, None, None, None)
    assert row.equal_parts
    assert row.upload_check == "content-md5"


def test_who_names_a_service_gets_its_row_whatever_the_endpoint():
    assert preset_of("minio", endpoint="http://127.0.0.1:9000") is PRESETS["minio"]
    assert preset_of("r2", endpoint="http://127.0.0.1:9000") is PRESETS["r2"]


@pytest.mark.parametrize(
    "endpoint", ["s3.example.com", "ftp://x", "https://me:pw@x.example", "https://x/?a=1", "https://"]
)
def test_an_endpoint_that_is_no_address_is_refused_without_showing_it(endpoint):
    with pytest.raises(ConfigError, match="no http") as caught:
        endpoint_of(PRESETS["minio"], endpoint=endpoint)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "expected"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "raw", "https://raw.s3.eu-west-1.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com", "raw.data", "https://s3.eu-west-1.amazonaws.com/raw.data"),
        ("https://s3.us-east-1.amazonaws.com", "Old_Name", "https://s3.us-east-1.amazonaws.com/Old_Name"),
        ("http://127.0.0.1:9000", "raw", "http://127.0.0.1:9000/raw"),
        ("http://[::1]:9000", "raw", "http://[::1]:9000/raw"),
        ("http://localhost:9000", "raw", "http://localhost:9000/raw"),
        ("https://box.example:9000", "raw", "https://raw.box.example:9000"),
    ],
)
def test_a_bucket_is_in_the_host_where_that_works(endpoint, bucket, expected):
    assert bucket_url(endpoint, bucket, addressing="virtual") == expected
    assert bucket_url(endpoint, bucket, addressing="path") == f"{endpoint}/{bucket}"


def test_an_unknown_jurisdiction_is_refused():
    with pytest.raises(ConfigError, match="no jurisdiction"):
        endpoint_of(PRESETS["r2"], account=ACCOUNT, jurisdiction="EU.evil.example")
