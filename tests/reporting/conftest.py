"""What several tests of reports share."""

import pytest

from tests.reporting.report_kit import page_of, write_result


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(write_result(tmp_path_factory.mktemp("reports") / "bottle"), about={"made by": "a test"})
