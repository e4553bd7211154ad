"""The command line, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def mnaslat_command(workspace: Path, *arguments: str) -> Any:
    """Run a command in a workspace and read its JSON."""
    command = [sys.executable, "-m", "mnaslat", *arguments, "--workspace", str(workspace), "--json"]
    print("$ mnaslat", *arguments, flush=True)
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
