"""What tests of the Python API share: a calibrated workspace, and the rule that nothing prints."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnaslat.data.workspace import Workspace
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.workflow.calibrate import Calibration
from tests.workflow.made_up_device import calibrated, searched


@pytest.fixture(autouse=True)
def prints_nothing(
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """Fail a test in which the workflow wrote to the standard streams."""
    if {"cli", "capsys"} & set(request.fixturenames):  # the command line prints
        yield
        return
    capture: pytest.CaptureFixture[str] = request.getfixturevalue("capfd")
    yield
    output = capture.readouterr()
    assert (output.out, output.err) == ("", "")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """A predictor of the small space on the made-up device; its workspace is not to be changed."""
    return calibrated(tmp_path_factory.mktemp("calibrated"))


@pytest.fixture(scope="module")
def run(calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    """A finished search in a workspace of its own, which is not to be changed."""
    return searched(calibration.predictor, Workspace(tmp_path_factory.mktemp("searched")))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "workspace")
