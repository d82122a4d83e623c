"""What can go wrong with a model, apart from the scan: each failure has a stable code and typed facts."""

from typing import ClassVar


class ModelError(RuntimeError):
    """A model cannot be used as asked.

    Attributes
    ----------
    code : str
        Stable name of the failure; listed in docs/errors.md.
    """

    code: ClassVar[str]

    def details(self) -> dict[str, object]:
        """Give the typed facts behind the message, as JSON values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class CheckpointError(ModelError):
    """A checkpoint file cannot be read, trusted or used."""


class CheckpointNotFoundError(CheckpointError):
    """There is no readable file where the checkpoint should be."""

    code = "checkpoint_not_found"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"expected a checkpoint file, found nothing readable under the name {name!r}")


class CheckpointCorruptError(CheckpointError):
    """The bytes are no intact safetensors file with a card."""

    code = "checkpoint_corrupt"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected an intact safetensors checkpoint in {name!r}, found {found}")


class CheckpointFormatError(CheckpointError):
    """The card was written by a version of the format that this code does not know."""

    code = "checkpoint_format_unknown"

    def __init__(self, *, expected: int, found: object) -> None:
        self.expected = expected
        self.found = repr(found)
        super().__init__(f"expected checkpoint format version {expected}, found {found!r}")


class CheckpointMismatchError(CheckpointError):
    """The card and the tensors do not describe the same models."""

    code = "checkpoint_mismatch"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


class CheckpointDigestError(CheckpointError):
    """The file is not the one that was registered."""

    code = "checkpoint_sha256_mismatch"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected a checkpoint with sha256 {expected}, found {found}")


class PreprocessingMismatchError(ModelError):
    """The scan was prepared in another way than the model was trained with."""

    code = "preprocessing_mismatch"

    def __init__(self, *, expected: dict[str, object], found: dict[str, object]) -> None:
        self.expected = expected
        self.found = found
        differing = sorted(
            key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)
        )
        super().__init__(
            f"expected the preprocessing that the model was trained with, found other {', '.join(differing)}"
        )


class CheckpointMethodError(CheckpointError):
    """The card names a method that this code does not know."""

    code = "checkpoint_method_unknown"

    def __init__(self, *, expected: tuple[str, ...], found: object) -> None:
        self.expected = expected
        self.found = repr(found)
        super().__init__(
            f"expected a checkpoint of a method that this version knows, found {found!r}; known are "
            f"{', '.join(expected)}"
        )


class MethodNeedsT1wError(CheckpointError):
    """A model that reads more than a scan to be classified brings.

    Attributes
    ----------
    method : str
    """

    code = "method_needs_t1w"

    def __init__(self, *, method: str) -> None:
        self.method = method
        super().__init__(
            "expected a model that reads what a scan to be classified brings, found one of the method "
            f"{method!r}, which also reads tissue maps of a T1-weighted image: only `restnet cohort ingest` "
            "makes them"
        )


class ExplanationNotAvailableError(ModelError):
    """The model is of a method that is not explained by a map of voxels.

    Attributes
    ----------
    method : str
    """

    code = "explanation_not_available"

    def __init__(self, *, method: str) -> None:
        self.method = method
        super().__init__(
            "expected a residual network, whose answer can be shared out among voxels, found the method "
            f"{method!r}"
        )


class DeviceUnavailableError(ModelError):
    """The device that was asked for is not on this machine."""

    code = "device_unavailable"

    def __init__(self, *, expected: str) -> None:
        self.expected = expected
        super().__init__(f"expected the device {expected!r}, found no such device on this machine")


class BackendUnavailableError(ModelError):
    """The library behind a backend does not run here."""

    code = "backend_unavailable"

    def __init__(self, *, backend: str) -> None:
        self.backend = backend
        super().__init__(f"expected the backend {backend!r} to run on this machine, found that it does not")


class BackendParityError(ModelError):
    """A way of computing the network gives other numbers than the network itself.

    Attributes
    ----------
    difference : float
        Greatest difference of a feature, as a share of the largest feature.
    """

    code = "backend_differs"

    def __init__(self, *, backend: str, expected: float, difference: float) -> None:
        self.backend = backend
        self.expected = expected
        self.difference = difference
        super().__init__(
            f"expected the backend {backend!r} to agree with the network within {expected:g} of its largest "
            f"feature, found a difference of {difference:g}"
        )


class PublishedNetworkUnknownError(ModelError):
    """There is no published network of that name here."""

    code = "published_network_unknown"

    def __init__(self, *, expected: tuple[str, ...], found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected a published network among {', '.join(expected)}, found {found!r}")


class MethodsNotInstalledError(ModelError):
    """A packaged method was asked for, and its package is not installed."""

    code = "methods_not_installed"

    def __init__(self, *, package: str) -> None:
        self.package = package
        super().__init__(
            f"expected the package {package!r}, which RestNet's extra `methods` installs, found it missing"
        )


class TooFewTimePointsError(ModelError):
    """A network was given less time than it can read."""

    code = "too_few_time_points"

    def __init__(self, *, network: str, expected: int, found: int) -> None:
        self.network = network
        self.expected = expected
        self.found = found
        super().__init__(f"expected at least {expected} time points for {network}, found {found}")
