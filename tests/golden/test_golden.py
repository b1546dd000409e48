import json

import pytest

from dsl import digest, load
from tests.golden.write import FOLDER, files, written


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem.endswith("-paper") or path.stem == "gulp-small" else ())
        for path in sorted(files())
    ],
    ids=lambda path: path.stem,
)
def test_a_changed_recipe_shows_in_the_diff(path):
    name, scale = files()[path]
    assert path.read_text() == written(name, scale), "run python -m tests.golden.write; the commit says why"


def test_every_golden_file_belongs_to_a_study():
    assert sorted(FOLDER.glob("*.json")) == sorted(files())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_golden_specs_load_and_keep_their_digest(path):
    for entry in json.loads(path.read_text()):
        spec = load(entry["spec"])
        assert digest(spec) == entry["points"][0].split()[0]
