import pytest

from training.new_folder import OutputFolderNotEmptyError, require_empty, whole_folder


def fill(folder, *, until=None):
    with whole_folder(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "scan").write_text("a scan")
        if until is not None:
            raise until
        (folder / "table").write_text("a table")


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_filled_to_the_end_stays(tmp_path, is_new):
    folder = tmp_path / "above" / "cohort" if is_new else tmp_path
    fill(folder)
    assert (folder / "deep" / "scan").read_text() == "a scan"
    assert (folder / "table").read_text() == "a table"


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_not_is_taken_back(tmp_path, is_new):
    folder = tmp_path / "cohort"
    if not is_new:
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        fill(folder, until=KeyboardInterrupt())
    assert list(tmp_path.rglob("*")) == ([] if is_new else [folder])


def test_a_folder_with_anything_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OutputFolderNotEmptyError) as caught:
        fill(tmp_path)
    assert caught.value.details() == {"name": tmp_path.name}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "mine").unlink()
    require_empty(tmp_path)
