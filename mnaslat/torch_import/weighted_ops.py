"""Torch operations with weights, matrix products and normalisation."""

import math
from typing import Any, cast

from mnaslat.graph import VALID, Padding, Pair, Shape
from mnaslat.graph.fusion import same_padding
from mnaslat.torch_import.strided_views import Sizes, View, lying, shape_in
from mnaslat.torch_import.tracing import Call, Constant, Traced
from mnaslat.torch_import.translation import IMAGE_ORDER, Translation, pair_of, translates


@translates("convolution", "_convolution")
def _convolution(to: Translation, call: Call) -> bool:
    image, weight, bias, stride, padding, dilation, transposed, extra, groups = call.args[:9]
    rank = len(weight.shape) - 2
    if not isinstance(image, Traced) or not isinstance(weight, Constant) or rank > 2:
        return False
    view = to.view(image)
    kernel = cast(Pair, tuple(weight.shape[2:]))
    settings = [pair_of(one) for one in (stride, padding, dilation, extra)]
    if rank == 1:  # an image of one row
        lifted = view.reshaped((*view.sizes[:2], 1, view.sizes[2]))
        assert lifted is not None  # a dimension of size 1 fits anywhere
        view, kernel = lifted, (1, kernel[0])
        settings = [(neutral, one[0]) for neutral, one in zip((1, 0, 1, 0), settings, strict=True)]
    steps, pads, spread, extra_pads = settings
    value = to.read(view, IMAGE_ORDER)
    if view.sizes[0] != 1:
        return False
    fields: dict[str, Any] = {
        "kernel": kernel,
        "stride": steps,
        "dilation": spread,
        "bias": bias is not None,
    }
    channels = view.sizes[1]
    if transposed:
        value = _transposed(to, value, weight.shape[1] * groups, groups, pads, extra_pads, fields)
    else:
        symmetric: Padding = (pads[0], pads[0], pads[1], pads[1])
        fields["padding"] = ""
        if not same_padding(to.builder.shape(value), kernel, steps, spread, symmetric):
            value = to.padded(value, symmetric, 0.0)
            fields["padding"] = VALID
        filters = weight.shape[0]
        if groups == channels and groups > 1:
            value = to.add("dwconv", value, filters=0 if filters == channels else filters, **fields)
        else:
            value = to.add("conv", value, filters=filters, groups=groups, **fields)
    height, width, filters = to.builder.shape(value)
    result = lying(value, (1, filters, height, width), IMAGE_ORDER)
    if rank == 1:
        result = View(value, (1, filters, width), (result.strides[0], 1, filters))
    return to.alias(call.outputs[0], result)


def _transposed(
    to: Translation,
    value: int,
    filters: int,
    groups: int,
    pads: Pair,
    extra: Pair,
    fields: dict[str, Any],
) -> int:
    steps, kernel, spread = fields["stride"], fields["kernel"], fields["dilation"]
    cuts = [(pad, pad - more) for pad, more in zip(pads, extra, strict=True)]
    same = True
    for (before, after), step, size, wide in zip(cuts, steps, kernel, spread, strict=True):
        total = wide * (size - 1) + 1 - step
        same = (
            same
            and total >= 0
            and (before, after)
            in (
                (total // 2, total - total // 2),
                (total - total // 2, total // 2),
            )
        )
    missing = [max(0, -after) for _, after in cuts]
    padding = tuple(max(0, one) for cut in cuts for one in cut)
    fields["padding"] = "" if same else padding
    value = to.add("conv_transpose", value, filters=filters, groups=groups, **fields)
    return to.padded(value, (0, missing[0], 0, missing[1]), 0.0)


@translates("addmm", "mm")
def _linear(to: Translation, call: Call) -> bool:
    if call.name == "addmm":
        bias, image, weight = call.args[:3]
        if not isinstance(bias, Constant):
            return False
    else:
        (image, weight), bias = call.args[:2], None
    if isinstance(image, Constant) and isinstance(weight, Traced) and bias is None:
        view = _dense(to, to.view(weight).permuted((1, 0)), image.shape[0], False)
        return to.alias(call.outputs[0], view.permuted((1, 0)))
    if isinstance(weight, Constant):
        view = _dense(to, to.view(image), weight.shape[1], bias is not None)
        return to.alias(call.outputs[0], view)
    return _product(to, call, to.view(image), to.view(weight)) if bias is None else False


def _dense(to: Translation, view: View, filters: int, bias: bool) -> View:
    """A dense layer on each row."""
    rows, inputs = view.sizes
    image = to.builder.shape(view.value)
    if view.lies_in((0, 1)) and len(image) == 3 and image[2] == inputs and rows > 1:
        # Pixels, each of which is a row: what a 1x1 convolution computes.
        value = to.add("conv", view.value, filters=filters, bias=bias)
    else:
        value = to.add("linear", to.read(view, (0, 1)), filters=filters, bias=bias)
    return lying(value, (rows, filters), (0, 1))


@translates("bmm")
def _batch_product(to: Translation, call: Call) -> bool:
    first, second = call.args[:2]
    output = call.outputs[0]
    if isinstance(first, Traced) and isinstance(second, Traced):
        return _product(to, call, to.view(first), to.view(second))
    # Usually one matrix of weights for the whole batch: a dense layer on all its rows.
    turned = isinstance(first, Constant)
    view = to.view(second).permuted((0, 2, 1)) if turned else to.view(first)
    batch, rows, inputs = view.sizes
    filters = first.shape[1] if turned else second.shape[2]
    value = to.read(view, (0, 1, 2))
    if to.builder.shape(value) != (batch * rows, inputs):
        value = to.add("reshape", value, size=(batch * rows, inputs))
    value = to.add("linear", value, filters=filters, bias=False)
    result = lying(value, (batch, rows, filters), (0, 1, 2))
    return to.alias(output, result.permuted((0, 2, 1)) if turned else result)


def _product(to: Translation, call: Call, first: View, second: View) -> bool:
    rank = len(first.sizes)
    output = call.outputs[0]
    order = tuple(range(rank))
    # A single row or batch is written too: a product needs two matrices.
    values = [_matrix(to, view, order) for view in (first, second)]
    size = output.shape[-2:] if math.prod(output.shape[:-2]) == 1 else output.shape
    return to.put(output, to.add("matmul", *values, size=size), order)


def _matrix(to: Translation, view: View, order: tuple[int, ...]) -> int:
    value = to.read(view, order)
    size = view.sizes[-2:] if math.prod(view.sizes[:-2]) == 1 else view.sizes
    if to.builder.shape(value) != size:
        value = to.add("reshape", value, size=size)
    return value


@translates(
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math",
)
def _attention(to: Translation, call: Call) -> bool:
    if not all(isinstance(one, Traced) for one in call.args[:3]):
        return False
    queries, keys, values = (to.view(one) for one in call.args[:3])
    order = tuple(range(len(queries.sizes)))
    swapped = (*order[:-2], order[-1], order[-2])
    scaled = to.elementwise(queries, "scale", constant=queries.sizes[-1] ** -0.5)
    keys = keys.permuted(swapped)
    sizes = (*queries.sizes[:-1], keys.sizes[-1])
    fine = [_matrix(to, scaled, order), _matrix(to, keys, order)]
    weights = to.add("softmax", to.add("matmul", *fine, size=_drop_ones(sizes)))
    size = _drop_ones((*sizes[:-1], values.sizes[-1]))
    value = to.add("matmul", weights, _matrix(to, values, order), size=size)
    return to.put(call.outputs[0], value, order)


def _drop_ones(sizes: Sizes) -> Shape:
    return sizes[-2:] if math.prod(sizes[:-2]) == 1 else sizes


@translates(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "_batch_norm_no_update",
)
def _batch_norm(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    training = "no_training" not in call.name and call.args[5] is True
    if training:  # it has no statistics of its own: normalises each image
        own, _, order = to.unexpanded(view)
        value = to.read(own, order)
        kept = tuple(size if dim < 2 else 1 for dim, size in enumerate(own.sizes))
        value = to.normalized(value, shape_in(kept, order), 2 if call.args[1] else 0)
        return to.put(call.outputs[0], value, order)
    scaled = to.elementwise(view, "scale", "shift", norm=True, foldable=True)
    return to.alias(call.outputs[0], scaled)


@translates("native_layer_norm", "_fused_rms_norm")
def _layer_norm(to: Translation, call: Call) -> bool:
    image, shape, weight = call.args[:3]
    own, _, order = to.unexpanded(to.view(image))
    value = to.read(own, order)
    rank = len(own.sizes)
    kept = tuple(1 if dim >= rank - len(shape) else size for dim, size in enumerate(own.sizes))
    value = to.normalized(value, shape_in(kept, order), 2 if weight is not None else 0)
    return to.put(call.outputs[0], value, order)


@translates("native_group_norm")
def _group_norm(to: Translation, call: Call) -> bool:
    image, weight, groups = call.args[0], call.args[1], call.args[6]
    view = to.view(image)
    if view.sizes[0] != 1 or len(view.sizes) != 4:
        return False
    value = to.read(view, IMAGE_ORDER)
    height, width, channels = to.builder.shape(value)
    over: Shape = (1, 1, 1)
    if groups > 1:
        value = to.add("reshape", value, size=(height * width, groups, channels // groups))
        over = (1, groups, 1)
    value = to.normalized(value, over, 0)
    if groups > 1:
        value = to.add("reshape", value, size=(height, width, channels))
    if weight is not None:
        value = to.add("scale", value, norm=True, foldable=True)
        value = to.add("shift", value, norm=True, foldable=True)
    return to.put(call.outputs[0], value, IMAGE_ORDER)
