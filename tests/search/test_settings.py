"""Settings can be checked before anything is loaded that takes time."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_checking_settings_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from mnaslat.search.reward import RewardSettings\n"
        "from mnaslat.search.settings import SearchSettings\n"
        "for preset in ('fast', 'paper'):\n"
        "    SearchSettings(reward=RewardSettings.hard(7.0), preset=preset)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "optuna", "sklearn"} & set(done.stdout.split())


def test_naming_searchers_and_accuracy_sources_loads_none() -> None:
    code = (
        "import sys\n"
        "from mnaslat.search.searchers.registry import SEARCHERS\n"
        "from mnaslat.search.accuracy.sources import SOURCES\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "optuna", "sklearn", "numpy"} & set(done.stdout.split())
