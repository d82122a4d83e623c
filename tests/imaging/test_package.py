import subprocess
import sys

import imaging


def test_every_public_name_has_a_home():
    assert {name for name in imaging.__all__ if getattr(imaging, name) is None} == set()
    assert set(imaging.__all__) <= set(dir(imaging))


def test_asking_whether_a_file_is_a_scan_loads_no_scientific_library():
    # nibabel loads the shell of scipy; its weight is in the parts.
    program = """
import sys
from imaging import open_scan
print({"scipy.sparse", "scipy.ndimage"} & {*sys.modules})
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(imaging, "diagnose")
