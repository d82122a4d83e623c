"""Everything that is marked has a Chinese translation, and every translation says something."""

import ast
import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Message
from jinja2 import nodes

from service.api.problems.remedies import REMEDIES
from service.web.language import Language, _, ngettext, pgettext, spoken
from service.web.refusal_wording import CONTEXT
from service.web.rendering import environment
from tests.service.web.language.marked_words import CATALOGUES, SERVICE, marked_words, translated_words

MARKED = {one.key: f"{one.path}:{one.line}" for one in marked_words()}
MARKED |= {(None, words): f"remedy of {code}" for code, words in REMEDIES.items()}
TRANSLATED = translated_words()
PLACE = re.compile(r"%\(\w+\)[sd]|%%")
TAG = re.compile(r"</?\w+[^>]*>")
# How many of its first arguments a call in a template must write itself.
LITERALS = {"_": 1, "gettext": 1, "ngettext": 2, "pgettext": 2}
# Numbers that are part of what is said.
FIGURE = re.compile(r"(?<![A-Za-z0-9_.\-])\d+(?:\.\d+)?")


def messages() -> Iterator[Message]:
    for found in TRANSLATED.values():
        yield from found


def test_there_is_something_to_compare() -> None:
    assert {path.name for path in CATALOGUES} >= {"pages.po"}
    assert len(MARKED) > 250


def test_everything_that_is_marked_is_translated() -> None:
    assert {where: key for key, where in MARKED.items() if key not in TRANSLATED} == {}


def test_every_translation_is_of_something_that_is_said() -> None:
    # Refusals are found by their code; test_refusal_wording holds them against the refusals.
    assert [key for key in TRANSLATED if key not in MARKED and key[0] != CONTEXT] == []


def test_no_text_is_translated_twice_empty_or_in_doubt() -> None:
    assert [key for key, found in TRANSLATED.items() if len(found) > 1] == []
    for message in messages():
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(text.strip() for text in strings), message.id
        assert not message.fuzzy, message.id


def test_placeholders_tags_and_figures_are_the_same_on_both_sides() -> None:
    for message in messages():
        if message.context in {"a moment, for strftime", "a second, for strftime", CONTEXT}:
            continue
        english = message.id if isinstance(message.id, tuple) else (message.id,)
        chinese = message.string if isinstance(message.string, tuple) else (message.string,)
        for pattern in (PLACE, TAG):
            expected = sorted(pattern.findall(english[-1]))
            assert all(sorted(pattern.findall(text)) == expected for text in chinese), (english, chinese)
        figures = set(FIGURE.findall(english[-1]))
        assert all(set(FIGURE.findall(text)) == figures for text in chinese), (english, chinese)


def test_a_template_marks_nothing_but_what_it_writes_itself() -> None:
    # What _() says stands in the page as it is: with what somebody typed, it would be theirs.
    for name in environment().list_templates():
        source, _path, _current = environment().loader.get_source(environment(), name)  # type: ignore[union-attr]
        for call in environment().parse(source).find_all(nodes.Call):
            words = LITERALS.get(call.node.name, 0) if isinstance(call.node, nodes.Name) else 0
            if words:
                assert all(isinstance(one, nodes.Const) for one in call.args[:words]), (name, call.lineno)


def test_what_is_said_by_name_is_said_within_a_function() -> None:
    # At import there is no request: what is said then would stay English.
    for path in SERVICE.rglob("*.py"):
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in {"_", "ngettext", "pgettext"}, (path.name, node.lineno)


def test_words_are_said_in_the_language_that_is_spoken() -> None:
    assert _("Log in") == "Log in"
    with spoken(Language.CHINESE):
        assert _("Log in") == "登录"
        assert ngettext("%(num)s byte", "%(num)s bytes", 7) == "7 字节"
        assert pgettext("between the parts of a list", ", ") == "、"
        assert _("What nobody has translated") == "What nobody has translated"
    assert _("Log in") == "Log in"


@pytest.mark.parametrize(("num", "said"), [(1, "1 byte"), (2, "2 bytes"), (0, "0 bytes")])
def test_english_has_two_forms_for_a_number(num: int, said: str) -> None:
    assert ngettext("%(num)s byte", "%(num)s bytes", num) == said
