import json
import subprocess
import sys

PAIRS = [("dog", 3), ("house", 5), ("a", 1), ("banana", 6), ("sky", 3), ("window", 6)]
candidate = subprocess.Popen([sys.executable, "-u", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
good = 0
for word, length in PAIRS:
    try:
        print(json.dumps({"word": word}), file=candidate.stdin, flush=True)
        good += json.loads(candidate.stdout.readline())["length"] == length
    except (BrokenPipeError, ValueError, KeyError, TypeError):
        continue
candidate.kill()
print("score:", good / len(PAIRS))
