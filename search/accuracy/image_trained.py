"""Makes the accuracy sources that train on images from the text that names them."""

import types
import typing
from collections.abc import Callable
from dataclasses import fields
from os import PathLike
from typing import Any, TypeVar

from mnaslat.data.images.loading import load_images
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.candidate_size import SMALL_RESOLUTION
from mnaslat.search.accuracy.proxy import ProxyAccuracy, ProxySettings
from mnaslat.search.accuracy.supernet import SupernetAccuracy, SupernetSettings
from mnaslat.search.accuracy.training import TrainingSettings
from mnaslat.space import SearchSpace

Settings = TypeVar("Settings")

_TRAINED_IMAGES = (
    10_000  # of a candidate, unless asked otherwise: a minute of one core at 28 pixels
)
_DEFAULT_SET = "digits"
_DIGITS_RESOLUTION = 16  # of 8 pixels: enlarging them further costs time and shows nothing


def image_source(
    kind: str,
    text: str,
    space: SearchSpace,
    *,
    folder: str | PathLike[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ProxyAccuracy | SupernetAccuracy:
    """Make a source from ``DATASET`` or ``DATASET,name=value,...``.

    Args:
        kind: ``proxy`` trains every candidate alone, ``supernet`` all of them with shared weights.
        text: The data set as `load_images` takes it, "" for the digits, and settings of
            `ProxySettings` and `TrainingSettings` or of `SupernetSettings`, as in
            ``fashion-mnist,n_epochs=3,resolution=32``.
        space: The networks to be evaluated.
        folder: Where a supernet is kept while and after it is trained.
        seed: Of the training.
        progress: Called with (steps done, steps in all) while a supernet is trained.

    Raises:
        SearchError: If a setting is unknown or has a wrong value.
        ImageSetError: If the data set cannot be used.
    """
    images, *assignments = text.split(",")
    given: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SearchError(
                f"Cannot read {assignment!r} in {kind}:{text}. Settings follow the data set as "
                "name=value, separated by commas."
            )
        given[name.strip()] = value.strip()
    images, resolution = images or _DEFAULT_SET, _resolution(space)
    if images == "digits" and resolution > SMALL_RESOLUTION:
        given.setdefault("resolution", str(_DIGITS_RESOLUTION))
    if kind == "supernet":
        settings = _parsed(SupernetSettings, given, kind, seed=seed)
        _refuse_unknown(given, kind, SupernetSettings)
        settings = settings.for_networks_of(resolution)
        assert settings.resolution is not None
        loaded = load_images(images, settings.resolution)
        return SupernetAccuracy(space, loaded, settings, folder=folder, progress=progress)
    _refuse_unknown(given, kind, ProxySettings, TrainingSettings)
    training = _parsed(TrainingSettings, given, kind, seed=seed, n_train=_TRAINED_IMAGES)
    return ProxyAccuracy(images, resolution, _parsed(ProxySettings, given, kind, training=training))


def _resolution(space: SearchSpace) -> int:
    return space.decode([0] * len(space.decisions)).resolution


def _parsed(of: type[Settings], given: dict[str, str], kind: str, **defaults: Any) -> Settings:
    types_by_name = typing.get_type_hints(of)
    values = dict(defaults)
    try:
        for name, value in given.items():
            if name in types_by_name and name != "training":
                values[name] = _value(name, value, types_by_name[name])
        return of(**values)
    except ValueError as error:
        raise SearchError(f"Wrong setting for {kind}: {error}") from None


def _value(name: str, text: str, wanted: Any) -> Any:
    if isinstance(wanted, types.UnionType):
        if text.lower() == "none":
            return None
        (wanted,) = (each for each in wanted.__args__ if each is not type(None))
    if wanted is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name}: expected true or false, got {text!r}.")
        return text.lower() == "true"
    try:
        return wanted(text) if wanted in (int, float) else text
    except ValueError:
        kind = "a whole number" if wanted is int else "a number"
        raise ValueError(f"{name}: expected {kind}, got {text!r}.") from None


def _refuse_unknown(given: dict[str, str], kind: str, *known: Any) -> None:
    names = sorted({each.name for cls in known for each in fields(cls)} - {"training"})
    for name in given:
        if name not in names:
            raise SearchError(f"No setting {name!r} of {kind}. Known: {', '.join(names)}.")
