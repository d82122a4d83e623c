import json

from training.simulation_marker import MARKER_NAME, is_marked, mark_simulated


def test_a_marked_folder_is_known_and_says_how_it_was_simulated(tmp_path):
    assert not is_marked(tmp_path)
    mark_simulated(tmp_path, {"n_subjects": 3, "effect_size": 0.5})
    assert is_marked(tmp_path)
    assert json.loads((tmp_path / MARKER_NAME).read_text()) == {"n_subjects": 3, "effect_size": 0.5}
    assert not is_marked(tmp_path.parent)


def test_a_folder_of_the_markers_name_says_nothing(tmp_path):
    (tmp_path / MARKER_NAME).mkdir()
    assert not is_marked(tmp_path)
