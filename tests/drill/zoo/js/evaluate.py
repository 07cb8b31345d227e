import sys, json
cfg = json.load(open(sys.argv[1]))
loss = (cfg["lr"] - 0.1) ** 2 + (cfg["wd"] - 0.01) ** 2
if cfg["lr"] > 10 or cfg["wd"] > 10:
    raise SystemExit("bad")
print("loss:", loss)
