"""fsspec's own exam, all 137 tests, on a mount over a real S3 server."""

import pytest

from tests.filesystem import test_abstract_suite as suite

pytestmark = pytest.mark.servers


class _OnS3:
    @pytest.fixture
    def base(self, s3):
        return s3


class TestCopy(_OnS3, suite.TestCopy):
    pass


class TestGet(_OnS3, suite.TestGet):
    pass


class TestPut(_OnS3, suite.TestPut):
    pass


class TestOpen(_OnS3, suite.TestOpen):
    pass


class TestPipe(_OnS3, suite.TestPipe):
    pass
