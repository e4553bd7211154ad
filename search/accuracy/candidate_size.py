"""Chooses the size at which the candidates of a search are trained."""

SMALL_RESOLUTION = 64  # pixels; networks this small are trained as they are
_RESOLUTION, _WIDTH = 32, 0.35  # of candidates of larger spaces: one core trains one in a minute


def candidate_size(
    own_resolution: int, resolution: int | None, width: float | None
) -> tuple[int, float]:
    """Choose the pixels of the candidates, and their width on top of the networks' own.

    Args:
        own_resolution: Of the networks.
        resolution: As requested; None keeps the networks' own up to 64 pixels, else takes 32.
        width: As requested; None is 1 where the networks keep their size, else 0.35.

    >>> candidate_size(224, None, None), candidate_size(48, None, None)
    ((32, 0.35), (48, 1.0))
    >>> candidate_size(48, 32, None)
    (32, 0.35)
    """
    small = own_resolution <= SMALL_RESOLUTION
    chosen = resolution or (own_resolution if small else _RESOLUTION)
    kept = small and chosen == own_resolution
    return chosen, width or (1.0 if kept else _WIDTH)
