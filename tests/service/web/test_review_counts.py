"""The counts of reviews, as an administrator sees them."""

import re

from service.identity.roles import Role
from tests.service.api.serving import Serving, sample_result

HTML = {"Accept": "text/html"}


def shown(served: Serving) -> str:
    answer = served.client.get("/reviews", headers=HTML)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text.split("<main")[1]))


def test_an_administrator_sees_how_reviews_and_diagnoses_compare_with_the_model(served: Serving) -> None:
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    assert "Nobody has reviewed a prediction yet" in shown(served)
    doctor = served.key("doctor", Role.CLINICIAN)
    model = served.register_model()
    for seed, said in enumerate(
        (
            {"verdict": "accepted", "diagnosis": "adhd"},
            {"verdict": "overridden", "decision": "control", "reason": "asleep", "diagnosis": "control"},
            {"verdict": "accepted"},
        )
    ):
        prediction_id = served.upload(doctor, subject_id=f"P-{seed}")["prediction_id"]
        served.finish(prediction_id, sample_result(0.9, 0.8, 0.95), model_version_id=model)
        address = f"/api/v1/predictions/{prediction_id}/review"
        assert served.client.post(address, headers=doctor, json=said).status_code == 201
    text = shown(served)
    assert "Accepted 2 of 3" in text
    assert "Overridden 1 of 3" in text
    assert "agree 1 of 2" in text
    # One row a diagnosis: what the model said of those whom it was given to.
    assert re.search(r"ADHD 1 0 0 Control, no disorder 1 0 0 Another disorder, not ADHD 0 0 0", text)
    assert "no accuracy of the model can be read off them" in text


def test_only_an_administrator_is_led_there(served: Serving) -> None:
    for role in Role:
        served.log_in(served.user(f"a-{role.value}", role))
        home = served.client.get("/", headers=HTML).text
        assert ('href="/users"' in home) == (role == Role.ADMINISTRATOR)
        if role == Role.ADMINISTRATOR:
            assert 'href="/reviews"' in served.client.get("/users", headers=HTML).text
        served.client.cookies.clear()
