from pathlib import Path

from service.cli.sample import summary

CREDENTIALS = {"username": "demo", "password": "secret-password", "api_key": "rnk_key"}


def test_the_summary_holds_all_that_a_new_user_needs():
    result = {"adhd_probability": 0.61, "interval": {"level": 0.9, "low": 0.44, "high": 0.75}}
    prediction = {"id": "p-1", "status": "succeeded", "result": {**result, "decision": "uncertain"}}
    text = summary(
        "http://127.0.0.1:8000", Path("/data/s.nii.gz"), prediction=prediction, credentials=CREDENTIALS
    )
    assert "0.610, 90% interval 0.440 to 0.750: uncertain" in text
    assert "user demo, password secret-password" in text
    curl = '-H "Authorization: Bearer rnk_key" -F "scan=@/data/s.nii.gz" http://127.0.0.1:8000/api/v1/scans'
    assert curl in text
    assert "http://127.0.0.1:8000/api/v1/predictions/p-1" in text


def test_a_sample_that_failed_says_why():
    prediction = {"id": "p-1", "status": "failed", "error": {"code": "worker_lost", "message": "..."}}
    text = summary("http://h", Path("s"), prediction=prediction, credentials=CREDENTIALS)
    assert "not scored (failed)" in text
    assert "worker_lost" in text
