"""The compose file as a test reads it."""

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = REPOSITORY / "docker-compose.yml"

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
DOCUMENT: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
ONE_SHOT = {"migrate", "admin", "s3-volume", "bucket"}
