"""Holds measurements, latency tables and image data sets.

Public names are loaded when they are first used, so that one module does not load all others.
"""

from typing import TYPE_CHECKING, Any

from mnaslat.lazy import load_name

if TYPE_CHECKING:
    from mnaslat.data.guard_policy import GuardPolicy as GuardPolicy
    from mnaslat.data.images.image_set import ImageSet as ImageSet
    from mnaslat.data.images.loading import load_images as load_images
    from mnaslat.data.latency_table import LatencyTable as LatencyTable
    from mnaslat.data.latency_table import Row as Row
    from mnaslat.data.measurement import Configuration as Configuration
    from mnaslat.data.measurement import Measurement as Measurement
    from mnaslat.data.measurement import Round as Round
    from mnaslat.data.workspace import Workspace as Workspace

_HOMES = {
    "Configuration": "measurement",
    "GuardPolicy": "guard_policy",
    "ImageSet": "images.image_set",
    "LatencyTable": "latency_table",
    "Measurement": "measurement",
    "Round": "measurement",
    "Row": "latency_table",
    "Workspace": "workspace",
    "load_images": "images.loading",
}

__all__ = [*_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
