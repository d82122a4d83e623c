"""What of bringing a run into template space is costly and small: kept, so that lost work goes on from it."""

from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from imaging.native.motion import Motion
from imaging.native.registration import Registration, Through


@dataclass(frozen=True, eq=False, kw_only=True)
class Known:
    """What has been found of a run so far.

    Attributes
    ----------
    motion : Motion, optional
    registration : Registration, optional
    """

    motion: Motion | None = None
    registration: Registration | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain JSON values, which hold every float64 to its last bit."""
        return {
            "motion": None if self.motion is None else _plain(asdict(self.motion)),
            "registration": None if self.registration is None else _told(self.registration),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Known":
        """Read what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If it is something else, or damaged.
        """
        try:
            motion, registration = values["motion"], values["registration"]
            return cls(
                motion=None if motion is None else _motion(motion),
                registration=None if registration is None else _registration(registration),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("expected what was found of a run, found something else") from error


def _motion(values: dict[str, Any]) -> Motion:
    n_frames = len(values["rotations"])
    shapes = {"rotations": (n_frames, 3), "translations_mm": (n_frames, 3), "centre_mm": (3,)}
    return Motion(**{name: _floats(values[name], shape) for name, shape in shapes.items()})


def _registration(values: dict[str, Any]) -> Registration:
    affine = _floats(values["affine"], (4, 4))
    names = ("outline_fit", "explained", "coverage", "overlap")
    shares = {name: float(values[name]) for name in names}
    through, reason = values["through"], values["t1w_not_used"]
    if through not in get_args(Through) or not isinstance(reason, str):
        raise ValueError("expected what a run was laid over, found something else")
    return Registration(affine=affine, **shares, through=through, t1w_not_used=reason)


def _told(registration: Registration) -> dict[str, Any]:
    values = asdict(registration)
    words = {name: values.pop(name) for name in ("through", "t1w_not_used")}
    return {**_plain(values), **words}


def _floats(values: object, shape: tuple[int, ...]) -> Any:
    found = np.array(values, dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"expected {shape} finite numbers, found {found.shape}")
    return found


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else float(value)
        for name, value in values.items()
    }
