"""Small checkpoints with cards of every kind, and a registry to put them in."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy.orm import Session, sessionmaker

from service.db.rows import ModelVersionRow
from service.identity.actor import Actor
from service.registry.registering import register
from service.storage import FolderStorage, Storage, checkpoint_key

ACTOR = Actor("user:chief", "127.0.0.1")
FIGURE = {"value": 0.9, "low": 0.85, "high": 0.94}
CARD: dict[str, Any] = {
    "name": "demo",
    "version": "1",
    "format_version": 1,
    "network": "C",
    "rnn": "lstm",
    "width": 4,
    "members": 1,
    "preprocessing": {"version": 1, "tr_s": 2.0, "window_frames": 20},
    "cohort_fingerprint": "f",
    "trained_on": "simulated",
    "intended_use": "demonstration",
    "metrics": {"protocol": "nested"}
    | dict.fromkeys(("auc", "balanced_accuracy", "sensitivity", "specificity"), FIGURE),
    "code_version": "c",
}


@dataclass
class Registry:
    """A database, a folder of files, and checkpoints to add to them."""

    folder: Path
    sessions: sessionmaker[Session]
    storage: Storage

    def file(self, version: str, **changes: Any) -> Path:
        """Write a checkpoint whose card differs in what is said."""
        path = self.folder / f"{version}.safetensors"
        card = json.dumps(CARD | {"version": version} | changes)
        save_file({"weights": np.arange(4.0)}, path, metadata={"card": card})
        return path

    def add(self, version: str, **changes: Any) -> ModelVersionRow:
        """Register one."""
        with self.sessions.begin() as session:
            return register(session, self.storage, self.file(version, **changes), actor=ACTOR)

    def add_broken(self, version: str, **changes: Any) -> ModelVersionRow:
        """Put a checkpoint with NaN weights in place as earlier versions registered it: without looking."""
        path = self.file(version, **changes)
        path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        with self.storage.receive(max_bytes=10_000) as upload:
            upload.write(path.read_bytes())
            self.storage.promote(upload, checkpoint_key(sha256))
        row = ModelVersionRow(
            name=CARD["name"],
            version=version,
            sha256=sha256,
            storage_key=checkpoint_key(sha256),
            card=CARD | {"version": version} | changes,
            added_by="user:chief",
        )
        with self.sessions.begin() as session:
            session.add(row)
        return row

    def lose(self, version: ModelVersionRow) -> None:
        self.storage.delete(version.storage_key)

    def damage(self, version: ModelVersionRow) -> None:
        with self.storage.receive(max_bytes=100) as upload:
            upload.write(b"something else")
            self.storage.promote(upload, version.storage_key)


MakeRegistry = Callable[[], Registry]


@pytest.fixture
def registry(tmp_path: Path, sessions: sessionmaker[Session]) -> Registry:
    return Registry(tmp_path, sessions, FolderStorage(tmp_path / "storage"))
