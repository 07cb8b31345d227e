import csv
import sys

truth = {row["id"]: float(row["y"]) for row in csv.DictReader(open("truth.csv"))}
errors = []
for row in csv.DictReader(open(sys.argv[1])):
    if row["id"] in truth:
        errors.append(abs(float(row["y"]) - truth[row["id"]]))
print("mae:", sum(errors) / len(errors) if errors else 1e9)
