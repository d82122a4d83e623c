"""A web process without any worker, for what the pages do before a worker is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from service.settings import Settings
from tests.browser.watching import Site
from tests.service.api.serving import PASSWORD


@dataclass
class Service:
    """A web process that can be killed and started again at the same address, without any worker."""

    settings: Settings
    port: int
    headers: dict[str, str]

    @property
    def site(self) -> Site:
        return Site(f"http://127.0.0.1:{self.port}", "doctor", PASSWORD, "")

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx2.get(self.site.address + path, headers=self.headers).json()
        return answer

    def scans(self) -> int:
        return len(self.get("/api/v1/predictions")["items"])

    def unfinished(self) -> list[Path]:
        return list((self.settings.data_dir / "storage" / "resumable").rglob("*.part"))
