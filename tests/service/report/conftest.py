from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.api.serving import Serving, make_settings, migrated_database, serving


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_database(tmp_path_factory.mktemp("database"))


@pytest.fixture
def served(tmp_path: Path, database_template: Path) -> Iterator[Serving]:
    with serving(make_settings(tmp_path / "data", database_template, max_upload_bytes=200_000)) as running:
        yield running
