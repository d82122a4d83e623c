"""What other libraries find of a head's movement; run by `motion_correction.py`, in their own environments.

``python motion_peers.py ants|dipy FOLDER`` reads FOLDER/reference.nii.gz and FOLDER/frame_*.nii.gz, and
writes FOLDER/ants.json: the pose of each frame (RAS+ mm of the reference -> of the frame), and the
seconds that it took.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def by_ants(folder: Path) -> list[dict[str, object]]:
    """Mattes mutual information by ITK, as ants.motion_correction uses it."""
    import ants  # noqa: PLC0415 (one environment has it)

    reference = ants.image_read(str(folder / "reference.nii.gz"))
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    found = []
    for path in sorted(folder.glob("frame_*.nii.gz")):
        frame = ants.image_read(str(path))
        began = time.perf_counter()
        result = ants.registration(
            fixed=reference, moving=frame, type_of_transform="BOLDRigid", random_seed=1
        )
        seconds = time.perf_counter() - began
        transform = ants.read_transform(result["fwdtransforms"][0])
        numbers, centre = np.array(transform.parameters), np.array(transform.fixed_parameters)
        pose = np.eye(4)
        pose[:3, :3] = numbers[:9].reshape(3, 3)
        pose[:3, 3] = numbers[9:] + centre - pose[:3, :3] @ centre
        found.append({"pose": (to_lps @ pose @ to_lps).tolist(), "seconds": seconds})
    return found


def by_dipy(folder: Path) -> list[dict[str, object]]:
    """Mutual information by dipy.align, with the settings of dipy.align.motion_correction."""
    import nibabel  # noqa: PLC0415
    from dipy.align import affine_registration  # noqa: PLC0415

    reference = nibabel.load(folder / "reference.nii.gz")
    found = []
    for path in sorted(folder.glob("frame_*.nii.gz")):
        frame = nibabel.load(path)
        moving, static = frame.get_fdata(), reference.get_fdata()
        began = time.perf_counter()
        _, pose = affine_registration(
            moving,
            static,
            moving_affine=frame.affine,
            static_affine=reference.affine,
            pipeline=["center_of_mass", "translation", "rigid"],
        )
        found.append({"pose": np.asarray(pose).tolist(), "seconds": time.perf_counter() - began})
    return found


if __name__ == "__main__":
    answers = {"ants": by_ants, "dipy": by_dipy}[sys.argv[1]](Path(sys.argv[2]))
    Path(sys.argv[2], f"{sys.argv[1]}.json").write_text(json.dumps(answers))
