"""Layers that were not measured are priced from those that were.

Latencies here are made up: a roofline-like sum over ops (``_made_up_ms``), which the model has to
find again from examples.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnaslat.graph import Graph
from mnaslat.predictors.table.kernel_model import KernelModel

_N_LEARNT = 200


def _made_up_ms(layer: Graph) -> float:
    total_ms = 0.0
    for shaped in layer.shaped_ops():
        madds_ms = 8e-8 if shaped.op.kind == "dwconv" else 2e-8
        moved = sum(map(math.prod, shaped.inputs)) + math.prod(shaped.output)
        total_ms += shaped.madds * madds_ms + moved * 1e-7 + 0.002
    return total_ms


def _made_up_layers(n: int, seed: int) -> list[Graph]:
    rng = np.random.default_rng(seed)
    found: dict[str, Graph] = {}
    while len(found) < n:
        inputs, outputs = (8 * int(each) for each in rng.integers(1, 9, 2))
        kernel, expansion = int(rng.choice([3, 5])), int(rng.choice([3, 6]))
        window = f"{kernel}x{kernel}" + str(rng.choice(["", "/2"]))
        ops = [
            f"conv1x1>{inputs * expansion}:relu dwconv{window}:relu conv1x1>{outputs}",
            f"dwconv{window}:relu conv1x1>{outputs}",
            f"conv{window}>{outputs}:relu",
        ][int(rng.integers(3))]
        size = int(rng.choice([7, 14, 28]))
        signature = f"fp32 {size}x{size}x{inputs} {ops}"
        found[signature] = Graph.parse(signature)
    return list(found.values())


LAYERS = _made_up_layers(_N_LEARNT + 100, seed=1)
LATENCY_MS = np.array([_made_up_ms(layer) for layer in LAYERS])
HELD_OUT, HELD_OUT_MS = LAYERS[_N_LEARNT:], LATENCY_MS[_N_LEARNT:]


def _fitted(latency_ms: NDArray[np.float64]) -> KernelModel:
    return KernelModel().fit(LAYERS[:_N_LEARNT], latency_ms[:_N_LEARNT])


@pytest.fixture(scope="module")
def model() -> KernelModel:
    return _fitted(LATENCY_MS)


def _price(model: KernelModel, signature: str) -> float:
    return float(model.predict_ms([Graph.parse(signature)])[0])


def test_a_made_up_cost_is_found_again_on_layers_not_seen(model: KernelModel) -> None:
    errors = np.abs(model.predict_ms(HELD_OUT) / HELD_OUT_MS - 1.0)
    assert errors.mean() < 0.05
    assert errors.max() < 0.5


def test_twice_the_latencies_give_twice_the_predictions(model: KernelModel) -> None:
    doubled = _fitted(2.0 * LATENCY_MS)
    np.testing.assert_allclose(
        doubled.predict_ms(HELD_OUT), 2.0 * model.predict_ms(HELD_OUT), rtol=1e-6
    )


def test_a_layer_costs_the_same_alone_and_among_others(model: KernelModel) -> None:
    together = model.predict_ms(HELD_OUT[:5])
    alone = [model.predict_ms([layer])[0] for layer in HELD_OUT[:5]]
    assert together.tolist() == alone


def test_a_kernel_size_never_measured_is_priced_above_the_nearest_measured_one(
    model: KernelModel,
) -> None:
    at_3, at_5, at_7 = (
        _price(model, f"fp32 14x14x32 conv{kernel}x{kernel}>32:relu") for kernel in (3, 5, 7)
    )
    assert at_3 < at_5 < at_7 < 49 / 9 * at_5
    assert at_7 == pytest.approx(_made_up_ms(_layer("conv7x7>32:relu")), rel=0.5)


def _layer(ops: str) -> Graph:
    return Graph.parse(f"fp32 14x14x32 {ops}")


def test_the_nearest_kernel_size_decides_what_a_multiply_add_costs() -> None:
    cost_ms = {3: 1e-8, 5: 5e-8}  # made up, far apart
    layers = [_layer(f"conv{size}x{size}>{8 * n}") for size in cost_ms for n in range(1, 16)]
    made_up_ms = [
        layer.madds * cost_ms[op.op.kernel[0]] for layer in layers for op in layer.shaped_ops()
    ]
    model = KernelModel().fit(layers, np.array(made_up_ms))
    wanted = _layer("conv7x7>64")
    per_madd_ms = model.predict_ms([wanted])[0] / wanted.madds
    assert per_madd_ms == pytest.approx(cost_ms[5], rel=0.5)


def test_a_stride_never_measured_is_priced_like_the_nearest_measured_one(
    model: KernelModel,
) -> None:
    assert (
        0
        < _price(model, "fp32 28x28x32 conv3x3/4>32:relu")
        < _price(model, "fp32 28x28x32 conv3x3>32:relu")
    )


@pytest.mark.parametrize(
    "signature",
    [
        "fp32 14x14x32 avg_pool3x3",
        "fp32 14x14x32 mean conv1x1>8:relu conv1x1>32 logistic mul@0,4",
        "fp32 14x14x32 conv1x1>64 global_pool linear>10",
        "fp32 64 linear>10",
        "fp32 1x1x1 conv1x1>1",
        "fp32 1024x1024x512 conv11x11>2048",
    ],
)
def test_every_layer_has_a_positive_price(model: KernelModel, signature: str) -> None:
    latency_ms = _price(model, signature)
    assert 0 < latency_ms < math.inf


@pytest.mark.parametrize("activation", ["", ":relu6"])
def test_the_activation_costs_nothing(model: KernelModel, activation: str) -> None:
    relu = _price(model, "fp32 14x14x32 conv3x3>32:relu")
    assert _price(model, f"fp32 14x14x32 conv3x3>32{activation}") == relu


def test_arrays_give_the_same_model_bit_for_bit(model: KernelModel) -> None:
    arrays = model.to_arrays()
    assert all(array.dtype != object for array in arrays.values())
    again = KernelModel.from_arrays(arrays)
    assert again.predict_ms(HELD_OUT).tobytes() == model.predict_ms(HELD_OUT).tobytes()
    assert all((again.to_arrays()[name] == array).all() for name, array in arrays.items())


_FIT_ANEW = """
import sys
import numpy as np
from mnaslat.graph import Graph
from mnaslat.predictors.table.kernel_model import KernelModel

with np.load(sys.argv[1]) as given:
    learnt = [Graph.parse(signature) for signature in given["signatures"]]
    held_out = [Graph.parse(signature) for signature in given["held_out"]]
    predicted_ms = KernelModel().fit(learnt, given["latency_ms"]).predict_ms(held_out)
print(predicted_ms.tobytes().hex())
"""


def test_the_same_data_give_the_same_model_in_a_fresh_process(
    model: KernelModel, tmp_path: Path
) -> None:
    np.savez(
        tmp_path / "data.npz",
        signatures=[layer.signature for layer in LAYERS[:_N_LEARNT]],
        held_out=[layer.signature for layer in HELD_OUT],
        latency_ms=LATENCY_MS[:_N_LEARNT],
    )
    printed = subprocess.run(
        [sys.executable, "-c", _FIT_ANEW, str(tmp_path / "data.npz")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    ).stdout
    assert bytes.fromhex(printed) == model.predict_ms(HELD_OUT).tobytes()


def test_too_few_layers_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"at least 8 measured layers .* got 7 .*longer\."):
        KernelModel().fit(LAYERS[:7], LATENCY_MS[:7])
    with pytest.raises(ValueError, match="with one latency each"):
        KernelModel().fit(LAYERS[:9], LATENCY_MS[:8])


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, math.nan, math.inf])
def test_latencies_that_no_clock_gives_are_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        KernelModel().fit(LAYERS[:9], np.array([latency_ms, *LATENCY_MS[1:9]]))


def test_arrays_that_do_not_fit_together_are_refused(model: KernelModel) -> None:
    arrays = model.to_arrays()
    for name, wrong, reason in (
        ("scale", arrays["scale"][1:], "wrong shape"),
        ("coefficients", arrays["coefficients"][1:], "wrong shape"),
        ("scale", arrays["scale"] * np.nan, "not finite"),
        ("tree_left", arrays["tree_left"][:0], "do not fit together"),
        ("tree_feature", arrays["tree_feature"] + 10**6, "do not exist"),
    ):
        with pytest.raises(ValueError, match=reason):
            KernelModel.from_arrays({**arrays, name: wrong})


def test_an_unmeasured_transposed_convolution_is_priced_like_a_convolution() -> None:
    layers = [
        Graph.parse(f"fp32 28x28x{channels} {op}")
        for channels in (16, 32, 48, 64)
        for op in (f"conv3x3>{channels}", "hard_swish")
    ]
    latency_ms = [1e-7 * sum(op.madds for op in layer.shaped_ops()) + 0.002 for layer in layers]
    model = KernelModel().fit(layers, latency_ms)
    transposed, activation = (
        model.predict([Graph.parse(f"fp32 28x28x48 {op}")])[0]
        for op in ("conv_transpose2x2/2>48", "logistic")
    )
    assert transposed > 50 * activation


def test_fast_layers_are_priced_as_well_as_slow_ones() -> None:
    # Over four orders of magnitude: absolute errors would let the slow layers decide all.
    layers = [Graph.parse(f"fp32 {size}x{size}x16 conv3x3>16") for size in range(4, 112)]
    latency_ms = np.array([1e-5 * layer.madds / 16 + 2e-3 for layer in layers])
    noise = np.exp(np.random.default_rng(0).normal(0.0, 0.05, len(layers)))
    model = KernelModel().fit(layers, latency_ms * noise)
    errors = np.abs(
        np.log(model._roofline_ms(model._features(layers)[0] / model._scale) / latency_ms)
    )
    assert errors[:20].mean() < 0.05 and errors[-20:].mean() < 0.05
