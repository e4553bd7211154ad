"""``python -m mnaslat`` is the command line."""

from mnaslat.cli import main

main()
