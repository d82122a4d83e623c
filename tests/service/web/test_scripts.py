"""What our own scripts never do: turn text into code or markup, and leave anything behind in the browser."""

import re
from pathlib import Path

import pytest

from service.web.rendering import FOLDER, HTMX_CONFIG

SCRIPTS = sorted((FOLDER / "static").glob("*.js"))

# Text becomes markup or code (OWASP's list of dangerous sinks), or crosses from another window.
SINKS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function|srcdoc|postMessage"
    r"|__proto__)\b"
)
# Where data about a person would outlive the login.
KEEPING = re.compile(r"\b(localStorage|sessionStorage|indexedDB|document\.cookie|caches|serviceWorker)\b")

# Where an upload goes on; a test in a browser sees that nothing about the person is in it.
MAY_KEEP = {"resumption.js": {"localStorage"}}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_makes_code_of_text_or_keeps_data_in_the_browser(script: Path) -> None:
    text = script.read_text()
    if script.name == "theme.js":
        # A choice of colours says nothing about anybody, and is all that is kept.
        kept = "document.cookie = `theme=${theme}; path=/; max-age=${lifetime}; samesite=lax${secure}`"
        assert text.count(kept) == 1
        text = text.replace(kept, "").replace("document.cookie.match(", "", 1)
    assert SINKS.findall(text) == []
    assert set(KEEPING.findall(text)) == MAY_KEEP.get(script.name, set())


def test_the_search_finds_what_it_is_for() -> None:
    assert SINKS.findall("root.innerHTML = answer; eval(answer)") == ["innerHTML", "eval"]
    assert KEEPING.findall("localStorage.setItem('a', document.cookie)") == [
        "localStorage",
        "document.cookie",
    ]
    assert {script.name for script in SCRIPTS} >= {"upload.js", "follow.js"}


def test_htmx_evaluates_nothing_asks_nobody_else_and_keeps_no_history() -> None:
    for said in ('"allowEval": false', '"selfRequestsOnly": true', '"historyCacheSize": 0'):
        assert said in HTMX_CONFIG
