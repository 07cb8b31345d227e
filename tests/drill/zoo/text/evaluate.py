import sys, json
text = open(sys.argv[1]).read()
words = ["briefly", "cite", "sources", "step"]
def judge(t):
    import re
    m = re.search(r"score: (\d+)", t)
    return int(m.group(1)) / 10 if m else sum(w in t for w in words) / len(words) * 0.9
print(json.dumps({"score": judge(text)}))
