"""Defines the errors that mnaslat raises on purpose.

Wrong arguments are a ``ValueError``; an ``ArgumentError`` also names the argument. Everything else
that a caller may want to catch is in this tree::

    MnaslatError
    ├── DeviceError            a device cannot be found, opened or kept
    │   └── DeviceLost         the connection to a phone broke; it may come back
    ├── WorkspaceError         the workspace cannot be read, written or locked
    │   └── WorkspaceBusy      another process measures on the same device, or uses the same run
    ├── ConfigurationMismatch  two configurations would be mixed in one table or prediction
    ├── PredictorFileError     a predictor or table file is truncated, tampered with or too new
    ├── UnsupportedOperation   an imported network computes something that has no meaning here
    ├── ModelFileError         a model file is truncated, tampered with or no single-image network
    ├── ImageSetError          a data set is not there, or its images cannot be trained on
    └── SearchError            a search cannot start or go on

Every message says what happened and what to do next: the command line prints it as it is.
"""


class ArgumentError(ValueError):
    """An argument of a function is wrong.

    Attributes:
        argument: Name of the argument; the command line shows the option of the same name.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message)
        self.argument = argument


class MnaslatError(Exception):
    """Base of everything this package raises on purpose."""


class DeviceError(MnaslatError):
    """A device cannot be found, opened or kept."""


class DeviceLost(DeviceError):
    """The connection to a phone broke; it may come back."""


class WorkspaceError(MnaslatError):
    """The workspace cannot be read, written or locked."""


class WorkspaceBusy(WorkspaceError):
    """Another process holds the lock that this one needs."""


class ConfigurationMismatch(MnaslatError):
    """Two configurations (precision, threads, device, ...) would be mixed."""


class PredictorFileError(MnaslatError):
    """A predictor or table file cannot be trusted or understood."""


class UnsupportedOperation(MnaslatError):
    """An imported network computes something that has no meaning here."""


class ModelFileError(MnaslatError):
    """A model file cannot be read, or does not hold one network of one input."""


class ImageSetError(MnaslatError):
    """A data set is not there, or its images cannot be trained on."""


class SearchError(MnaslatError):
    """A search cannot start or go on."""
