from training.words import counted


def test_a_number_stands_with_its_noun():
    assert [counted(n, "scan") for n in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
    assert counted(1, "simulated person", "simulated people") == "1 simulated person"
    assert counted(7, "simulated person", "simulated people") == "7 simulated people"
