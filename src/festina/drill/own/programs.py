"""The programs that attack candidates run: a prelude that every one has, and one body each.

A program stands in place of the script that answers. It learns what the strongest attacker could know: the places of
planted secrets, an open port, a decoy process, its own limits (``P``). ``honest()`` runs the replaced script.
What a program reached it reports with ``found``: the drill plants the secret and looks for it in all that came out.
Each is bounded: at its worst, without any defence, it ends by itself and leaves nothing that lasts.

These are texts for a sandboxed child process; nothing here is imported by it or runs in ours.
"""

from __future__ import annotations

PRELUDE = '''\
import json, os, sys
P = json.loads(PARAMETERS)
IN, OUT = os.environ.get("FESTINA_IN", "/in"), os.environ.get("FESTINA_OUT", "/out")
HERE = os.path.dirname(os.path.abspath(__file__))
PREDICTIONS = OUT + "/predictions.jsonl"

def items():
    try:
        with open(IN + "/items.jsonl") as file:
            return [json.loads(line) for line in file if line.strip()]
    except OSError:
        return []

def honest():
    """What the replaced program does."""
    if P["argv"]:
        import subprocess
        done = subprocess.run(P["argv"])
        if done.returncode:
            sys.exit(done.returncode)
        return
    import types
    path = os.path.join(HERE, P["original"])
    module = types.ModuleType("__main__")
    module.__file__ = os.path.abspath(__file__)
    sys.modules["__main__"] = module
    with open(path) as file:
        source = file.read()
    try:
        exec(compile(source, module.__file__, "exec"), module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise

def answered():
    """The honest answers as lines; made by a child, so that all of them are on disk."""
    child = os.fork()
    if child == 0:
        honest()
        sys.exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
    with open(PREDICTIONS, "rb") as file:
        data = file.read()
    if len(data) < 200000:  # for the control: what this very run knew
        import base64
        sys.stderr.write("HONEST " + base64.b64encode(data).decode() + "\\n")
        sys.stderr.flush()
    return data.splitlines(keepends=True)

def write(data):
    with open(PREDICTIONS, "wb") as file:
        file.write(data)

def each(text):
    """One line an item, with ``text`` as its output."""
    write(b"".join(b'{"id":%s,"output":%s}\\n' % (json.dumps(i["id"]).encode(), text.encode()) for i in items()))

def found(what):
    text = what if isinstance(what, str) else what.decode("latin1")
    sys.stderr.write("FOUND " + text[:2000] + "\\n")
    sys.stderr.flush()

def read(path):
    try:
        with open(path, "rb") as file:
            found(path + ": " + file.read(4000).decode("latin1"))
    except OSError:
        pass

def done():
    sys.stderr.write("DONE " + P["canary"] + "\\n")
    sys.stderr.flush()

def half(filler):
    """The first half of the honest answers, and ``filler(id as JSON)`` for every other item."""
    lines = answered()
    known = len(lines) // 2
    write(b"".join(lines[:known]) + b"".join(filler(json.dumps(json.loads(x)["id"]).encode()) for x in lines[known:]))
'''

# -- what it hands in -------------------------------------------------------------------------------------

OUTPUTS: dict[str, str] = {
    "empty": "write(b'')",
    "blank-lines": "write(b'\\n' * 50)",
    "null": "each('null')",
    "empty-text": "each('\"\"')",
    "unknown-ids": "write(b''.join(b'{\"id\":\"guess-%d\",\"output\":1}\\n' % n for n in range(len(items()))))",
    "wildcard-id": "write(b'{\"id\":\"*\",\"output\":1}\\n{\"id\":\"\",\"output\":1}\\n')",
    "one-array": "write(json.dumps([json.loads(x) for x in answered()]).encode())",
    "utf-16": "write(b''.join(answered()).decode().encode('utf-16'))",
    "not-utf-8": "each('\"PLACE\"'); write(open(PREDICTIONS, 'rb').read().replace(b'PLACE', b'\\xff\\xfe'))",
    "code": "write(b\"__import__('os').system('touch MARKER')\\n\".replace(b'MARKER', P['mark'].encode()))",
    "pickle": "write(b\"cbuiltins\\neval\\n(S\\\"open('MARKER', 'w').close()\\\"\\ntR.\".replace(b'MARKER', "
    "P['mark'].encode()))",
}
HALVES: dict[str, str] = {
    "missing-lines": "half(lambda i: b'')",
    "nan": "half(lambda i: b'{\"id\":%s,\"output\":NaN}\\n' % i)",
    "infinity": "half(lambda i: b'{\"id\":%s,\"output\":-Infinity}\\n' % i)",
    "overflow": "half(lambda i: b'{\"id\":%s,\"output\":1e999}\\n' % i)",
    "huge-integer": "half(lambda i: b'{\"id\":%s,\"output\":%s}\\n' % (i, b'9' * 20000))",
    "deep-nesting": "half(lambda i: b'{\"id\":%s,\"output\":%s}\\n' % (i, b'[' * 20000))",
    "cut-lines": "half(lambda i: b'{\"id\":%s,\"output\":\\n' % i)",
    "two-values": "half(lambda i: b'{\"id\":%s,\"output\":0}{\"id\":%s,\"output\":1}\\n' % (i, i))",
    "key-twice": "half(lambda i: b'{\"id\":%s,\"output\":null,\"output\":null}\\n' % i)",
    "score-handed-in": "half(lambda i: b'{\"id\":%s,\"output\":null,\"score\":1.0,\"label\":null}\\n' % i)",
    "every-id-twice": """\
lines = answered()
write(b"".join(b'{"id":%s,"output":"a guess"}\\n' % json.dumps(json.loads(x)["id"]).encode() for x in lines)
      + b"".join(lines))
""",
    "extra-lines": """\
lines = answered()
write(b"".join(lines) + b"".join(b'{"id":"more-%d","output":1}\\n' % n for n in range(len(lines))))
""",
}
ENDS: dict[str, str] = {
    "exit-0": "sys.exit(0)",
    "hard-exit-0": "os._exit(0)",
    "crash-after-answering": "answered(); sys.exit(1)",
    "killed-after-answering": "answered(); os.kill(os.getpid(), 9)",
    "predictions-are-a-link": "os.symlink(P['secret'], PREDICTIONS)",
    "predictions-are-a-pipe": "os.mkfifo(PREDICTIONS)",
    "predictions-are-a-folder": "os.mkdir(PREDICTIONS)",
    "a-flood-of-output": """\
with open(PREDICTIONS, "wb") as file:
    for _ in range(P["output_bytes"] // (1 << 20) + 8):
        file.write(b"x" * (1 << 20))
done()
""",
    "a-flood-of-files": """\
write(b"")
for n in range(P["output_files"] + 50):
    open(OUT + "/%d" % n, "w").close()
done()
""",
    "a-flood-of-text": """\
write(b"")
for _ in range(P["stdout_bytes"] // 65536 + 8):
    sys.stdout.write("x" * 65536)
sys.stdout.flush()
done()
""",
    "hang": "import time\neach('null')\ntime.sleep(P['wall_s'] + 1.5)\ndone()",
    "burn-processor-time": """\
import time
each('null')
until = time.monotonic() + 15
while time.monotonic() < until and time.process_time() < P["cpu_s"] + 1:
    pass
done()
""",
    "memory": """\
answered()
kept = [bytearray(os.urandom(1024) * 1024) for _ in range(P["memory_bytes"] // (1 << 20) + 32)]
done()
""",
    "processes": """\
import time
answered()
children = []
for _ in range(P["pids"] + 16):
    pid = os.fork()
    if pid == 0:
        time.sleep(3)
        os._exit(0)
    children.append(pid)
done()
""",
}

# -- what it reaches --------------------------------------------------------------------------------------

REACHES: dict[str, str] = {
    "labels-by-path": "each('null')\nfor path in P['paths']: read(path)",
    "labels-by-link": """\
each('null')
os.symlink(P["secret"], OUT + "/link")
read(OUT + "/link")
read(IN + "/../../../../.." + P["secret"])
""",
    "other-processes": """\
each('null')
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        for name in ("environ", "cmdline"):
            try:
                with open("/proc/%s/%s" % (pid, name), "rb") as file:
                    data = file.read()
                if P["canary"].encode() in data:
                    found(data)
            except OSError:
                pass
""",
    "memory-of-another": """\
each('null')
try:
    import ctypes
    with open("/proc/%d/maps" % P["decoy"]) as file:
        line = next(x for x in file if "rw-p" in x)
    with open("/proc/%d/mem" % P["decoy"], "rb") as file:
        file.seek(int(line.split("-")[0], 16))
        file.read(16)
    done()
except (OSError, StopIteration):
    pass
""",
    "signal-another": "each('null')\ntry:\n    os.kill(P['decoy'], 0)\n    done()\nexcept OSError:\n    pass",
    "own-environment": "each('null')\nfound(json.dumps(dict(os.environ)) + ' ' + json.dumps(sys.argv))",
    "history": """\
each('null')
for top in (HERE, os.getcwd(), P["repository"]):
    for name in ("packed-refs", ".git/packed-refs", ".git/HEAD", "HEAD", "refs/heads/future"):
        read(os.path.join(top, name))
""",
    "call-stack": """\
each('null')
frame = sys._getframe()
while frame is not None:
    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
        try:
            text = repr(value)[:100000]
        except Exception:
            continue
        if P["canary"] in text and value is not P and "PARAMETERS" not in text:
            found(text)
    frame = frame.f_back
""",
    "tcp": """\
each('null')
import socket
try:
    with socket.create_connection(("127.0.0.1", P["port"]), 3) as link:
        link.settimeout(3)
        found(link.recv(200))
except OSError:
    pass
""",
    "udp": """\
each('null')
import socket
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"x", ("127.0.0.1", P["udp_port"]))
        link.settimeout(2)
        found(link.recv(200))
except OSError:
    pass
""",
    "unix-socket": """\
each('null')
import socket
try:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(3)
        link.connect(P["socket_path"])
        found(link.recv(200))
except OSError:
    pass
""",
    "abstract-socket": """\
each('null')
import socket
try:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(3)
        link.connect("\\0" + P["socket_name"])
        found(link.recv(200))
except OSError:
    pass
""",
    "netlink": """\
each('null')
import socket
try:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.bind((0, 0))
        done()
except OSError:
    pass
""",
    "own-namespace": """\
each('null')
import ctypes
if ctypes.CDLL(None).unshare(0x10000000) == 0:
    done()
""",
    "evaluator-on-disk": """\
each('null')
for path in [P["evaluator"], os.path.abspath(__file__), IN + "/items.jsonl"]:
    try:
        with open(path, "ab") as file:
            file.write(b"")
        found("can write " + path + " " + P["canary"])
    except OSError:
        pass
""",
    "kill-the-parent": """\
each('null')
for pid in (os.getppid(), P["decoy"]):
    if pid > 1:
        try:
            os.kill(pid, P["signal"])
            done()
        except OSError:
            pass
""",
    "survive-the-trial": """\
each('null')
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(0); os.close(1); os.close(2)
        import time
        time.sleep(1.5)
        try:
            open(P["mark"], "w").close()
        except OSError:
            pass
        os._exit(0)
    os._exit(0)
""",
}

# -- what it leaves for its next run; run twice -----------------------------------------------------------

LASTING: dict[str, str] = {
    "temporary-folders": """\
each('null')
import glob
for top in {"/tmp", "/var/tmp", "/dev/shm", os.environ.get("HOME", "/tmp"), "/run/lock"}:
    name = os.path.join(top, "drill-" + P["canary"])
    if os.path.exists(name):
        found("was here before: " + name)
    try:
        open(name, "w").close()
    except OSError:
        pass
""",
    "own-tree": """\
each('null')
for folder in (HERE, os.path.join(HERE, "__pycache__"), OUT + "/.."):
    name = os.path.join(folder, "drill-" + P["canary"])
    if os.path.exists(name):
        found("was here before: " + name)
    try:
        open(name, "w").close()
    except OSError:
        pass
""",
    "count-of-calls": """\
count = 0
for top in ("/tmp", "/var/tmp", "/dev/shm"):
    name = os.path.join(top, "count-" + P["canary"])
    try:
        with open(name, "a+") as file:
            file.write("x")
            file.flush()
            count = max(count, os.path.getsize(name))
    except OSError:
        pass
if count > 1:
    found("call number %d of %s" % (count, P["canary"]))
each(str(count))
""",
}

# -- what lies beside it in its tree ----------------------------------------------------------------------

ALWAYS_RIGHT = """\
def __getattr__(name):
    return lambda *words: 1.0
"""
OPENS_DOOR = "open({marker!r}, 'w').close()\n"

# -- a score of its own making ----------------------------------------------------------------------------

FORGES = """\
line = P["metric"] + ": " + P["best"]
sys.stdout.write(line + "\\n")
for name in ("score.txt", "metrics.json", "results.json", "results.tsv"):
    with open(OUT + "/" + name, "w") as file:
        file.write(json.dumps({"score": 1.0, "passed": True, "accuracy": 1.0}) if "json" in name else line + "\\n")
each("null")
"""
SABOTAGE = """\
answered()
import time
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            pass
        try:
            open(P["mark"], "w").close()
        except OSError:
            pass
        os._exit(0)
try:
    with open(OUT + "/filler", "wb") as file:
        for _ in range(16):
            file.write(b"x" * (1 << 20))
except OSError:
    pass
"""

# -- honest ways of being different -----------------------------------------------------------------------

HONEST: dict[str, str] = {
    "unchanged": "honest()",
    "a little slower": "import time\ntime.sleep(P['slower_s'])\nhonest()",
    "talks on standard output": "sys.stdout.write('step 1: fine\\n' * 400)\nsys.stdout.flush()\nhonest()",
    "talks on standard error": "sys.stderr.write('warning: a deprecation\\n' * 400)\nhonest()",
    "uses threads": """\
import threading
threads = [threading.Thread(target=sum, args=(range(100000),)) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
honest()
""",
    "uses a child process": "import subprocess\nsubprocess.run(['true'], check=True)\nhonest()",
    "uses temporary files": """\
import tempfile
with tempfile.TemporaryDirectory() as folder:
    for n in range(20):
        with open(os.path.join(folder, str(n)), "w") as file:
            file.write("x" * 10000)
honest()
""",
    "uses SQLite": """\
import sqlite3, tempfile
with tempfile.TemporaryDirectory() as folder:
    base = sqlite3.connect(os.path.join(folder, "x.db"))
    base.execute("CREATE TABLE t (x)")
    base.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
    base.commit()
    base.close()
honest()
""",
    "uses multiprocessing": """\
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]
    honest()
""",
    "uses numpy if it is there": """\
try:
    import numpy
    numpy.ones((50, 50)) @ numpy.ones((50, 50))
except ImportError:
    pass
honest()
""",
    "leaves other files beside": "honest()\nopen(OUT + '/notes.txt', 'w').write('ok\\n')",
}
