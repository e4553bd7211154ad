"""The code of docs/spaces.md makes a space, and prints what the page shows."""

import re
from pathlib import Path

import numpy as np
import pytest

from mnaslat.space import load_space

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "spaces.md").read_text(encoding="utf-8")
SPACE, USE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PRINTED, ERROR = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("narrow.py")
    path.write_text(SPACE, encoding="utf-8")
    return path


def test_the_page_builds_a_space_in_forty_lines(
    _file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(SPACE.splitlines()) <= 40
    exec(compile("import mnaslat\n" + USE, "page", "exec"), {})
    assert capsys.readouterr().out == PRINTED


def test_its_networks_follow_the_width(_file: Path) -> None:
    space = load_space("narrow.py:narrow", width=0.5, resolution=32, n_classes=10)
    row = space.sample(1, np.random.default_rng(0))[0]
    network = space.decode(row)
    assert (space.encode(network) == row).all()
    assert network.blocks[-1].first.output_filters == 80 and network.n_classes == 10


def test_its_error_is_the_one_shown(_file: Path) -> None:
    code = SPACE.replace('parts[f"block{number}"] = own', 'parts[f"block{number}"] = own[1:]')
    assert code != SPACE
    _file.write_text(code, encoding="utf-8")
    with pytest.raises(ValueError, match=r"does not list") as caught:
        load_space("narrow.py:narrow")
    assert str(caught.value) == ERROR.strip()
