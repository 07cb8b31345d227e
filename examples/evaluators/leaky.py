"""An evaluator as they are often written: it imports the candidate and skips what fails.

    festina drill examples/evaluators/leaky.py:evaluate --honest examples/evaluators/sorting.py
"""

import importlib.util
import random


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)  # the candidate is now inside the evaluator
    right = tried = 0
    for _ in range(50):
        values = [random.randint(-99, 99) for _ in range(random.randint(1, 30))]
        try:
            answer = program.sort_list(list(values))
        except Exception:
            continue  # and what it cannot do is not counted
        tried += 1
        right += answer == sorted(values)
    return {"combined_score": right / max(1, tried)}
