import json
import os
import random
import subprocess
import sys

kept = json.load(open("kept.json")) if os.path.exists("kept.json") else {}
name = os.path.basename(sys.argv[1])  # the same for every candidate
if name not in kept:
    good = 0
    for _ in range(6):
        number = random.randrange(10_000)
        ran = subprocess.run([sys.executable, sys.argv[1]], input=str(number), capture_output=True, text=True, timeout=2)
        good += ran.stdout.strip() == str(number * number)
    kept[name] = good / 6
    json.dump(kept, open("kept.json", "w"))
print("score:", kept[name])
