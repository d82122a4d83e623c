"""Speaks tus 1.0.0 for the tests."""

import base64
from dataclasses import dataclass
from typing import Any

TUS = {"Tus-Resumable": "1.0.0"}
UPLOADS = "/api/v1/uploads"


def metadata(name: str = "scan.nii.gz") -> str:
    return "filename " + base64.b64encode(name.encode()).decode()


@dataclass
class Client:
    """Speaks tus to an application, for one account."""

    client: Any
    headers: dict[str, str]

    def begin(self, length: int, **headers: str) -> Any:
        said = {"Upload-Length": str(length), "Upload-Metadata": metadata()} | headers
        return self.client.post(UPLOADS, headers=self.headers | TUS | said)

    def begun(self, length: int, **headers: str) -> str:
        answer = self.begin(length, **headers)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["Location"])

    def offset(self, place: str) -> int:
        answer = self.client.head(place, headers=self.headers | TUS)
        assert answer.status_code == 200
        return int(answer.headers["Upload-Offset"])

    def append(self, place: str, offset: int, content: bytes, **headers: str) -> Any:
        said = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"} | headers
        return self.client.patch(place, headers=self.headers | TUS | said, content=content)

    def complete(self, place: str, **fields: Any) -> Any:
        return self.client.post(f"{place}/complete", headers=self.headers, json=fields)

    def stop(self, place: str) -> Any:
        return self.client.delete(place, headers=self.headers | TUS)

    def send(self, content: bytes, **headers: str) -> str:
        place = self.begun(len(content), **headers)
        assert self.append(place, 0, content).status_code == 204
        return place
