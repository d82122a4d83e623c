import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from model.card import ModelCard
from model.errors import CheckpointError
from service.db.rows import AuditEventRow, ModelVersionRow
from service.storage import FolderStorage
from service.worker import models
from service.worker.models import active_model, register_checkpoint


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two files whose bytes stand for checkpoints; only the reading of the card is replaced."""

    def read_card(path: Path) -> ModelCard:
        return ModelCard(
            name="demo",
            version=path.stem,
            network="C",
            rnn="lstm",
            width=4,
            members=1,
            preprocessing={},
            cohort_fingerprint="f",
            trained_on="simulated",
            intended_use="demonstration",
            metrics={},
            code_version="c",
        )

    monkeypatch.setattr(models, "read_card", read_card)
    first, second = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    first.write_bytes(b"first")
    second.write_bytes(b"second" * 400_000)
    return first, second


def test_the_newest_registration_answers(
    sessions: sessionmaker[Session], storage: FolderStorage, files: tuple[Path, Path]
) -> None:
    with sessions() as session:
        assert active_model(session) is None
    ids = []
    for file in (*files, files[0]):
        with sessions.begin() as session:
            ids.append(register_checkpoint(session, storage, file).id)
    assert ids[0] == ids[2] != ids[1], "the same bytes are the same version"
    with sessions() as session:
        assert active_model(session)
        active = session.scalars(select(ModelVersionRow).where(ModelVersionRow.active)).one()
        assert session.scalar(select(func.count()).select_from(ModelVersionRow)) == 2
        second = session.get_one(ModelVersionRow, ids[1])
    assert active.id == ids[0]
    assert (active.card["network"], active.card["intended_use"]) == ("C", "demonstration")
    with storage.open_local(second.storage_key) as path:
        assert path.read_bytes() == files[1].read_bytes()
    with sessions() as session:
        told = session.execute(
            select(AuditEventRow.actor, AuditEventRow.action, AuditEventRow.subject_id).order_by(
                AuditEventRow.sequence
            )
        ).all()
    assert [tuple(event) for event in told] == [
        ("serve", "model.register", ids[0]),
        ("serve", "model.activate", ids[0]),
        ("serve", "model.register", ids[1]),
        ("serve", "model.activate", ids[1]),
        ("serve", "model.activate", ids[0]),
    ]


def test_a_file_that_is_no_checkpoint_is_refused_and_not_kept(
    sessions: sessionmaker[Session], storage: FolderStorage, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError), sessions.begin() as session:
        register_checkpoint(session, storage, wrong)
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("module", ["service.worker.process", "service.embedded.supervisor"])
def test_neither_a_workers_parent_nor_the_supervisor_loads_torch(module: str) -> None:
    code = f"import sys, {module}, service.worker.tasks; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode
        == 0
    )
