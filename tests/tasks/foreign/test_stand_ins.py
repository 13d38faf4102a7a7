import subprocess
import sys


def test_evaluators_find_what_they_import_of_the_other_system_where_it_is_not_installed():
    program = (
        "from nasmith.tasks.foreign import stand_ins\n"
        "stand_ins.supply()\n"
        "from openevolve.evaluation_result import EvaluationResult\n"
        "result = EvaluationResult(metrics={'combined_score': 1.0}, artifacts={'note': 'x'})\n"
        "print(result.metrics['combined_score'], result.has_artifacts())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.split() == ["1.0", "True"], ran.stderr
