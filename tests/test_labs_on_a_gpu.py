"""Labs run on a GPU as they are: what their solutions get on the CPU, they get there."""

import pytest
import torch

from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import lab_names, load_lab


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("name", lab_names())
def test_the_solutions_get_all_points_that_tests_give(name, monkeypatch):
    monkeypatch.setenv("UNMAGIC_DEVICE", "cuda")
    lab = load_lab(name)
    examination = examine(lab, model_answers(lab), seed="any", bridge=False)
    assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
