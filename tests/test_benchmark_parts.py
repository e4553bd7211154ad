"""What the benchmarks are made of."""

import runpy
from collections import Counter
from pathlib import Path

from mnaslat.predictors import measured_networks

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def test_every_network_measured_has_its_family() -> None:
    families_of = runpy.run_path(str(BENCHMARKS / "_phones.py"))["families_of"]
    assert Counter(families_of(list(measured_networks()))) == {
        "resnet": 31,
        "mobilenet": 12,
        "mobilenetv3": 10,
        "regnet": 10,
        "mobilenetv2": 8,
        "proxylessnas": 5,
        "resnext": 4,
        "squeezenet": 4,
        "efficientnet": 3,
        "densenet": 2,
        "hardnet": 2,
        "hrnet": 2,
        "mnasnet": 2,
        "bagnet": 1,
        "bninception": 1,
        "dla46c": 1,
        "fbnet": 1,
        "ghostnet": 1,
        "peleenet": 1,
        "vovnet27s": 1,
    }
