"""Computes a fingerprint of the initial estimates of unit costs.

A cost model's file holds factors on the estimates of ``op_terms``. With other estimates they would
give wrong milliseconds without an error. So each file stores the fingerprint of its estimates, and
is refused if it differs: a hash of the terms and estimates of the layers below.
"""

import hashlib
import json
from functools import cache

from mnaslat.graph import Graph, Precision
from mnaslat.predictors.cost_model.op_terms import Runtime, layer_terms

# Every cost of the table of kinds, in each case that the estimates distinguish. Adding one here
# makes all files unreadable, as a changed estimate does. A new kind of a known cost needs none.
PROBES: tuple[str, ...] = (
    # Windows with weights: what takes the picture, one pixel, tiles that are not full, grey.
    "32x32x3 conv3x3/2>16",
    "33x31x1 conv5x5>12",
    "14x14x30 conv1x1>20",
    "1x1x96 conv1x1>40",
    "28x28x64 conv3x3>64",  # Winograd on a GPU
    "48x48x32 conv3x3>40",
    "48x48x24 conv3x3>24",
    "28x28x64 conv3x3/2>72",
    "28x28x64 conv3x3~2>72",
    "17x17x24 conv1x7+0x0x3x3>20",
    "14x14x32 conv3x3>48%4",
    "14x14x20 dwconv3x3",
    "14x14x24 dwconv5x5/2",
    "14x14x16 dwconv3x3>32",
    "7x7x24 conv_transpose2x2/2>12",
    "7x7x24 conv_transpose3x3/2>16%2",
    "128 linear>10",
    "49x64 linear>24",
    "7x16x16 matmul=7x16x16@0,0",
    # Pools and reductions.
    "14x14x24 avg_pool3x3/2",
    "7x7x24 avg_pool7x7/7",
    "14x14x24 max_pool2x2/2",
    "7x7x24 mean",
    "7x7x24 global_pool",
    "7x7x24 sum=7x7",
    "7x7x24 reduce_max=7x7",
    # Two tensors, alike and broadcast.
    "7x7x24 add@0,0",
    "7x7x24 mean add@0,1",
    "7x7x24 sub@0,0",
    "7x7x24 mul@0,0",
    "7x7x24 mean mul@0,1",
    "7x7x24 div@0,0",
    "7x7x24 maximum@0,0",
    "7x7x24 minimum@0,0",
    # Element by element.
    *(
        f"7x7x24 {kind}"
        for kind in (
            "shift scale relu relu6 relu_n1_to_1 leaky_relu prelu elu gelu hard_swish logistic "
            "tanh softmax exp log sqrt rsqrt square abs neg"
        ).split()
    ),
    # Moving elements; a pad and a reshape are free.
    "7x7x24 relu concat@0,1",
    "8x8x24 slice=4x8x12",
    "8x8x24 pad+1 conv3x3+0>8",
    "8x8x24 resize=16x16x24",
    "8x8x24 resize_nearest=16x16x24",
    "8x8x24 shuffle%4",
    "8x8x24 transpose=24x8x8",
    "8x8x24 reshape=1536",
    "1x1x24 broadcast=8x8x24",
    "8x8x24 unknown.fft=8x8x24",
)


@cache
def guesses_fingerprint(runtime: Runtime, precision: Precision) -> str:
    """Return sixteen hexadecimal digits that identify the estimates of a runtime and precision.

    Estimates are rounded to nine digits, so that it is the same on every machine.
    """
    probes = [
        [
            [*term, f"{ms:.9g}"]
            for layer in Graph.parse(f"{precision} {probe}").layers
            for term, ms in sorted(layer_terms(layer, runtime, precision).items())
        ]
        for probe in PROBES
    ]
    return hashlib.sha256(json.dumps(probes).encode()).hexdigest()[:16]
