"""Answer each instance in $FESTINA_IN with this tree's rule. The items themselves are not there to be seen."""

import json
import os

with open("rule.json") as file:
    rule = json.load(file)
with (
    open(os.path.join(os.environ["FESTINA_IN"], "items.jsonl")) as source,
    open(os.path.join(os.environ["FESTINA_OUT"], "predictions.jsonl"), "w") as target,
):
    for line in source:
        item = json.loads(line)
        answer = {"instance": item["input"]["instance"], "rule": rule}
        target.write(json.dumps({"id": item["id"], "output": answer}) + "\n")
