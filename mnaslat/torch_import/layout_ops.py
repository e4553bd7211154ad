"""Torch operations that move elements, or only look at them in another way."""

import math
from typing import cast

from mnaslat.graph import Kind
from mnaslat.graph.importing import shuffled_groups
from mnaslat.torch_import.strided_views import Sizes, View, lying, shape_in, usual_order
from mnaslat.torch_import.tracing import Call, Traced
from mnaslat.torch_import.translation import IMAGE_ORDER, Translation, traced, translates, without


@translates(
    *"alias clone contiguous detach dropout native_dropout lift_fresh _to_copy positive".split(),
    *"as_strided resize_as_".split(),
)
def _same(to: Translation, call: Call) -> bool:
    if call.outputs[0].shape != call.args[0].shape:
        return False
    return to.alias(call.outputs[0], to.view(call.args[0]))


@translates(
    *"view _unsafe_view reshape _reshape_alias unsqueeze squeeze flatten unflatten".split(),
    *"view_copy squeeze_copy unsqueeze_copy".split(),
)
def _reshape(to: Translation, call: Call) -> bool:
    view, output = to.view(call.args[0]), call.outputs[0]
    reshaped = view.reshaped(output.shape)
    if reshaped is not None:
        return to.alias(output, reshaped)
    order = usual_order(len(output.shape))
    size = shape_in(output.shape, order)
    groups = _shuffled_groups(view, output.shape)
    if groups and to.builder.shape(view.value) == size:
        return to.put(output, to.add("shuffle", view.value, groups=groups), order)
    if view.is_expanded:
        whole = usual_order(len(view.sizes))
        moved = lying(to.read(view, whole), view.sizes, whole)
        reshaped = moved.reshaped(output.shape)
        if reshaped is not None:
            return to.alias(output, reshaped)
        view = moved
    return to.put(output, to.add("transpose", view.value, size=size or (1,)), order)


def _shuffled_groups(view: View, sizes: Sizes) -> int:
    """Groups of a channel shuffle: (1, C / groups, groups, H, W) made (1, C, H, W)."""
    if len(view.sizes) != 5 or not view.lies_in((0, 3, 4, 2, 1)):
        return 0
    _, inner, groups, height, width = view.sizes
    if sizes[1:] != (inner * groups, height, width):
        return 0
    return shuffled_groups((height, width, groups, inner), (height, width, inner, groups))


@translates("permute", "transpose", "t", "movedim", "permute_copy", "transpose_copy")
def _permute(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    rank = len(view.sizes)
    if call.name.startswith("permute"):
        dims = [dim % rank for dim in call.args[1]]
    else:
        first, second = (0, rank - 1) if call.name == "t" else call.args[1:3]
        dims = list(range(rank))
        dims[first], dims[second] = dims[second], dims[first]
    return to.alias(call.outputs[0], view.permuted(dims))


@translates("expand", "expand_copy")
def _expand(to: Translation, call: Call) -> bool:
    return to.alias(call.outputs[0], to.view(call.args[0]).expanded(call.outputs[0].shape))


@translates("repeat")
def _repeat(to: Translation, call: Call) -> bool:
    view, output = to.view(call.args[0]), call.outputs[0]
    sizes = (1,) * (len(output.shape) - len(view.sizes)) + view.sizes
    if all(size in (1, wanted) for size, wanted in zip(sizes, output.shape, strict=True)):
        return to.alias(output, view.expanded(output.shape))
    own, value, _ = to.unexpanded(view)
    order = usual_order(len(output.shape))
    return to.put(output, to.add("broadcast", value, size=shape_in(output.shape, order)), order)


# --- Moving elements ----------------------------------------------------------------------------


@translates("slice", "select", "split", "split_with_sizes", "unbind", "index_select", "narrow")
def _slice(to: Translation, call: Call) -> bool:
    view = to.view(call.args[0])
    if call.name == "unbind":
        dim = call.args[1]
    elif call.name in ("split", "split_with_sizes"):
        dim = call.args[2]
    else:
        dim = call.args[1]
    dim %= len(view.sizes)
    dropped = call.name in ("select", "unbind")
    for output in call.outputs:
        size = 1 if dropped else output.shape[dim]
        to.alias(output, _part(to, view, dim, size, dropped))
    return True


def _part(to: Translation, view: View, dim: int, size: int, dropped: bool = False) -> View:
    """A part of a view along one dimension, which is dropped if it is one element."""
    rest = [each for each in range(len(view.sizes)) if each != dim or not dropped]
    sizes = tuple(size if each == dim else whole for each, whole in enumerate(view.sizes))
    if sizes == view.sizes or view.strides[dim] == 0:
        return View(view.value, sizes, view.strides).permuted(rest)
    own, value, order = to.unexpanded(view)
    own_sizes = tuple(size if each == dim else whole for each, whole in enumerate(own.sizes))
    shape = without(own_sizes, order, {dim} if dropped else set())
    value = to.add("slice", value, size=shape)
    return lying(value, own_sizes, order).expanded(sizes).permuted(rest)


@translates("index")
def _index(to: Translation, call: Call) -> bool:
    if traced(call.args[1]):
        return False
    own, value, _ = to.unexpanded(to.view(call.args[0]))
    output = call.outputs[0]
    order = usual_order(len(output.shape))
    size = shape_in(output.shape, order) or (1,)
    return to.put(output, to.add("slice", value, size=size), order)


@translates("cat", "stack")
def _concat(to: Translation, call: Call) -> bool:
    tensors = [one for one in call.args[0] if isinstance(one, Traced)]
    output, dim = call.outputs[0], call.args[1]
    dim %= len(output.shape)
    views = [to.view(one) for one in tensors]
    if call.name == "stack":
        sizes = tuple(1 if each == dim else size for each, size in enumerate(output.shape))
        views = [cast(View, view.reshaped(sizes)) for view in views]
    views = [view for view in views if view.sizes[dim : dim + 1] != (0,)]
    if len(views) == 1 == len(call.args[0]):
        return to.alias(output, views[0])
    largest = max(views, key=lambda view: math.prod(view.own_sizes))
    order = to.order(View(largest.value, largest.own_sizes, largest.strides))
    whole = shape_in(output.shape, order)
    values = [
        to.read(view, order) if order[-1] == dim else to.lying_in(view, order) for view in views
    ]
    shapes = [to.builder.shape(value) for value in values]
    # A size is needed where another axis is joined, or constants are among what is joined.
    plain = order[-1] == dim and all(len(one) == len(whole) for one in shapes)
    plain = plain and sum(one[-1] for one in shapes) == whole[-1] and len(values) > 1
    value = to.add("concat", *values, size=() if plain else whole)
    return to.put(output, value, order)


@translates("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _pad(to: Translation, call: Call) -> bool:
    view, pads, output = to.view(call.args[0]), list(call.args[1]), call.outputs[0]
    rank = len(view.sizes)
    by_dim = {
        rank - 1 - position: (pads[2 * position], pads[2 * position + 1])
        for position in range(len(pads) // 2)
    }
    for dim, (before, after) in by_dim.items():
        cut = max(0, -before) + max(0, -after)
        if cut:
            view = _part(to, view, dim, view.sizes[dim] - cut)
            by_dim[dim] = (max(0, before), max(0, after))
    if view.sizes == output.shape:
        return to.alias(output, view)
    fill = 0.0
    if call.name == "constant_pad_nd":
        fill = float(call.args[2] if len(call.args) > 2 and call.args[2] is not None else 0.0)
    elif call.name != "constant_pad_nd":
        fill = math.nan  # mirrors the image: never the same as SAME
    order = to.order(view)
    value = to.read(view, order)
    dims = order[1:] if order[0] == 0 and view.sizes[0] == 1 else order
    if len(dims) > 3 or any(any(by_dim.get(dim, ())) for dim in order if dim not in dims):
        return False
    missing = 3 - len(dims)
    if missing:
        value = to.add("reshape", value, size=(1,) * missing + to.builder.shape(value))
    around = [(0, 0)] * missing + [by_dim.get(dim, (0, 0)) for dim in dims]
    rows, columns, channels = around
    filters = view.sizes[dims[-1]] + sum(channels) if any(channels) else 0
    value = to.add("pad", value, padding=(*rows, *columns), filters=filters, constant=fill)
    return to.put(output, value, order)


@translates("roll")
def _roll(to: Translation, call: Call) -> bool:
    image, shifts, dims = call.args[:3]
    view = to.view(image)
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(view.sizes)
        shift %= view.sizes[dim]
        if shift:
            own, value, order = to.unexpanded(view)
            sizes = [list(own.sizes), list(own.sizes)]
            sizes[0][dim], sizes[1][dim] = shift, own.sizes[dim] - shift
            parts = [to.add("slice", value, size=shape_in(one, order)) for one in sizes]
            value = to.add("concat", *parts, size=shape_in(own.sizes, order))
            view = lying(value, own.sizes, order)
    return to.alias(call.outputs[0], view)


@translates("upsample_bilinear2d", "upsample_nearest2d", "_upsample_nearest_exact2d")
def _resize(to: Translation, call: Call) -> bool:
    value = to.read(to.view(call.args[0]), IMAGE_ORDER)
    output = call.outputs[0]
    kind: Kind = "resize" if "bilinear" in call.name else "resize_nearest"
    size = shape_in(output.shape, IMAGE_ORDER)
    return to.put(output, to.add(kind, value, size=size), IMAGE_ORDER)


@translates("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def _pixel_shuffle(to: Translation, call: Call) -> bool:
    value = to.read(to.view(call.args[0]), IMAGE_ORDER)
    output = call.outputs[0]
    if call.name == "channel_shuffle":
        return to.put(output, to.add("shuffle", value, groups=call.args[1]), IMAGE_ORDER)
    size = shape_in(output.shape, IMAGE_ORDER)
    return to.put(output, to.add("transpose", value, size=size), IMAGE_ORDER)
