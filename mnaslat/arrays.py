"""Types of arrays that functions take and return."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int64]  # indices of the choices of a search space, the decisions last
