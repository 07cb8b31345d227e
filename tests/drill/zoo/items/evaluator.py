import importlib.util

CASES = [([3, 1, 2], [1, 2, 3]), ([5, 4], [4, 5]), ([], []), ([9, 8, 7], [7, 8, 9]), ([1], [1]), ([2, 2, 1], [1, 2, 2])]


def score_one(got, want):
    return 1.0 if got == want else 0.0


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    total = 0.0
    n = 0
    for xs, want in CASES:
        try:
            total += score_one(program.solve(list(xs)), want)
            n += 1
        except Exception:
            continue
    return {"combined_score": total / max(1, n), "n": n}
