"""Runs a torch module without computing anything and writes down what it would compute.

The module is copied with its weights replaced by tensors that have a shape and no memory, and runs
on such an image. All that Python does on the way (loops, branches on shapes, functional calls,
in-place ops) happens as usual; every primitive operation that depends on the image is recorded.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from mnaslat.errors import UnsupportedOperation

# Read a tensor's shape or kind only: their results are constants.
_MAKERS = frozenset(
    "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty "
    "new_full new_empty_strided".split()
)


@dataclass(frozen=True)
class Traced:
    """A tensor that depends on the image: its number in the trace and its shape."""

    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the image: a weight, or something computed from weights."""

    shape: tuple[int, ...]
    value: float | None = None  # of a tensor of one element, where known


@dataclass(frozen=True)
class Call:
    """One primitive operation, with tensors replaced by ``Traced`` and ``Constant``."""

    name: str  # of the operation, e.g. "convolution"; in-place ones without the underscore
    args: tuple[Any, ...]  # all parameters of the operation in order, defaults filled in
    outputs: tuple[Traced, ...]
    path: str  # of the module that called it


@dataclass(frozen=True)
class Trace:
    """The operations of a module on an image."""

    image: Traced
    calls: tuple[Call, ...]
    outputs: tuple[Traced, ...]


def trace(module: nn.Module, input_shape: Sequence[int]) -> Trace:
    """Record what a module would compute on one image, as in evaluation.

    Args:
        module: Left as it is: neither its weights nor its mode change.
        input_shape: (1, channels, height, width).

    Raises:
        UnsupportedOperation: If the module cannot run on a tensor without values, or changes
            tensors in a way that cannot be followed.
    """
    hollow = _hollow(module).eval()
    dtypes = [one.dtype for one in hollow.parameters() if one.is_floating_point()]
    recorder = _Recorder()
    for path, each in hollow.named_modules():
        each.register_forward_pre_hook(_entering(recorder, path))
        each.register_forward_hook(_leaving(recorder))
    image = torch.empty(tuple(input_shape), dtype=(dtypes or [torch.float32])[0], device="meta")
    start = recorder.follow(image)
    try:
        with torch.no_grad(), recorder:
            result = hollow(image)
    except UnsupportedOperation:
        raise
    except Exception as error:  # any error of the module itself
        if "on meta tensors" in str(error):
            raise UnsupportedOperation(
                f"{recorder.place()} decides by the values of a tensor (an if on it, item(), "
                "tolist()), but nothing is computed here. Import a module that takes one of the "
                "branches always."
            ) from None
        raise UnsupportedOperation(
            f"The module cannot be traced on an input of shape {tuple(input_shape)}: in "
            f"{recorder.place()} it raised {type(error).__name__}: {_first_line(error)}"
        ) from error
    outputs = tuple(
        recorder.read(one) for one in tree_flatten(_plain(result))[0] if recorder.follows(one)
    )
    if not outputs:
        raise UnsupportedOperation("No output of the module depends on its input.")
    return Trace(start, tuple(recorder.calls), outputs)


def _hollow(module: nn.Module) -> nn.Module:
    """A copy of a module whose weights have no memory. Its weights are never copied."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        if isinstance(parameter, UninitializedParameter):
            raise UnsupportedOperation(
                "The module has weights without a shape: run it once on an image, then import it."
            )
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=False
        )
    for buffer in module.buffers():
        if buffer.numel() > 1:  # single numbers may decide what the module does
            memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # locks, open files and other things that modules hold
        raise UnsupportedOperation(
            f"The module cannot be copied ({type(error).__name__}: {_first_line(error)}), which "
            "importing needs to leave it as it is."
        ) from error


def _entering(recorder: "_Recorder", path: str) -> Any:
    def hook(module: nn.Module, inputs: Any) -> None:
        recorder.places.append((path, type(module).__name__))

    return hook


def _leaving(recorder: "_Recorder") -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        recorder.places.pop()

    return hook


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _plain(result: Any) -> Any:
    """Containers that torch does not look into, as plain ones."""
    if isinstance(result, Tensor | dict | list | tuple) or not hasattr(result, "__dict__"):
        return result
    return list(vars(result).values())


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Follows the tensors that depend on the image."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled in here, and loading the compiler takes two seconds

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.places: list[tuple[str, str]] = []
        self._numbers: dict[int, int] = {}  # by id: a tensor changed in place gets a new number
        self._sharing: dict[int, set[int]] = {}  # ids of the tensors that share a storage
        self._stale: set[int] = set()
        self._kept: list[Tensor] = []  # an id is worth something only while its tensor lives
        self._next = 0

    def place(self) -> str:
        """Where the module is at work, for people."""
        if not self.places:
            return "the module itself"
        path, kind = self.places[-1]
        return f"{path} ({kind})" if path else f"the module itself ({kind})"

    def follow(self, tensor: Tensor) -> Traced:
        """Give a tensor a new number."""
        self._numbers[id(tensor)] = self._next
        self._next += 1
        self._kept.append(tensor)
        self._stale.discard(id(tensor))
        self._sharing.setdefault(_storage(tensor), set()).add(id(tensor))
        return self.read(tensor)

    def follows(self, value: Any) -> bool:
        """Whether a value is a tensor that depends on the image."""
        return isinstance(value, Tensor) and id(value) in self._numbers

    def read(self, tensor: Tensor) -> Traced:
        """The number and shape of a tensor that is followed."""
        if id(tensor) in self._stale:
            raise UnsupportedOperation(
                f"{self.place()} reads a tensor that was changed in place through another view of "
                "it, which cannot be followed. Write the change without in-place operations."
            )
        return Traced(self._numbers[id(tensor)], tuple(tensor.shape))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        followed = any(id(one) in self._numbers for one in given)
        changed = _changed(func, args, kwargs) if func._schema.is_mutable else []
        if any(one.device.type == "meta" for one in given):
            if any(one.device.type != "meta" for one in changed):
                self._refuse_write(func)
            run_args, run_kwargs = tree_map(_without_memory, (args, kwargs))
        else:
            run_args, run_kwargs = args, kwargs
        name = func._schema.name.partition("::")[2]
        if not followed or name in _MAKERS:
            return func(*run_args, **run_kwargs)
        if any(id(one) not in self._numbers for one in changed):
            self._refuse_write(func)
        recorded = tuple(
            tree_map(self._recorded, value) for value in _all_arguments(func, args, kwargs)
        )
        plain = name.removesuffix("_") if changed else name
        if plain in _KEEPS_SHAPE:
            result = args[0] if changed else torch.empty_like(args[0])
        elif changed and plain in _SHORTCUTS:
            result = args[0]
        elif name in _SHORTCUTS:
            result = _SHORTCUTS[name](*run_args, **run_kwargs)
        else:
            result = func(*run_args, **run_kwargs)
        for one in changed:
            self._stale |= self._sharing[_storage(one)]
        outputs = tuple(
            self.follow(one) for one in tree_flatten(result)[0] if isinstance(one, Tensor)
        )
        path = self.places[-1][0] if self.places else ""
        self.calls.append(Call(plain, recorded, outputs, path))
        return result

    def _recorded(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if self.follows(value):
            return self.read(value)
        number = value.item() if value.numel() == 1 and value.device.type != "meta" else None
        return Constant(tuple(value.shape), None if number is None else float(number))

    def _refuse_write(self, func: Any) -> None:
        raise UnsupportedOperation(
            f"{self.place()} writes into a tensor of its own ({func._schema.name}), which cannot "
            "be followed. Build the tensor with cat, stack or pad."
        )


def _normalized(image: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(image), image.new_empty(0), image.new_empty(0)


def _padded(image: Tensor, pads: Sequence[int], *_: Any) -> Tensor:
    sizes = list(image.shape)
    for position in range(len(pads) // 2):
        sizes[-1 - position] += pads[2 * position] + pads[2 * position + 1]
    return image.new_empty(sizes)


def _joined(first: Any, second: Any, **_: Any) -> Tensor:
    tensors = [one for one in (first, second) if isinstance(one, Tensor)]
    shape = torch.broadcast_shapes(*(one.shape for one in tensors))  # type: ignore[no-untyped-call]
    return tensors[0].new_empty(shape, dtype=torch.result_type(first, second))


def _averaged(image: Tensor, dims: Any = None, keep: bool = False, **_: Any) -> Tensor:
    gone = {dim % image.dim() for dim in dims} if dims else set(range(image.dim()))
    sizes = [1 if dim in gone else size for dim, size in enumerate(image.shape)]
    return image.new_empty([size for dim, size in enumerate(sizes) if keep or dim not in gone])


def _product(first: Tensor, second: Tensor, **_: Any) -> Tensor:
    return first.new_empty((first.shape[0], second.shape[1]))


def _dense(bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Tensor:
    return _product(first, second)


# torch works these shapes out in Python and loads its compiler on the way: two seconds.
_KEEPS_SHAPE = frozenset(
    "relu relu6 hardtanh hardswish hardsigmoid sigmoid tanh silu mish gelu elu leaky_relu".split()
)
_SHORTCUTS: dict[str, Callable[..., Any]] = {
    "native_batch_norm": _normalized,
    "_native_batch_norm_legit": _normalized,
    "_native_batch_norm_legit_no_training": _normalized,
    "constant_pad_nd": _padded,
    "add": _joined,
    "sub": _joined,
    "mul": _joined,
    "mean": _averaged,
    "mm": _product,
    "addmm": _dense,
}


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _without_memory(value: Any) -> Any:
    if isinstance(value, Tensor) and value.device.type != "meta":
        return torch.empty_like(value, device="meta")
    return value


def _all_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments of a call in the order of its declaration, defaults filled in."""
    rest = func._schema.arguments[len(args) :]
    return [
        *args,
        *(
            kwargs.get(one.name, one.default_value if one.has_default_value() else None)
            for one in rest
        ),
    ]


def _changed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that a call writes to."""
    values = zip(func._schema.arguments, _all_arguments(func, args, kwargs), strict=False)
    return [
        one
        for argument, value in values
        if argument.alias_info is not None and argument.alias_info.is_write
        for one in tree_flatten(value)[0]
        if isinstance(one, Tensor)
    ]
