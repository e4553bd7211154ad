"""Published networks by name.

Block lists of the MnasNet family: tensorflow/tpu, models/official/mnasnet/mnasnet_models.py.
MobileNetV2: Sandler et al., CVPR 2018, table 2.
"""

import re
from dataclasses import replace
from typing import Any

from mnaslat.architecture import Architecture

_MOBILENET_V2 = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r3_k3_s22_e6_i24_o32",
    "r4_k3_s22_e6_i32_o64",
    "r3_k3_s11_e6_i64_o96",
    "r3_k3_s22_e6_i96_o160",
    "r1_k3_s11_e6_i160_o320",
)
_NETWORKS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "mnasnet-a1": (
        (
            "r1_k3_s11_e1_i32_o16_noskip",
            "r2_k3_s22_e6_i16_o24",
            "r3_k5_s22_e3_i24_o40_se0.25",
            "r4_k3_s22_e6_i40_o80",
            "r2_k3_s11_e6_i80_o112_se0.25",
            "r3_k5_s22_e6_i112_o160_se0.25",
            "r1_k3_s11_e6_i160_o320",
        ),
        {},
    ),
    "mnasnet-b1": (
        (
            "r1_k3_s11_e1_i32_o16_noskip",
            "r3_k3_s22_e3_i16_o24",
            "r3_k5_s22_e3_i24_o40",
            "r3_k5_s22_e6_i40_o80",
            "r2_k3_s11_e6_i80_o96",
            "r4_k5_s22_e6_i96_o192",
            "r1_k3_s11_e6_i192_o320_noskip",
        ),
        {},
    ),
    "mnasnet-small": (
        (
            # The official string says i16 here, but the stem has 8 filters and 8 come in.
            "r1_k3_s11_e1_i8_o8",
            "r1_k3_s22_e3_i8_o16",
            "r2_k3_s22_e6_i16_o16",
            "r4_k5_s22_e6_i16_o32_se0.25",
            "r3_k3_s11_e6_i32_o32_se0.25",
            "r3_k5_s22_e6_i32_o88_se0.25",
            "r1_k3_s11_e6_i88_o144",
        ),
        {"dropout": 0.0},
    ),
    "mnasnet-d1": (
        (
            "r1_k3_s11_e9_i32_o24",
            "r3_k3_s22_e9_i24_o36",
            "r5_k3_s22_e9_i36_o48",
            "r4_k5_s22_e9_i48_o96",
            "r5_k7_s11_e3_i96_o96",
            "r3_k3_s22_e9_i96_o80",
            "r1_k7_s11_e6_i80_o320_noskip",
        ),
        {},
    ),
    "mnasnet-d1-320": (
        (
            "r3_k5_s11_e6_i32_o24",
            "r4_k7_s22_e9_i24_o36",
            "r5_k5_s22_e9_i36_o48",
            "r5_k7_s22_e6_i48_o96",
            "r5_k3_s11_e9_i96_o144",
            "r5_k5_s22_e6_i144_o160",
            "r1_k7_s11_e9_i160_o320",
        ),
        {"resolution": 320},
    ),
    "mobilenet-v2": (_MOBILENET_V2, {"activation": "relu6"}),
}


def network_names() -> tuple[str, ...]:
    """The names that ``load_network`` knows; a width can be appended as in ``mnasnet-a1@0.35``."""
    return tuple(_NETWORKS)


def load_network(
    name: str, *, resolution: int | None = None, n_classes: int = 1000
) -> Architecture:
    """A published network by name, with an optional width multiplier (``mobilenet-v2@1.4``).

    Raises:
        ValueError: If the name or the width is not known.

    >>> load_network("mnasnet-a1").blocks[2].first.se_ratio
    0.25
    """
    base, _, width_text = name.lower().replace("_", "-").partition("@")
    if base not in _NETWORKS:
        raise ValueError(f"No network named {name!r}. Known: {', '.join(_NETWORKS)}.")
    if width_text and not re.fullmatch(r"\d+(\.\d+)?", width_text):
        raise ValueError(f"{width_text!r} in {name!r} is not a width; write e.g. {base}@0.75.")
    width = float(width_text or 1.0)
    blocks, settings = _NETWORKS[base]
    architecture = Architecture.from_blocks(blocks, **settings).scaled(width)
    if base == "mobilenet-v2" and width > 1.0:
        # MobileNetV2 widens its head above width 1; the MnasNet family never does.
        architecture = replace(architecture, head_filters=max(1280, int(1280 * width + 4) // 8 * 8))
    return replace(
        architecture,
        n_classes=n_classes,
        resolution=architecture.resolution if resolution is None else resolution,
    )
