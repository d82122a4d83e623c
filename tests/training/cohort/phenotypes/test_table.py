from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cohort.phenotypes.adhd200 import SITE_NAMES, handedness, site_name
from training.cohort.phenotypes.columns import ColumnMissingError, ColumnRepeatedError
from training.cohort.phenotypes.delimited import TableRowError, TableUnreadableError
from training.cohort.phenotypes.labels import ABIDE_RULE, LabelRule, LabelRuleError
from training.cohort.phenotypes.table import (
    DuplicateSubjectError,
    ReleaseListError,
    read_phenotypes,
    read_test_ids,
)
from training.cohort.subjects import plain_id
from training.simulation.phenotypes import COLUMNS, phenotype_row, phenotype_table
from training.simulation.simulator import subject_profile
from training.simulation.sites import SITES

HEADER = "ScanDir ID,Site,Gender,Age,Handedness,DX,Full2 IQ,Full4 IQ,QC_NIAK"

# Counted by hand from the official releases (SCIENCE section 4): site, train control/ADHD, test control/ADHD.
OFFICIAL_COUNTS = {
    "KKI": (61, 22, 8, 3),
    "NYU": (99, 123, 12, 29),
    "NeuroIMAGE": (23, 25, 14, 11),
    "OHSU": (42, 37, 28, 6),
    "Peking": (116, 78, 27, 24),
    "Pittsburgh": (89, 0, 5, 4),
    "WashU": (61, 0, 0, 0),
}


@pytest.fixture
def read(tmp_path):
    """Read a table from its text (or bytes)."""

    def read(content, name="table.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_phenotypes(path, **options)

    return read


def rows(*lines, header=HEADER):
    return "\n".join([header, *lines]) + "\n"


def codes(table):
    return Counter(finding.code for finding in table.findings)


# The real tables


@pytest.mark.real_data
def test_the_combined_table_has_the_official_counts(shared_data):
    folder = shared_data / "adhd200"
    test_ids = read_test_ids(folder / "test_release_ids.txt")
    table = read_phenotypes(folder / "adhd200_preprocessed_phenotypics.tsv", test_ids=test_ids)
    counts = Counter((s.site, s.release, s.label) for s in table.subjects)
    assert (len(test_ids), len(table.subjects)) == (197, 973)
    found = {
        site: tuple(counts[site, release, label] for release in ("train", "test") for label in (0, 1))
        for site in OFFICIAL_COUNTS
    }
    assert found == OFFICIAL_COUNTS
    assert counts["Brown", "test", None] == 26
    assert codes(table) == {"label_pending": 26, "handedness_unknown": 1}


@pytest.mark.real_data
def test_the_codes_of_the_combined_table_are_understood(shared_data):
    table = read_phenotypes(shared_data / "adhd200" / "adhd200_preprocessed_phenotypics.tsv")
    by_id = {subject.subject_id: subject for subject in table.subjects}
    # Counted from the text: 599 times 1, 373 times 0, one blank.
    assert Counter(s.sex for s in table.subjects) == {"male": 599, "female": 373, None: 1}
    # 26 times 0, five scores below zero, one L; blank, 2 N/A, 6 times -999, one unknown 3.
    assert Counter(s.handedness for s in table.subjects) == {
        "right": 930,
        "left": 32,
        "ambidextrous": 1,
        None: 10,
    }
    assert by_id["10044"].sex is None
    assert by_id["4125514"].handedness == "left"
    assert by_id["1735881"].handedness == "ambidextrous"
    # Full4 was measured for 887, Full2 alone for 24 of NeuroIMAGE.
    assert sum(s.iq is not None for s in table.subjects) == 887 + 24
    verdicts = Counter(s.quality_passed["QC_NIAK"] for s in table.subjects)
    assert verdicts == {True: 915, False: 50, None: 8}
    assert {s.release for s in table.subjects} == {None}
    ages = [s.age_years for s in table.subjects if s.label is not None]
    assert min(ages) > 7
    assert max(ages) < 27


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "site", "n_cases", "n_controls"),
    [
        ("NYU_phenotypic.csv", "NYU", 123, 99),
        ("Pittsburgh_phenotypic.csv", "Pittsburgh", 0, 89),
        ("Peking_1_TestRelease_phenotypic.csv", "Peking", 24, 27),
    ],
)
def test_the_tables_of_single_sites_agree_with_the_combined_one(shared_data, name, site, n_cases, n_controls):
    table = read_phenotypes(shared_data / "adhd200" / name)
    combined = read_phenotypes(shared_data / "adhd200" / "adhd200_preprocessed_phenotypics.tsv")
    by_id = {subject.subject_id: subject for subject in combined.subjects}
    assert Counter(s.label for s in table.subjects) == Counter({1: n_cases, 0: n_controls})
    assert {s.site for s in table.subjects} == {site}
    assert not table.findings
    assert set(table.subjects[0].quality_passed) >= {"QC_Rest_1", "QC_Anatomical_1"}
    for subject in table.subjects:
        other = by_id[subject.subject_id]
        assert (subject.label, subject.diagnosis, subject.age_years, subject.sex) == (
            other.label,
            other.diagnosis,
            other.age_years,
            other.sex,
        )


@pytest.mark.real_data
def test_test_subjects_outside_a_sites_table_are_reported(shared_data):
    test_ids = read_test_ids(shared_data / "adhd200" / "test_release_ids.txt")
    table = read_phenotypes(
        shared_data / "adhd200" / "Peking_1_TestRelease_phenotypic.csv", test_ids=test_ids
    )
    assert {s.release for s in table.subjects} == {"test"}
    assert codes(table) == {"test_id_without_row": 197 - 51}
    assert not table.release_unknown
    without = read_phenotypes(shared_data / "adhd200" / "Peking_1_TestRelease_phenotypic.csv")
    assert without.release_unknown


# Simulated tables


def test_a_simulated_table_says_who_the_simulated_subjects_are(read):
    profiles = [subject_profile(index, seed=3) for index in range(60)]
    table = read(phenotype_table(profile.phenotype for profile in profiles), "table.tsv")
    assert [s.subject_id for s in table.subjects] == [p.scan_dir_id for p in profiles]
    assert [s.site for s in table.subjects] == [p.site.name for p in profiles]
    assert [s.label for s in table.subjects] == [p.label for p in profiles]
    assert [s.age_years for s in table.subjects] == [float(p.phenotype["Age"]) for p in profiles]
    assert all(s.sex and s.handedness for s in table.subjects)
    assert {column for s in table.subjects for column in s.quality_passed} == {"QC_Athena", "QC_NIAK"}
    assert not table.findings


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_a_simulated_row_of_every_site_is_read(read, site):
    generator = np.random.default_rng(8)
    drawn = [
        phenotype_row(scan_dir_id=str(number), site=site, label=label, generator=generator)
        for number, label in enumerate((0, 1) * 20, start=1)
    ]
    table = read(phenotype_table(drawn))
    assert {s.site for s in table.subjects} == {site.name}
    assert [s.label for s in table.subjects] == [0, 1] * 20
    assert not table.findings


def test_simulated_site_codes_are_the_official_ones():
    assert {str(site.code): site.name for site in SITES}.items() <= SITE_NAMES.items()


# Codes of cells


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("0", "left"),
        ("1", "right"),
        ("2", "ambidextrous"),
        ("2.0", "ambidextrous"),
        ("1.0", "right"),
        ("L", "left"),
        (" r ", "right"),
        ("Ambi", "ambidextrous"),
        ("0.83", "right"),
        ("-0.04", "left"),
        ("0.00", "ambidextrous"),
        ("-0.00", "left"),
        ("-100", "left"),
        ("85", "right"),
        ("3", None),
        ("101", None),
        ("nan", None),
        ("inf", None),
        ("both hands", None),
    ],
)
def test_handedness_in_every_code(text, side):
    assert handedness(text) == side


@pytest.mark.parametrize(
    ("text", "name"),
    [("5", "NYU"), ("nyu", "NYU"), ("Peking_2", "Peking"), (" NeuroIMAGE ", "NeuroIMAGE"), ("9", None)],
)
def test_a_site_is_known_by_code_and_name(text, name):
    assert site_name(text) == name


@pytest.mark.parametrize("text", ["10042", "0010042", "sub-10042", "sub-0010042", " 10042 ", "10042.0"])
def test_one_id_in_every_spelling(text):
    assert plain_id(text) == "10042"


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 12), st.sampled_from(["", "sub-"]), st.sampled_from(["", " "]))
def test_padding_never_changes_an_id(number, width, prefix, blank):
    assert plain_id(f"{blank}{prefix}{number:0{width}d}{blank}") == str(number)


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=12))
def test_an_id_is_written_in_one_way_only(text):
    assert plain_id(plain_id(text)) == plain_id(text)
    assert plain_id(text) in {text, text.lstrip("0"), "0"}


def test_ids_that_are_no_numbers_keep_their_letters():
    assert plain_id("sub-NYU0a") == "NYU0a"
    assert plain_id("000") == "0"


def test_missing_cells_are_none_and_codes_that_nobody_knows_are_reported(read):
    table = read(
        rows(
            "1,5,1,9.5,1,0,N/A,101,1",
            "2,5,,-999,N/A,1,98,-999,N/A",
            "3,5,7,old,3,0,-999,x,9",
            "4,5,0,-3,L,pending,,,0",
            "5,5,0,130,R,,,,0",
            "6,17,0,12,R,4,,,0",
            "7,,0,12,R,-999,110,104,0",
        )
    )
    first, second, third, fourth, fifth, sixth, seventh = table.subjects
    assert (first.age_years, first.sex, first.handedness, first.iq) == (9.5, "male", "right", 101.0)
    assert (second.age_years, second.sex, second.handedness, second.iq) == (None, None, None, 98.0)
    assert second.quality_passed == {"QC_NIAK": None}
    assert (third.age_years, third.sex, third.handedness, third.iq) == (None, None, None, None)
    assert (fourth.label, fourth.diagnosis, fourth.age_years) == (None, "pending", None)
    assert fourth.quality_passed == {"QC_NIAK": False}
    assert (fifth.label, fifth.age_years) == (None, None)
    assert (sixth.site, sixth.label, sixth.diagnosis) == ("17", None, "4")
    assert (seventh.site, seventh.label, seventh.iq) == ("unknown", None, 104.0)
    found = [(finding.code, finding.subject_id) for finding in table.findings]
    assert sorted(found) == [
        ("age_unknown", "3"),
        ("age_unknown", "4"),
        ("age_unknown", "5"),
        ("handedness_unknown", "3"),
        ("iq_unknown", "3"),
        ("label_missing", "5"),
        ("label_missing", "7"),
        ("label_pending", "4"),
        ("label_unknown", "6"),
        ("quality_unknown", "3"),
        ("sex_unknown", "3"),
        ("site_missing", "7"),
        ("site_unknown", "6"),
    ]
    unknown = next(finding for finding in table.findings if finding.code == "label_unknown")
    assert unknown.message == "DX: expected one of 1, 2, 3, 0, found '4'"


def test_diagnoses_that_the_official_tables_disagree_on_do_not_count(read):
    table = read(rows("1,2,1,9,1,3,,101,1", "2,2,1,9,1,pending,,101,1", "3,5,1,9,1,3,,101,1"))
    assert [(s.site, s.label, s.diagnosis) for s in table.subjects] == [
        ("Brown", None, "3"),
        ("Brown", None, "pending"),
        ("NYU", 1, "3"),
    ]
    assert [(f.code, f.subject_id) for f in table.findings] == [
        ("label_unverified", "1"),
        ("label_pending", "2"),
    ]


# Other tables


def test_abide_codes_sex_and_diagnosis_the_other_way_round(read):
    table = read(
        "SUB_ID,X,SITE_ID,DX_GROUP,AGE_AT_SCAN,SEX,HANDEDNESS_CATEGORY,FIQ,qc_rater_1,qc_notes_rater_1\n"
        "50003,2,PITT,1,24.45,1,R,116,OK,\n"
        "50004,3,PITT,2,19.09,2,-9999,-9999,maybe,a note\n"
        "50005,4,LEUVEN_1,2,13.73,0,Mixed,113,fail,\n",
        label_rule=ABIDE_RULE,
    )
    first, second, third = table.subjects
    assert (first.subject_id, first.site, first.label, first.sex) == ("50003", "PITT", 1, "male")
    assert (first.age_years, first.handedness, first.iq) == (24.45, "right", 116.0)
    assert (second.label, second.sex, second.handedness, second.iq) == (0, "female", None, None)
    assert (third.sex, third.handedness) == (None, "ambidextrous")
    assert [s.quality_passed for s in table.subjects] == [
        {"qc_rater_1": True},
        {"qc_rater_1": False},
        {"qc_rater_1": False},
    ]
    assert codes(table) == {"sex_unknown": 1}


def test_bids_participants_need_no_site_and_say_so(read):
    table = read(
        "participant_id\tage\tsex\tgroup\nsub-01\t12\tF\tADHD\nsub-02\tn/a\tmale\tControl\n",
        "participants.tsv",
        label_rule=LabelRule(column="group", cases=("adhd",), controls=("control",)),
    )
    assert [(s.subject_id, s.site, s.label, s.sex, s.age_years) for s in table.subjects] == [
        ("1", "unknown", 1, "female", 12.0),
        ("2", "unknown", 0, "male", None),
    ]
    messages = [finding.message for finding in table.findings if finding.code == "column_absent"]
    assert len(messages) == 2
    assert "'Site' or 'SITE_ID'" in messages[0]
    assert "'Handedness'" in messages[1]


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
def test_separator_line_ends_and_byte_order_mark_are_read_from_the_content(
    read, separator, line_end, mark, name
):
    header = ["ID", "Site", "DX", "Secondary Dx ", "Age"]
    age = "10,5" if separator == ";" else "10.5"  # as spreadsheets with a decimal comma save it
    cells = ["0010042", "5", "1.0", "LD; ODD" if separator == "," else "LD, ODD", age]
    text = line_end.join(separator.join(line) for line in (header, cells, [""] * 5)) + line_end
    (subject,) = read(mark + text.encode(), name).subjects
    assert (subject.subject_id, subject.site, subject.label, subject.age_years) == ("10042", "NYU", 1, 10.5)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_table_in_utf_16_or_32_is_read_by_its_mark(read, encoding):
    text = "\ufeffID\tSite\tDX\tSecondary Dx\r\n1\tZ\u00fcrich\t0\td\u00e9pression\r\n"
    table = read(text.encode(encoding))
    assert [(s.subject_id, s.site, s.label) for s in table.subjects] == [("1", "Z\u00fcrich", 0)]
    assert "text_not_utf8" not in codes(table)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("ID;Site;DX;Notes, other", "1;5;0;a, b"),
        ("ID,Site,DX,Notes; other", "1,5,0,a; b"),
        ('"ID; padded or not",ID,Site,DX', "x,1,5,0"),
        ("ID\tSite; scanner\tSite\tDX", "1\tx, y; z\t5\t0"),
    ],
)
def test_the_header_tells_the_separator_whatever_stands_in_the_cells(read, header, row):
    (subject,) = read(f"{header}\n{row}\n").subjects
    assert (subject.subject_id, subject.site, subject.label) == ("1", "NYU", 0)


def test_decimal_commas_are_read_in_every_number(read):
    table = read("ID;Site;DX;Age;Handedness;Full4 IQ\n1;5;0;10,5;-0,31;101,25\n2;5;0;1,2,3;0,83;,5\n")
    first, second = table.subjects
    assert (first.age_years, first.handedness, first.iq) == (10.5, "left", 101.25)
    assert (second.age_years, second.handedness, second.iq) == (None, "right", None)


def test_a_quoted_comma_does_not_move_the_other_cells(read):
    (subject,) = read('ID,Site,Secondary Dx ,DX\n1,5,"LD, ODD",3\n').subjects
    assert (subject.diagnosis, subject.label) == ("3", 1)


def test_a_column_that_only_looks_like_one_is_named(read):
    table = read("ScanDir ID,Site,DX,Agee\n1,5,0,9\n")
    finding = next(f for f in table.findings if f.code == "column_absent" and "'Age'" in f.message)
    assert "'Agee' looks like it" in finding.message


def test_text_of_old_spreadsheets_is_read_and_reported(read):
    table = read("ID,Site,DX,Secondary Dx\n1,5,0,d\xe9pression\n".encode("cp1252"))
    assert [s.label for s in table.subjects] == [0]
    assert codes(table)["text_not_utf8"] == 1


# Odd rows


def test_an_exact_repetition_is_reported_even_if_one_id_is_padded(read):
    table = read(rows("0010042,5,1,9,1,0,,101,1", "10042,5,1,9,1,0,,101,1"))
    assert [s.subject_id for s in table.subjects] == ["10042"]
    (finding,) = table.findings
    assert (finding.code, finding.subject_id, finding.message) == (
        "row_duplicate",
        "10042",
        "line 3 repeats line 2",
    )


def test_contradicting_rows_of_a_subject_are_refused_by_line(read):
    with pytest.raises(DuplicateSubjectError) as caught:
        read(rows("7,5,1,9,1,0,,101,1", "8,5,1,9,1,0,,101,1", "0007,5,1,9,1,1,,101,1"))
    assert caught.value.code == "duplicate_subject"
    assert caught.value.details() == {
        "name": "table.csv",
        "subject_id": "7",
        "first_line": 2,
        "second_line": 4,
    }
    assert "different ones in lines 2 and 4" in str(caught.value)


def test_rows_without_an_id_and_short_rows_are_reported(read):
    table = read(rows(",5,1,9,1,0,,101,1", "N/A,5,1,9,1,0,,101,1", "3,5,1,9,1,0"))
    assert [s.subject_id for s in table.subjects] == ["3"]
    assert table.subjects[0].iq is None
    assert codes(table) == {"row_without_id": 2, "row_short": 1}
    assert {f.message for f in table.findings if f.code == "row_without_id"} == {
        "line 2 names no subject",
        "line 3 names no subject",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1,5,1,9,1,0,,101,1,LD, ODD", "9 cells as in the header, found 11"),
        ('1,5,1,9,1,0,,101,"1', "quotes are closed"),
    ],
)
def test_a_row_whose_cells_cannot_be_told_apart_is_refused(read, line, expected):
    with pytest.raises(TableRowError, match=expected) as caught:
        read(rows("9,5,1,9,1,0,,101,1", line))
    assert caught.value.code == "phenotype_row_invalid"
    assert caught.value.line == 3


def test_empty_cells_after_the_last_column_are_no_fault(read):
    assert len(read(rows("1,5,1,9,1,0,,101,1,,,")).subjects) == 1


# Refusals of the whole table


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\r\n \n", "an empty file"),
        (b"ScanDir ID,Site,DX\n", "a header alone"),
        (b"PK\x03\x04\x14\x00\x06\x00", "binary data"),
        (b"\x5c\x01\x00\x00" + bytes(344), "binary data"),
        ("ID,Site,DX\n1,5,0\n".encode("utf-16-le"), "UTF-16 without a byte order mark .save it as UTF-8"),
        ("ID,Site,DX\n1,5,0\n".encode("utf-16-be"), "UTF-16 without a byte order mark .save it as UTF-8"),
        ("ID,Site,DX\n1,5,0\n".encode("utf-16")[:-1], "damaged UTF-16"),
        (b"ID,Site,DX\n1,5,0\n2,\x1b[31m5,0\n", r"the control character U\+001B in line 3"),
        (b"ID|Site|DX\n1|5|0\n", r"several columns, .* found one column, 'ID\|Site\|DX'"),
        (b"ID Site DX\n1 5 0\n", "found one column, 'ID Site DX'"),
    ],
    ids=[
        "empty",
        "blank",
        "header",
        "spreadsheet",
        "nifti",
        "utf16le",
        "utf16be",
        "cut",
        "escape",
        "bars",
        "blanks",
    ],
)
def test_what_is_no_table_is_refused(read, content, found):
    with pytest.raises(TableUnreadableError, match=found) as caught:
        read(content)
    assert caught.value.code == "phenotype_table_unreadable"
    assert "'table.csv'" in str(caught.value)


def test_a_file_far_larger_than_any_table_is_not_read(read, monkeypatch):
    monkeypatch.setattr("training.cohort.phenotypes.delimited.MAX_BYTES", 2**20)
    with pytest.raises(TableUnreadableError, match="more than 1 MiB"):
        read(HEADER.encode() + bytes(2**20))


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(TableUnreadableError, match="found no such file"):
        read_phenotypes(tmp_path / "none.tsv")
    with pytest.raises(TableUnreadableError, match="found is a directory"):
        read_phenotypes(tmp_path)


@pytest.mark.parametrize(
    ("header", "column", "nearest"),
    [
        ("Number,Site,DX", "ScanDir ID", None),
        ("ScanDirID2,Site,DX", "ScanDir ID", "ScanDirID2"),
        ("ScanDir ID,Site,DXX", "DX", "DXX"),
        ("ScanDir ID,Sites,DX", "Site", "Sites"),
        ("ScanDirID2;Site;DX", "ScanDir ID", "ScanDirID2"),
    ],
)
def test_a_missing_column_is_named_with_what_was_found(read, header, column, nearest):
    with pytest.raises(ColumnMissingError) as caught:
        read(f"{header}\n1,5,0\n" if "," in header else f"{header}\n1;5;0\n")
    error = caught.value
    assert (error.code, error.column, error.nearest) == ("phenotype_column_missing", column, nearest)
    assert ", ".join(header.replace(";", ",").split(",")) in str(error)
    assert (f"did you mean {nearest!r}?" in str(error)) == (nearest is not None)


def test_only_the_first_columns_of_a_wide_table_are_listed(read):
    wide = ",".join(f"c{number}" for number in range(100))
    with pytest.raises(ColumnMissingError, match="c29 and 70 more"):
        read(f"{wide}\n{wide}\n")


def test_a_needed_column_twice_is_refused_and_another_is_not(read):
    with pytest.raises(ColumnRepeatedError, match="expected one column 'DX', found two") as caught:
        read("ID,Site,DX,DX \n1,5,0,1\n")
    assert caught.value.code == "phenotype_column_repeated"
    assert len(read("ID,Site,DX,Note,Note\n1,5,0,a,b\n").subjects) == 1


@pytest.mark.parametrize(
    ("cases", "controls", "found"),
    [(("1", "2.0"), ("2",), "2 in both"), ((), ("0",), "no cases"), (("1",), (), "no controls")],
)
def test_a_rule_that_cannot_divide_people_is_refused(cases, controls, found):
    with pytest.raises(LabelRuleError, match=found) as caught:
        LabelRule(cases=cases, controls=controls)
    assert caught.value.code == "label_rule_invalid"


# The official test release


def test_membership_is_given_to_everyone_once_it_is_known(read, tmp_path):
    listing = tmp_path / "ids.txt"
    listing.write_text("0000002\n\n 9 \n")
    test_ids = read_test_ids(listing)
    table = read(rows("1,5,1,9,1,0,,101,1", "2,5,1,9,1,0,,101,1"), test_ids=test_ids)
    assert test_ids == {"2", "9"}
    assert [s.release for s in table.subjects] == ["train", "test"]
    assert [(f.code, f.subject_id) for f in table.findings] == [("test_id_without_row", "9")]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [("1\n2,0\n", 2, "more than that"), ("ScanDir ID\n1\n", 1, "more than that"), ("\n\n", 1, "none")],
)
def test_a_list_that_is_not_one_id_a_line_is_refused(tmp_path, text, line, found):
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(ReleaseListError, match=found) as caught:
        read_test_ids(path)
    assert (caught.value.code, caught.value.line) == ("test_ids_invalid", line)


@pytest.mark.real_data
def test_the_simulated_header_is_the_combined_tables(shared_data):
    path = shared_data / "adhd200" / "adhd200_preprocessed_phenotypics.tsv"
    assert tuple(path.read_text().splitlines()[0].split("\t")) == COLUMNS
