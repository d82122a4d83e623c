"""The trainings that `training_speed.py` times; each lives in a process of its own and trains when told to.

All train the same network from the same first weights, on the windows that `plan_epoch` draws, in the same
order, with the same optimiser and the same random numbers for the dropout. They differ in where a window
comes from and in how the network is computed:

- plain: nibabel reads the ``.nii.gz`` and nilearn resamples it, for every window, every epoch;
- monai: `CacheDataset` holds every preprocessed scan in memory, `ThreadDataLoader` collates the next batch
  in a thread while the network works;
- ours: `training.fitting.fit.fit` on a cohort, with all that it does (a resume point after every epoch).

The first two end with the same loss. That of ours differs a little, because `imaging` does not sample a scan
quite as the others do.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import nibabel as nib
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imaging import brain_cube
from model.networks import RestNetwork
from training.cohort.selecting.selection import select
from training.cohort.store.cohort_store import CohortStore
from training.fitting.batches import plan_epoch, torch_seed
from training.fitting.fit import fit
from training.fitting.prepared import TrainingSubject
from training.fitting.settings import TrainingSettings

SEED = 7
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is trained on, and how.

    `files` holds a scan for each of the cohort's subjects; only the first `n_subjects` take part.
    """

    files: dict[str, Path]
    cohort: Path
    n_subjects: int
    settings: TrainingSettings
    threads: int | None

    def subjects(self) -> list[TrainingSubject]:
        """Map the subjects' series; whoever reads the files needs only their lengths."""
        store = CohortStore.open(self.cohort)
        chosen = select(store.subjects)[: self.n_subjects]
        return [TrainingSubject.from_store(store, subject) for subject in chosen]

    def network(self) -> RestNetwork:
        """Draw the first weights, the same for everybody."""
        torch.manual_seed(SEED)
        return RestNetwork(self.settings)

    def plan(self, subjects: list[TrainingSubject], epoch: int) -> list[list[Any]]:
        """Draw an epoch's windows, the same for everybody."""
        return plan_epoch(subjects, settings=self.settings, seed=SEED, epoch=epoch)


Kind = Callable[[Work], Callable[[], dict[str, Any]]]


def serve(kind: Kind, work: Work, pipe: Connection) -> None:
    """Prepare, then train all epochs whenever told to; the answers are plain dictionaries."""
    if work.threads:
        torch.set_num_threads(work.threads)
    # What a process does but once (imports, kernels made on first use) belongs to no epoch.
    kind(replace(work, n_subjects=2, settings=work.settings.model_copy(update={"epochs": 1})))()
    began = perf_counter()
    train = kind(work)
    pipe.send({"seconds": perf_counter() - began})
    while pipe.recv() == "train":
        began, cpu_began = perf_counter(), process_time()
        facts = train()
        pipe.send({"seconds": perf_counter() - began, "cpu_s": process_time() - cpu_began} | facts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send({"peak_bytes": peak if sys.platform == "darwin" else 1024 * peak})


def plain(work: Work) -> Callable[[], dict[str, Any]]:
    # Here, so that the other processes' memory does not hold it.
    from nilearn.image import resample_img  # noqa: PLC0415

    subjects, cube = work.subjects(), brain_cube(34)

    def frames_of(path: Path) -> np.ndarray:
        """Give a scan's frames; the files are band-passed, as Athena's are, so nobody filters them again."""
        image = nib.load(path)
        image = nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine, image.header)
        resampled = resample_img(
            image,
            target_affine=cube.affine,
            target_shape=(34, 34, 34),
            interpolation="linear",
            force_resample=True,
            copy_header=True,
        )
        return standardised(np.moveaxis(resampled.get_fdata(dtype=np.float32), -1, 0), cube.mask)

    def batches(epoch: int) -> Batches:
        for batch in work.plan(subjects, epoch):
            windows = [
                frames_of(work.files[subjects[item.subject].subject_id])[item.start : item.start + 20]
                for item in batch
            ]
            labels = [float(subjects[item.subject].label) for item in batch]
            yield torch.from_numpy(np.stack(windows)), torch.tensor(labels)

    return lambda: train_eagerly(work, batches)


def monai(work: Work) -> Callable[[], dict[str, Any]]:
    from monai.data import CacheDataset, MetaTensor, ThreadDataLoader  # noqa: PLC0415
    from monai.transforms import Compose, LoadImaged, ResampleToMatch, Transform  # noqa: PLC0415

    subjects, cube = work.subjects(), brain_cube(34)
    target = MetaTensor(torch.zeros(1, 34, 34, 34), affine=torch.from_numpy(cube.affine.copy()))
    resample = ResampleToMatch(mode="bilinear", padding_mode="zeros", dtype=torch.float32)

    class ToFrames(Transform):
        """Sample a scan at the cube; a mere function would not be cached, but called for every window."""

        def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
            frames = resample(item["image"], img_dst=target).numpy()
            return {"frames": torch.from_numpy(standardised(frames, cube.mask)), "label": item["label"]}

    cache = CacheDataset(
        [{"image": work.files[subject.subject_id], "label": float(subject.label)} for subject in subjects],
        transform=Compose([LoadImaged("image", ensure_channel_first=True), ToFrames()]),
        num_workers=2,
        progress=False,
    )

    class Windows(torch.utils.data.Dataset):
        """The planned windows of one epoch, cut from the cached scans."""

        def __init__(self, epoch: int) -> None:
            self._plan = [item for batch in work.plan(subjects, epoch) for item in batch]

        def __len__(self) -> int:
            return len(self._plan)

        def __getitem__(self, index: int) -> tuple[Tensor, float]:
            item = self._plan[index]
            scan = cache[item.subject]
            return scan["frames"][item.start : item.start + 20], scan["label"]

    def batches(epoch: int) -> Batches:
        # A generator of its own: the global one is the dropout's.
        loader = ThreadDataLoader(
            Windows(epoch),
            batch_size=work.settings.batch_size,
            num_workers=0,
            generator=torch.Generator(),
        )
        for windows, labels in loader:
            yield windows, labels.float()

    return lambda: train_eagerly(work, batches)


def ours(work: Work) -> Callable[[], dict[str, Any]]:
    subjects = work.subjects()

    def train() -> dict[str, Any]:
        with TemporaryDirectory(prefix="restnet-fit-") as folder:
            result = fit(
                work.network(),
                subjects,
                stopping=[],
                settings=work.settings,
                folder=Path(folder),
                seed=SEED,
                device=torch.device("cpu"),
            )
        return {
            "loss": result.records[-1].training_loss,
            "in_epochs_s": sum(record.seconds for record in result.records),
            "precision": result.precision,
        }

    return train


def train_eagerly(work: Work, batches: Callable[[int], Batches]) -> dict[str, Any]:
    """Train fresh weights for all epochs; returns the last epoch's mean loss."""
    network = work.network().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=work.settings.learning_rate, fused=True)
    waiting_s = loss = 0.0
    for epoch in range(1, work.settings.epochs + 1):
        torch.manual_seed(torch_seed(seed=SEED, epoch=epoch))
        total, seen, asked = 0.0, 0, perf_counter()
        for windows, labels in batches(epoch):
            waiting_s += perf_counter() - asked
            total += eager_step(network, optimiser, windows, labels)
            seen += len(labels)
            asked = perf_counter()
        loss = total / seen
    return {"loss": loss, "waiting_for_data_s": waiting_s}


def eager_step(
    network: RestNetwork, optimiser: torch.optim.Optimizer, windows: Tensor, labels: Tensor
) -> float:
    """Take one step; returns the sum of the windows' losses."""
    optimiser.zero_grad(set_to_none=True)
    loss = functional.binary_cross_entropy_with_logits(network(windows), labels)
    loss.backward()
    optimiser.step()
    return float(loss.detach()) * len(labels)


def standardised(frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Demean each voxel, blank what is outside the brain, divide by the brain's one standard deviation."""
    frames = (frames - frames.mean(axis=0)) * mask
    return (frames / frames[:, mask].std()).astype(np.float32)


TRAININGS: dict[str, Kind] = {"plain": plain, "monai": monai, "ours": ours}
