"""Preprocessing scans in worker processes: one thread each, a few at a time, gone when their parent is."""

import errno
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import ClassVar

from threadpoolctl import threadpool_limits

from imaging import PreprocessingSpec, ScanError
from imaging.waiting_signals import signals_wait
from imaging.words import encodable
from training.cohort.ingest_folder import WORKSPACE
from training.cohort.sources.source import ScanEntry, SourceFinding
from training.cohort.store.index import StoredScan, WithoutTissues
from training.cohort.store.writing import series_name, write_maps, write_series, write_tissues
from training.errors import CohortError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class IngestProcessLostError(CohortError):
    """A worker process that ended in the middle of a scan."""

    code: ClassVar[str] = "ingest_process_lost"

    def __init__(self, *, processes: int) -> None:
        self.processes = processes
        super().__init__(
            f"expected {processes} worker processes to live, found one killed, most likely for want of "
            "memory: run the same command again with fewer --processes, it goes on where it stopped"
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """One scan to be prepared and stored in a cohort's folder."""

    entry: ScanEntry
    spec: PreprocessingSpec
    folder: Path


@dataclass(frozen=True)
class Done:
    """A scan that is stored."""

    scan: StoredScan


@dataclass(frozen=True)
class Refused:
    """A scan that cannot be used, and why."""

    finding: SourceFinding


def run_jobs(jobs: Sequence[Job], *, processes: int) -> Generator[Done | Refused]:
    """Do the jobs in parallel, and give the results as they come.

    Parameters
    ----------
    jobs : sequence of Job
    processes : int
        0 works in this process.

    Raises
    ------
    IngestProcessLostError
        If a process is killed.
    OSError
        If a series cannot be written, or the disk is full.
    """
    if not processes or not jobs:
        yield from map(do_job, jobs)
        return
    waiting = iter(jobs)
    pool = ProcessPoolExecutor(
        min(processes, len(jobs)), mp_context=get_context("spawn"), initializer=_begin_worker
    )
    try:
        # A few ahead, not all: a stop then waits for the scans in hand alone.
        running = {pool.submit(do_job, job) for job in islice(waiting, 2 * processes)}
        while running:
            done: set[Future[Done | Refused]]
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(do_job, job) for job in islice(waiting, len(done))}
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise IngestProcessLostError(processes=processes) from error
    finally:
        # A pool whose end is interrupted waits for ever.
        with signals_wait():
            pool.shutdown(wait=True, cancel_futures=True)


def do_job(job: Job) -> Done | Refused:
    """Prepare one scan and write its series, and its maps and tissues where it has any.

    Raises
    ------
    OSError
        If they cannot be written, or the disk is full.
    """
    entry = job.entry
    try:
        stamp = entry.stamp()
        # The last bits of a product depend on how many threads share it.
        with threadpool_limits(limits=1, user_api="blas"):
            prepared = entry.prepare(job.spec, workspace=job.folder / WORKSPACE)
    except ScanError as error:
        return _refused(entry, code=error.code, message=str(error))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        found = (error.strerror or "no reason").lower()
        return _refused(
            entry, code="source_unreadable", message=f"expected a file that can be read, found: {found}"
        )
    name = series_name(
        subject_id=entry.subject_id, session=entry.session, run=entry.run, variant=entry.variant
    )
    digest = write_series(job.folder, name, prepared.series)
    maps_digest = None if prepared.maps is None else write_maps(job.folder, name, prepared.maps)
    tissues_digest = None if prepared.tissues is None else write_tissues(job.folder, name, prepared.tissues)
    return Done(
        StoredScan(
            subject_id=entry.subject_id,
            session=entry.session,
            run=entry.run,
            variant=entry.variant,
            tr_s=prepared.tr_s,
            n_frames=prepared.n_frames,
            n_stored_frames=len(prepared.series),
            dvars_mean=prepared.dvars_mean,
            spikes=prepared.spikes,
            quality=prepared.quality,
            warnings=prepared.warnings,
            source_name=encodable(entry.source_name),
            source_sha256=prepared.source_sha256,
            source_stamp=stamp,
            series_file=name,
            series_sha256=digest,
            shape=prepared.shape,
            zooms_mm=prepared.zooms_mm,
            maps_sha256=maps_digest,
            tissues_sha256=tissues_digest,
            without_tissues=None if tissues_digest else why_without_tissues(entry),
        )
    )


def why_without_tissues(entry: ScanEntry) -> WithoutTissues | None:
    """Say why no tissue maps were made of what comes with a scan; None where its source gives no images."""
    if entry.has_t1w is None:
        return None
    return "t1w_not_used" if entry.has_t1w else "no_t1w"


def _refused(entry: ScanEntry, *, code: str, message: str) -> Refused:
    return Refused(
        SourceFinding(code=code, name=entry.source_name, message=message, subject_id=entry.subject_id)
    )


def _begin_worker() -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end: a worker of a killed parent would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
