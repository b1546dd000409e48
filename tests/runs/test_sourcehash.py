"""A noun's code is what it names, and no more."""

import sys
import textwrap

import pytest

from runs.sourcehash import source_hash
from runs.userfile import run_file

TEXT = """
    from beside import SCALE
    C = 1.0
    UNUSED = 2.0

    def helper(x):
        return C * x

    class Noun:
        '''A noun.'''

        def __call__(self, x):
            return SCALE * helper(x)
"""


@pytest.fixture
def hashed(tmp_path):
    made = iter(range(100))

    def hash_of(text, beside="SCALE = 1.0\n"):
        folder = tmp_path / str(next(made))
        folder.mkdir()
        (folder / "beside.py").write_text(beside)
        file = folder / "nouns_of_mine.py"
        file.write_text(textwrap.dedent(text))
        for name in ("beside", "nouns_of_mine"):
            sys.modules.pop(name, None)
        module = run_file(file, file.read_bytes())
        try:
            return source_hash(module.Noun)
        finally:
            for name in ("beside", "nouns_of_mine"):
                sys.modules.pop(name, None)

    return hash_of


def test_comments_and_what_is_not_used_do_not_count(hashed):
    assert hashed(TEXT) == hashed(TEXT.replace("C = 1.0", "C = 1.0  # one").replace("UNUSED = 2.0", "UNUSED = 3.0"))


@pytest.mark.parametrize(
    ("old", "new"), [("C = 1.0", "C = 2.0"), ("C * x", "C + x"), ("SCALE * helper", "SCALE + helper")]
)
def test_constants_helpers_and_the_body_count(hashed, old, new):
    assert hashed(TEXT) != hashed(TEXT.replace(old, new))


def test_a_file_beside_it_counts(hashed):
    assert hashed(TEXT) != hashed(TEXT, beside="SCALE = 3.0\n")
