from pathlib import Path

import pytest

from tests.runtime.samples import classifier


@pytest.fixture(scope="session")
def classifier_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "classifier.obn"
    path.write_bytes(classifier().to_bytes())
    return path
