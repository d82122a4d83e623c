"""The PDF of a report: two pages at most, text that stays text, and what readers' programs need of it."""

import io

import numpy as np
import pypdf
import pypdfium2
import pytest
import typst

from service.report import typesetting
from service.report.contents import Fact, Report
from service.report.fitting import CONTINUED, cut
from service.report.pdf import write_pdf
from service.web import wording
from service.web.language import Language, spoken
from tests.service.report.made_up import (
    HOSTILE,
    PICTURES,
    evened,
    hostile_report,
    made_up_report,
    pages_of,
    review,
)

WIDE = "W" * 2000


def crowded(text: str) -> Report:
    """As much as a report can hold: warnings, reviews, pictures, and the same text wherever one is typed."""
    remarks = [wording.Remark(words, text, code) for code, words in wording.WARNINGS.items()]
    remarks += [wording.Remark(text, "", text)] * 8
    return made_up_report(
        subject=text[:64],
        person=[Fact("Age", "11.5 years"), Fact("Sex", "female"), Fact("Site", text[:64])],
        remarks=remarks,
        scan=[Fact("File", text), *made_up_report().scan],
        model=[Fact("Name", text), Fact("Trained on", text), *made_up_report().model],
        performance=[Fact(name, "0.88 (0.82 to 0.93)") for name in ("A", "B", "C", "D")],
        measured_on=text,
        reviews=[review(text, diagnosis="another disorder, not ADHD")] * 50,
        origin=[Fact("Prediction", "5e0f"), Fact("On the page", text), Fact("Report made", text)],
        pictures=PICTURES,
    )


def test_a_plain_report_is_one_page_and_four_pictures_need_two() -> None:
    assert len(pages_of(write_pdf(made_up_report()))) == 1
    drawn = write_pdf(made_up_report(pictures=PICTURES))
    reader = pypdf.PdfReader(io.BytesIO(drawn))
    assert len(reader.pages) == 2
    assert sum(len(page.images) for page in reader.pages) == 4
    text = " ".join(pages_of(drawn))
    assert all(evened(picture.caption) in text for picture in PICTURES)


@pytest.mark.parametrize("text", [WIDE, "word " * 400, "a\n" * 1000, "\u00e4" * 2000, "\u4e2d" * 2000])
def test_nothing_makes_a_third_page_or_takes_the_notice_away(text: str) -> None:
    pages = pages_of(write_pdf(crowded(text)))
    assert len(pages) == 2
    assert evened(wording.banner("demonstration")) in pages[0]
    assert all(wording.NOTICE in page for page in pages)
    whole = "".join(pages[1].split())
    assert f"SHA-256{'9f' * 32}" in whole
    assert f"SHA-256{'ab' * 32}" in whole


def test_what_is_cut_says_where_it_goes_on() -> None:
    text = " ".join(pages_of(write_pdf(crowded("word " * 400))))
    assert CONTINUED in text
    assert "Earlier reviews stand on the page of the prediction." in text
    # Ten have room.
    assert f"{len(wording.WARNINGS) + 8 - 10} more on the page of the prediction." in text
    uncut = " ".join(pages_of(write_pdf(made_up_report(reviews=[review("word " * 350)]))))
    assert CONTINUED not in uncut


def test_cutting_keeps_words_whole_and_long_ones_within_the_length() -> None:
    assert cut("one two\nthree", 20) == "one two three"
    assert cut("one two three", 10) == "one two" + CONTINUED
    assert cut("x" * 50, 10) == "x" * 10 + CONTINUED


def test_a_few_lines_do_not_begin_a_second_page() -> None:
    remarks = [wording.Remark(words, "measured " * 12, code) for code, words in wording.WARNINGS.items()]
    pages = [len(pages_of(write_pdf(made_up_report(remarks=remarks[:number])))) for number in range(8)]
    assert pages[2] == 1
    assert pages[7] == 2
    # The facts at the end stay together.
    longer = pages_of(write_pdf(made_up_report(remarks=remarks, reviews=[review("word " * 200)])))
    assert [page.count("The scan File") for page in longer] == [0, 1]
    assert [page.count("This report") for page in longer] == [0, 1]


def test_nothing_reaches_the_edge_of_the_paper() -> None:
    document = pypdfium2.PdfDocument(write_pdf(crowded(WIDE)))
    for page in document:
        pixels = np.asarray(page.render(scale=1).to_pil().convert("L"))
        # 14 mm of the 16 mm that are left free.
        margin = int(14 / 210 * pixels.shape[1])
        assert pixels[:, :margin].min() == 255
        assert pixels[:, -margin:].min() == 255
        assert pixels.min() < 60
    document.close()


def test_what_was_typed_is_text() -> None:
    # Blanks are where lines end.
    text = "".join("".join(pages_of(write_pdf(hostile_report()))).split())
    for hostile in HOSTILE:
        # In a warning, a review, the site, the file, the model, whom it was measured on, and who made it. The
        # last of them is cut where room is short.
        assert text.count("".join(hostile.split())) >= (2 if hostile == HOSTILE[-1] else 7), hostile
    assert "root:" not in text


def test_it_is_tagged_titled_and_in_a_language() -> None:
    pdf = write_pdf(made_up_report(pictures=PICTURES))
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    assert reader.metadata is not None
    assert reader.metadata.title == "RestNet report 5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11"
    said = alternatives(root["/StructTreeRoot"])
    assert {picture.alt for picture in PICTURES} <= said
    assert any(alternative.startswith("Scale from 0 to 100 %") for alternative in said)


def alternatives(node: pypdf.generic.PdfObject) -> set[str]:
    """What a reader's program says instead of each picture."""
    node = node.get_object()
    if isinstance(node, list):
        return set().union(*map(alternatives, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    own = {str(node["/Alt"])} if "/Alt" in node else set()
    return own | (alternatives(node["/K"]) if "/K" in node else set())


def test_it_opens_nothing_and_leads_nowhere() -> None:
    reader = pypdf.PdfReader(io.BytesIO(write_pdf(hostile_report())))
    root = reader.trailer["/Root"]
    assert not {"/OpenAction", "/AA", "/AcroForm"} & root.keys()
    assert not {"/JavaScript", "/EmbeddedFiles"} & root.get("/Names", {}).keys()
    assert all("/Annots" not in page for page in reader.pages)


def test_letters_of_no_font_do_not_stop_it() -> None:
    thai = pages_of(write_pdf(made_up_report(reviews=[review("\u0e44\u0e17\u0e22 and words")])))
    assert "Some letters of this report are in none of its fonts" in thai[0]
    assert "and words" in thai[0]
    others = "\u0393\u03c1\u03b5\u03b5\u03ba, \u0420\u0443\u0441\u0441, \u0141\u00f3\u017a, Gr\u00fc\u00dfe"
    written = pages_of(write_pdf(made_up_report(reviews=[review(others)])))
    assert "Some letters" not in written[0]
    assert others in written[0]


def standards_of(pdf: bytes) -> str:
    """What a PDF says of itself."""
    metadata = pypdf.PdfReader(io.BytesIO(pdf)).trailer["/Root"]["/Metadata"]
    return str(metadata.get_data().decode())


def test_a_chinese_reason_is_shown_in_an_english_report() -> None:
    pdf = write_pdf(made_up_report(subject="\u674e-7", reviews=[review("头动过大，复查。")]))
    text = pages_of(pdf)[0]
    assert "头动过大，复查。" in text
    assert "Some letters" not in text
    assert "pdfuaid" in standards_of(pdf)


def test_in_chinese_it_is_chinese_tagged_and_small() -> None:
    with spoken(Language.CHINESE):
        report = made_up_report(pictures=PICTURES, reviews=[review("头动过大，复查。")])
    pdf = write_pdf(report)
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    text = "".join(pages_of(pdf)).replace(" ", "")
    for words in ("ADHD的概率", "临床复核", "扫描质量", "在训练扫描中", "本报告"):
        assert words in text
    assert "Clinicalreview" not in text
    assert str(reader.trailer["/Root"]["/Lang"]).startswith("zh")
    assert "pdfuaid" in standards_of(pdf)
    assert len(reader.pages) <= 2
    # Of twenty megabytes of letters only those that are shown are in it.
    plain = write_pdf(made_up_report(pictures=PICTURES))
    assert len(pdf) < len(plain) + 400_000


def test_what_is_too_long_is_cut_in_chinese_too() -> None:
    with spoken(Language.CHINESE):
        report = crowded("中" * 2000)
    pages = pages_of(write_pdf(report))
    assert len(pages) == 2
    assert "其余见预测页面" in "".join(pages).replace(" ", "").replace("\n", "")


def test_the_same_report_is_the_same_file_and_carries_its_moment() -> None:
    pdf = write_pdf(made_up_report())
    assert pdf == write_pdf(made_up_report())
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert reader.metadata is not None
    assert reader.metadata.creation_date == made_up_report().made_at.replace(microsecond=0)


def test_without_the_pages_packages_it_has_other_letters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    typesetting._fonts.cache_clear()
    monkeypatch.setattr(typesetting, "FONTS", tmp_path)
    text = pages_of(write_pdf(made_up_report()))
    typesetting._fonts.cache_clear()
    assert "Probability of ADHD" in text[0]


def test_a_refusal_of_the_compiler_tells_nothing_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> bytes:
        error = typst.TypstError("SECRET", "SECRET")
        error.message = "PDF error: the text `SECRET` is not"
        raise error

    monkeypatch.setattr(typesetting, "_compile", refuse)
    with pytest.raises(
        RuntimeError, match=r"^expected Typst to set a document, found: PDF error: the text $"
    ) as refused:
        write_pdf(made_up_report())
    assert "SECRET" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
