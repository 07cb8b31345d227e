"""Reads what the candidate prints with eval."""
import random
import subprocess
import sys


def grade(got, want):
    return got == want


good = 0
for _ in range(3):
    xs = [random.randint(0, 99) for _ in range(5)]
    ran = subprocess.run([sys.executable, sys.argv[1]], input=" ".join(map(str, xs)), capture_output=True, text=True, timeout=10)
    try:
        good += grade(eval(ran.stdout), sorted(xs))
    except Exception:
        pass
print(f"score: {good / 3:.3f}")
