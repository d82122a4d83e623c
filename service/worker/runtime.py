"""What one worker process holds for all its jobs: connections, storage and the loaded model."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session, sessionmaker

from service.db.engine import make_engine, session_factory
from service.db.rows import ModelVersionRow, NormalisedScanRow, ScanRow
from service.enclosure import Enclosure, Limits
from service.registry import CheckpointMissingError, NoActiveModelError, active_model
from service.settings import Settings
from service.storage import Storage, StoredFileMissingError, open_storage
from service.tracing import Tracing, open_tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.backends import Backend
    from model.predictor import Predictor


# A storage that is back is noticed within this time, in seconds.
MAX_OUTAGE_PAUSE_S = 30.0
# A version in shadow and one over earlier scans take turns; each would be loaded again every time.
KEPT_TO_SCORE = 2
READING = "service.worker.reading"
PICTURING = "service.worker.picturing"
NORMALISING = "service.worker.normalising_enclosed"
TAKING = "service.worker.taking_enclosed"
# The time courses of the longest scan, an hour, at three frames a second.
LARGEST_ANSWER_BYTES = 1 << 29
# 4,096 frames of the template's brain in float32, compressed not at all.
LARGEST_NORMALISED_BYTES = 1 << 32


@dataclass(frozen=True)
class Answer:
    """What a model makes of one scan.

    Attributes
    ----------
    result : dict
        The object of ``predict --json``.
    embedding : tuple of float
        See :mod:`model.embedding`; kept beside the result and never published.
    """

    result: dict[str, Any]
    embedding: tuple[float, ...]


@dataclass
class Runtime:
    """One process's connections and model; jobs run one after another.

    Attributes
    ----------
    settings : Settings
    sessions : sessionmaker
    storage : Storage
    worker : str
        The name of the worker that this process belongs to; its leases begin with it.
    tracing : Tracing
        Gets a span a job, below the request's that queued it.
    enclosure : Enclosure
        Where scans are read: this process opens none itself.
    normaliser : Enclosure
        Where they are brought into template space; it starts with the first.
    """

    settings: Settings
    sessions: sessionmaker[Session]
    storage: Storage
    worker: str = field(
        default_factory=lambda: f"process-{os.getpid()}-{token_hex(4)}@{socket.gethostname()}"
    )
    tracing: Tracing = field(default_factory=Tracing)
    enclosure: Enclosure = field(default_factory=lambda: Enclosure(READING, PICTURING))
    normaliser: Enclosure = field(default_factory=lambda: Enclosure(NORMALISING, TAKING))
    _predictor: "Predictor | None" = None
    _model_version_id: str | None = None
    _explained: "tuple[str, Predictor] | None" = None
    _scoring: "dict[str, Predictor]" = field(default_factory=dict)
    _outages: int = 0

    def outage_pause_s(self) -> float:
        """Return how long a job waits for a storage that is away, in seconds: longer each time in a row."""
        self._outages += 1
        return min(self.settings.backoff_s * 2.0 ** (self._outages - 1), MAX_OUTAGE_PAUSE_S)

    def storage_answered(self) -> None:
        """Take the next outage for the first one again."""
        self._outages = 0

    def active_model(self) -> "tuple[str, Predictor]":
        """Return the id of the active model version and its network, loaded once and again after a promotion.

        Raises
        ------
        NoActiveModelError
            If there is none.
        CheckpointMissingError
            If its file is gone.
        CheckpointError
            If its file is not the one that was registered, or is damaged.
        """
        with self.sessions() as session:
            version = active_model(session)
        if version is None:
            raise NoActiveModelError
        if self._predictor is None or self._model_version_id != version.id:
            self._use_threads()
            self._predictor = self._load(version, backend=self.settings.backend)
            self._model_version_id = version.id
        return version.id, self._predictor

    def model_to_explain(self, version: ModelVersionRow) -> "Predictor":
        """Return the network of a version, active or not, in a form that can be differentiated.

        Raises
        ------
        CheckpointMissingError, CheckpointError
            As :meth:`active_model`.
        """
        if self._explained is None or self._explained[0] != version.id:
            self._use_threads()
            self._explained = (version.id, self._load(version, backend="torch"))
        return self._explained[1]

    def model_to_score(self, version: ModelVersionRow) -> "Predictor":
        """Return the network of a version, active or not, as it would answer; the last few stay loaded.

        It computes on the threads that the caller computes on, whatever the settings say of answers.

        Raises
        ------
        CheckpointMissingError, CheckpointError
            As :meth:`active_model`.
        """
        predictor = self._scoring.pop(version.id, None)
        if predictor is None:
            while len(self._scoring) >= KEPT_TO_SCORE:
                self._scoring.pop(next(iter(self._scoring)))
            predictor = self._load(version, backend=self.settings.backend)
        # The one that was used last is the last to go.
        self._scoring[version.id] = predictor
        return predictor

    def reader_limits(self) -> Limits:
        """Return what a child that reads one scan may use."""
        return Limits(
            memory_bytes=self.settings.reader_memory_bytes,
            time_s=self.settings.reader_time_s,
            written_bytes=LARGEST_ANSWER_BYTES,
        )

    def normalising_limits(self) -> Limits:
        """Return what a child that brings one scan into template space may use."""
        return Limits(
            memory_bytes=self.settings.normalising_memory_bytes,
            time_s=self.settings.normalising_time_s,
            written_bytes=LARGEST_NORMALISED_BYTES,
        )

    def predict(
        self,
        path: Path,
        predictor: "Predictor",
        *,
        scan: ScanRow,
        kept: NormalisedScanRow | None = None,
        progress: "Callable[[str, float], None]",
        check: "Callable[[], None]",
    ) -> Answer:
        """Read a scan in an enclosure and classify it here.

        Parameters
        ----------
        path : Path
            The stored file.
        predictor : Predictor
        scan : ScanRow
        kept : NormalisedScanRow, optional
            Of the stored file, where it is the scan in template space and not the scan itself.
        progress : callable
            As :func:`model.prediction.predict_scan` calls it.
        check : callable
            Called ten times a second while the scan is read; it may raise.
        """
        from imaging.native.preparing import PREPROCESSING  # noqa: PLC0415  (scipy)
        from model.prediction import classify_prepared  # noqa: PLC0415  (torch)
        from service.worker.kept_scans import as_kept, stored_sha256  # noqa: PLC0415  (scipy)
        from service.worker.reading import prepare_enclosed  # noqa: PLC0415  (scipy)

        prepared = prepare_enclosed(
            self.enclosure,
            path,
            predictor.spec,
            display_name=scan.display_name,
            sha256=scan.sha256,
            stored_sha256=stored_sha256(scan, kept),
            maps=predictor.needs_maps,
            limits=self.reader_limits(),
            progress=lambda fraction: progress(PREPROCESSING, fraction),
            check=check,
        )
        if kept is not None:
            prepared = as_kept(prepared, kept)
        answer = classify_prepared(prepared, predictor, progress=progress)
        return Answer(answer.to_json(), answer.classification.embedding)

    def _use_threads(self) -> None:
        import torch  # noqa: PLC0415  (only a process that runs jobs pays for it)

        if self.settings.inference_threads:
            torch.set_num_threads(self.settings.inference_threads)

    def _load(self, version: ModelVersionRow, *, backend: "Backend") -> "Predictor":
        from model.predictor import Predictor  # noqa: PLC0415  (torch)

        try:
            with self.storage.open_local(version.storage_key) as path:
                return Predictor.load(
                    path,
                    device=self.settings.device,
                    backend=backend,
                    expected_sha256=version.sha256,
                )
        except StoredFileMissingError as error:
            raise CheckpointMissingError(sha256=version.sha256) from error


def open_runtime(settings: Settings) -> Runtime:
    """Return the runtime of this process; nothing is connected or loaded yet."""
    engine = make_engine(settings.database_url.get_secret_value())
    return Runtime(
        settings=settings,
        sessions=session_factory(engine),
        storage=open_storage(settings),
        tracing=open_tracing(settings.otlp_endpoint, service="restnet-worker"),
    )
