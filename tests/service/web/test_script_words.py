"""What the scripts say comes with the page, in its language: they have no words of their own."""

import json
import re
from html import unescape

import pytest

from service.api.problems.remedies import REMEDIES
from service.web import script_words
from service.web.language import Language, spoken
from service.web.refusal_wording import PLACE
from service.web.rendering import FOLDER
from tests.service.api.serving import Serving

SCRIPTS = {path.name: path.read_text() for path in sorted((FOLDER / "static").glob("*.js"))}
UPLOADING = {
    "batch.js",
    "choice.js",
    "fields.js",
    "nifti.js",
    "sending.js",
    "upload.js",
    "views.js",
    "words.js",
}
WORDS = {
    "upload": (UPLOADING, script_words.upload_words),
    "prediction": ({"follow.js", "viewer.js"}, script_words.prediction_words),
    "list": ({"worklist.js"}, script_words.list_words),
}
CJK = re.compile(r"[\u4e00-\u9fff]")
COMMENT = re.compile(r"^\s*//.*$|(?<=[;{,)])\s+//.*$", re.MULTILINE)
TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
# Two words side by side, or one that begins a sentence; what stands in ${} is no text.
SENTENCE = re.compile(r"[A-Za-z]{2,}[,:]? [a-z]{2,}|^[A-Z][a-z]{2,}\b(?![-:\[])")
NO_WORDS = re.compile(
    # Selectors; colour maps, a key and errors for the console; names of keys, headers and signatures.
    r"^(?:[#.\[]|\(prefers-|button\[|meta\[)"
    r"|^(?:warm|red|viridis|restnet-upload|cannot be told|status \$)"
    r"|^(?:Arrow|Enter|Content-|Retry|Accept|X-|HEAD|POST|DICM|MATLAB|Escape)"
)
# Names that are put together.
BUILT = {"count_done", "count_refused", "count_stopped"}


def texts(script: str) -> list[str]:
    code = COMMENT.sub("", SCRIPTS[script])
    return [re.sub(r"\$\{[^}]*\}", "", one or other) for one, other in TEXT.findall(code)]


def sentences(found: list[str]) -> list[str]:
    return [text for text in found if SENTENCE.search(text) and not NO_WORDS.search(text)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_has_words_of_its_own(script: str) -> None:
    assert sentences(texts(script)) == []


def test_the_search_finds_words() -> None:
    assert sentences(
        ["Uploading", "the file was changed", "Waiting, 3", "#list form", "data-mm", "uploaded"]
    ) == [
        "Uploading",
        "the file was changed",
        "Waiting, 3",
    ]


@pytest.mark.parametrize("page", WORDS)
def test_every_name_has_words_and_all_words_are_used(page: str) -> None:
    scripts, words = WORDS[page]
    known = {name for name, said in words().items() if isinstance(said, str)}
    code = "\n".join(COMMENT.sub("", SCRIPTS[script]) for script in scripts)
    asked = {
        name
        for call in re.findall(r"\b(?:say|word|Defect)\((?!words|word)([^,;{]+)", code)
        for name in re.findall(r'"([a-z_]+)"', call)
    }
    assert len(asked) >= {"upload": 40, "prediction": 8, "list": 2}[page]
    assert asked - known == set()
    literal = set(re.findall(r'"(\w+)"', code))
    assert known - literal - BUILT - {"list_comma"} == set()


@pytest.mark.parametrize("page", WORDS)
def test_words_are_there_in_both_languages_with_the_same_places(page: str) -> None:
    _, words = WORDS[page]
    english = words()
    with spoken(Language.CHINESE):
        chinese = words()
    assert english.keys() <= chinese.keys()
    for name, said in english.items():
        if isinstance(said, str) and name not in script_words.DEFECTS:
            assert set(PLACE.findall(chinese[name])) == set(PLACE.findall(said)), name
        if isinstance(said, str) and re.search(r"[a-z]{3,}", PLACE.sub("", said)) and name != "logits":
            assert CJK.search(chinese[name]), name


def test_what_is_said_of_a_header_names_what_the_script_found() -> None:
    with spoken(Language.CHINESE):
        words = script_words.upload_words()
    given = {
        code: set(re.findall(r"(\w+):", values)) | ({"minimum", "maximum"} if "TR_S" in values else set())
        for code, values in re.findall(r'new Defect\(\s*"(\w+)"(?:, \{([^}]*)\})?', SCRIPTS["nifti.js"])
    }
    assert given.keys() == script_words.DEFECTS.keys()
    given["implausible_repetition_time"] |= {"unit"}
    for code, names in given.items():
        assert set(PLACE.findall(script_words.DEFECTS[code])) <= names, code
        assert set(PLACE.findall(words[code])) <= names, code


def test_every_kind_of_file_that_the_script_tells_has_a_name() -> None:
    code = SCRIPTS["nifti.js"]
    told = set(re.findall(r'^  \[\d+, ".*", "(\w+)"\],$', code, re.MULTILINE))
    told |= set(re.findall(r'return "(\w+)";', code))
    assert told == script_words.KINDS.keys()


def test_the_pages_bring_the_words_along(served: Serving) -> None:
    served.user("doctor")
    served.log_in("doctor")
    for language, remedy in (("en", REMEDIES["cifti"]), ("zh-CN", "请上传同一次扫描的体素文件")):
        page = served.client.get("/", headers={"Accept-Language": language}).text
        [words] = re.findall(r"<meta name=\"words\" content='([^']*)'>", page)
        assert json.loads(unescape(words))["remedies"]["cifti"].startswith(remedy)
    assert '<meta name="words"' in served.client.get("/predictions").text


def test_an_english_page_has_a_remedy_for_whatever_its_scripts_find() -> None:
    found = set(re.findall(r'code: "(\w+)"', SCRIPTS["choice.js"] + SCRIPTS["upload.js"]))
    found |= {"nifti_pair", "not_nifti"} | script_words.DEFECTS.keys()
    assert found >= {"empty_file", "scan_missing", "upload_too_large"}
    assert found == script_words.upload_words()["remedies"].keys()
