import json
import sys

for line in sys.stdin:
    print(json.dumps({"length": len(json.loads(line)["word"])}), flush=True)
