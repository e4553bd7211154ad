"""Run a phone in software until Ctrl-C: ``python -m tests.phone --folder DIR``."""

import argparse
import signal
import sys
from pathlib import Path

from tests.phone.benchmark_model import compile_benchmark_model, compiler
from tests.phone.phone import Phone


def main() -> None:
    """Start a phone, say how to use it, and wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.phone", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its files are kept")
    parser.add_argument("--port", type=int, default=0, help="loopback port of its adbd")
    parser.add_argument("--model", default="Test Phone")
    parser.add_argument("--serial-number", default="SIM0001")
    settings = parser.parse_args()
    if reason := Phone.missing():
        sys.exit(reason)
    phone = Phone(
        settings.folder,
        model=settings.model,
        serial_number=settings.serial_number,
        port=settings.port,
    )
    # A program started in the background gets no Ctrl-C, but may be asked to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with phone:
            print(f"Phone {phone.serial} is on. Connect with:  adb connect {phone.serial}")
            if compiler():
                print(f"Its benchmark_model:  {compile_benchmark_model(settings.folder / 'cache')}")
            print("Ctrl-C switches it off.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
