"""Clients that hand scans over and do not give up: each upload keeps its key until the service accepts it."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2

PAUSE_S = 0.3


@dataclass(frozen=True)
class Accepted:
    """One upload that was answered with 202.

    Attributes
    ----------
    kind : str
        Which of the scans it was.
    prediction_ids : frozenset of str
        All that were named to its client; one key must never lead to two.
    seconds : float
        From the first try to the answer.
    tries : int
    """

    kind: str
    prediction_ids: frozenset[str]
    seconds: float
    tries: int


@dataclass
class Clients:
    """Uploads over REST from several threads at once.

    Attributes
    ----------
    addresses : sequence of str
        Taken in turn, so that a retry may reach another web process.
    api_key : str
    scans : mapping of str to bytes
        File contents by kind.
    refusals : Counter
        Statuses other than 202, and the names of connection errors, over all tries.
    """

    addresses: Sequence[str]
    api_key: str
    scans: Mapping[str, bytes]
    seed: int = 0
    patience_s: float = 300.0
    refusals: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def upload_all(self, n_uploads: int, *, at_once: int) -> list[Accepted]:
        """Hand over scans of every kind in turn; returns when each is accepted."""
        kinds = itertools.islice(itertools.cycle(self.scans), n_uploads)
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self._upload, range(n_uploads), kinds))

    def _upload(self, number: int, kind: str) -> Accepted:
        chance = random.Random(self.seed * 1_000_003 + number)  # noqa: S311  (which try goes where)
        began = time.monotonic()
        answered: set[str] = set()
        # Some clients never hear the answer and ask again with the same key.
        wanted = 2 if chance.random() < 0.1 else 1
        tries = 0
        with httpx2.Client(timeout=20) as client:
            while wanted:
                tries += 1
                if time.monotonic() - began > self.patience_s:
                    raise TimeoutError(f"upload {number} was not accepted in {self.patience_s} s")
                prediction_id = self._try(client, chance.choice(self.addresses), number, kind)
                if prediction_id is None:
                    time.sleep(PAUSE_S * (1 + chance.random()))
                    continue
                answered.add(prediction_id)
                wanted -= 1
        return Accepted(kind, frozenset(answered), time.monotonic() - began, tries)

    def _try(self, client: httpx2.Client, address: str, number: int, kind: str) -> str | None:
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Idempotency-Key": f"upload-{self.seed}-{number}",
            "X-Filename": f"{kind}.nii.gz",
            "Content-Type": "application/gzip",
        }
        try:
            answer = client.post(f"{address}/api/v1/scans", content=self.scans[kind], headers=headers)
        except httpx2.HTTPError as error:
            self._note(type(error).__name__)
            return None
        if answer.status_code == 202:
            return str(answer.json()["prediction_id"])
        self._note(f"{answer.status_code} {_code(answer)}")
        if answer.status_code < 500 and answer.status_code != 429:
            raise AssertionError(f"a good upload was refused: {answer.status_code} {answer.text[:300]}")
        return None

    def _note(self, what: str) -> None:
        with self._lock:
            self.refusals[what] += 1


def _code(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
