"""Adding checkpoints, which alone lets none of them answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from model.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    MethodNeedsT1wError,
)
from service.db.rows import AuditEventRow, ModelVersionRow
from service.registry import active_model
from service.registry.registering import register
from tests.model.tissue_model import write_tissue_model
from tests.service.registry.conftest import ACTOR, CARD, Registry


def test_a_registered_checkpoint_is_kept_with_its_card_and_does_not_answer(registry: Registry) -> None:
    row = registry.add("1")
    with registry.sessions() as session:
        assert active_model(session) is None
        kept = session.scalars(select(ModelVersionRow)).one()
        [event] = session.scalars(select(AuditEventRow))
    assert (kept.id, kept.version, kept.added_by) == (row.id, "1", "user:chief")
    assert kept.card["metrics"] == CARD["metrics"]
    with registry.storage.open_local(kept.storage_key) as path:
        assert path.read_bytes() == (registry.folder / "1.safetensors").read_bytes()
    assert (event.action, event.subject_id, event.details) == (
        "model.register",
        row.id,
        {"sha256": kept.sha256},
    )


def test_the_same_bytes_are_one_version_and_heal_a_lost_file(registry: Registry) -> None:
    first = registry.add("1")
    registry.lose(first)
    assert registry.add("1").id == first.id
    with registry.storage.open_local(first.storage_key) as path:
        assert path.stat().st_size > 0
    with registry.sessions() as session:
        assert len(session.scalars(select(AuditEventRow)).all()) == 1


def test_a_file_that_is_no_checkpoint_is_refused_and_not_kept(registry: Registry) -> None:
    wrong = registry.folder / "wrong.safetensors"
    wrong.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError), registry.sessions.begin() as session:
        register(session, registry.storage, wrong, actor=ACTOR)
    assert not (registry.folder / "storage").exists()


def test_a_model_that_reads_more_than_scans_bring_is_refused_and_not_kept(registry: Registry) -> None:
    file = write_tissue_model(registry.folder / "tissues.safetensors")
    with pytest.raises(MethodNeedsT1wError, match="'mkl-t1w'"), registry.sessions.begin() as session:
        register(session, registry.storage, file, actor=ACTOR)
    assert not (registry.folder / "storage").exists()


@pytest.mark.parametrize("change", [slice(None, -8), "longer"])
def test_a_checkpoint_that_was_cut_short_or_goes_on_is_refused(
    registry: Registry, change: slice | str
) -> None:
    file = registry.file("1")
    content = file.read_bytes()
    file.write_bytes(content + b"more" if isinstance(change, str) else content[change])
    with (
        pytest.raises(CheckpointCorruptError, match="bytes where its header names"),
        registry.sessions.begin() as session,
    ):
        register(session, registry.storage, file, actor=ACTOR)


def test_weights_that_are_no_numbers_are_refused_and_not_kept(registry: Registry) -> None:
    file = registry.file("1")
    file.write_bytes(file.read_bytes()[:-8] + b"\xff" * 8)
    with (
        pytest.raises(CheckpointMismatchError, match="expected finite weights in 'weights', found NaN"),
        registry.sessions.begin() as session,
    ):
        register(session, registry.storage, file, actor=ACTOR)
    assert not (registry.folder / "storage").exists()


@pytest.mark.parametrize(
    "module", ["service.worker.process", "service.embedded.supervisor", "service.registry.registering"]
)
def test_neither_a_workers_parent_nor_the_supervisor_loads_torch(module: str) -> None:
    code = f"import sys, {module}, service.worker.tasks; sys.exit('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3])
    assert ended.returncode == 0
