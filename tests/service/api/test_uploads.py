"""Where the bytes of many uploads wait for their turn."""

from concurrent.futures import ThreadPoolExecutor

from anyio.to_thread import current_default_thread_limiter

from tests.servers import wait_until
from tests.service.api.serving import Serving


def test_uploads_that_wait_for_the_disk_keep_no_page_waiting(served: Serving) -> None:
    headers = served.key()
    receiving, portal = served.resources.receiving, served.client.portal
    assert portal is not None

    async def threads_of_everybody() -> int:
        return int(current_default_thread_limiter().total_tokens)

    uploads = portal.call(threads_of_everybody) + 5
    busy = [object() for _ in range(int(receiving.total_tokens))]
    for writer in busy:
        portal.call(receiving.acquire_on_behalf_of, writer)
    with ThreadPoolExecutor(uploads) as clients:
        sent = [clients.submit(served.upload, headers) for _ in range(uploads)]
        wait_until(lambda: receiving.statistics().tasks_waiting == uploads, "every upload to wait")
        assert served.client.get("/api/v1/predictions", headers=headers).json()["items"] == []
        for writer in busy:
            portal.call(receiving.release_on_behalf_of, writer)
        assert len({upload.result()["prediction_id"] for upload in sent}) == uploads
