"""What a reload of a page under a form's own address leads to."""

from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from service.web.prediction.reloaded import SECTIONS
from tests.service.api.serving import Serving
from tests.service.web.test_login import HTML

FORMS = "/predictions/{prediction_id}/"


def test_every_form_of_a_prediction_has_a_way_back(served: Serving) -> None:
    app: Any = served.client.app
    routes = list(iter_route_contexts(app.routes))
    sent = {
        route.path.removeprefix(FORMS)
        for route in routes
        if str(route.path).startswith(FORMS) and "POST" in (route.methods or ())
    }
    assert sent == set(SECTIONS)


@pytest.mark.parametrize(("form", "section"), SECTIONS.items())
def test_a_reload_shows_the_prediction_where_the_form_stands(
    served: Serving, form: str, section: str
) -> None:
    token = served.log_in(served.user())
    prediction_id = served.upload({"X-CSRF-Token": token})["prediction_id"]
    answer = served.client.get(f"/predictions/{prediction_id}/{form}", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/predictions/{prediction_id}{section}"
    assert served.client.get(answer.headers["location"], headers=HTML).status_code == 200


@pytest.mark.parametrize("form", SECTIONS)
def test_who_is_logged_out_is_led_to_the_login_and_nobody_elsewhere(served: Serving, form: str) -> None:
    led = served.client.get(f"/predictions/x/{form}", headers=HTML, follow_redirects=True)
    assert str(led.url.path) == "/login"
    assert f'name="next" value="/predictions/x/{form}"' in led.text
    address = f"/predictions/%0d%0aX-Odd:1/{form}"
    assert "x-odd" not in served.client.get(address, headers=HTML).headers
    served.log_in(served.user())
    odd = served.client.get(address, headers=HTML)
    assert "x-odd" not in odd.headers
    assert odd.headers["location"].startswith("/predictions/%0D%0A")
