"""One trial: the agent writes a program for each problem, and the program is called as the problem's tests call it.

Not in the scope of proposals. What the programs give back is the answer; what is right is known outside this box.
"""

import json
import os

import tools

import agent


def main():
    settings = json.loads(agent.read("settings.json"))
    template = agent.read("prompts/solve.txt")
    seed = int(os.environ.get("FESTINA_SEED", "0"))
    with open(os.environ["FESTINA_IN"] + "/items.jsonl", encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    with open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w", encoding="utf-8") as out:
        for number, item in enumerate(items):
            problem, results = item["input"], []
            try:
                source = agent.solve(problem["prompt"], problem["name"], settings, seed + number, template)
                results = tools.run(source, problem["name"], problem["calls"])
            except agent.Spent:
                pass
            out.write(json.dumps({"id": item["id"], "output": results}) + "\n")


if __name__ == "__main__":
    main()
