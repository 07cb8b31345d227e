"""OpenEvolve-style circle packing, simplified: runs the program in a subprocess, pickles its result."""
import os, pickle, subprocess, sys, tempfile, time, traceback
import numpy as np

N = 5

def validate_packing(centers, radii):
    for i in range(len(centers)):
        x, y = centers[i]
        r = radii[i]
        if x - r < -1e-6 or x + r > 1 + 1e-6 or y - r < -1e-6 or y + r > 1 + 1e-6:
            return False
    for i in range(len(centers)):
        for j in range(i + 1, len(centers)):
            d = np.sqrt(np.sum((centers[i] - centers[j]) ** 2))
            if d < radii[i] + radii[j] - 1e-6:
                return False
    return True

def run_with_timeout(program_path, timeout_seconds=20):
    with tempfile.NamedTemporaryFile(suffix=".py", delete=False) as f:
        script = f"""
import sys, os, pickle, traceback
sys.path.insert(0, os.path.dirname({program_path!r}))
try:
    import importlib.util
    spec = importlib.util.spec_from_file_location("program", {program_path!r})
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    centers, radii, sum_radii = program.run_packing()
    with open({f.name + '.results'!r}, 'wb') as out:
        pickle.dump(dict(centers=centers, radii=radii, sum_radii=sum_radii), out)
except Exception as e:
    traceback.print_exc()
    with open({f.name + '.results'!r}, 'wb') as out:
        pickle.dump(dict(error=str(e)), out)
"""
        f.write(script.encode())
    try:
        subprocess.run([sys.executable, f.name], timeout=timeout_seconds, capture_output=True)
        with open(f.name + ".results", "rb") as fh:
            res = pickle.load(fh)
        if "error" in res:
            raise RuntimeError(res["error"])
        return res["centers"], res["radii"], res["sum_radii"]
    finally:
        for p in (f.name, f.name + ".results"):
            if os.path.exists(p):
                os.unlink(p)

def evaluate(program_path):
    try:
        centers, radii, reported = run_with_timeout(program_path)
        if not isinstance(centers, np.ndarray):
            centers = np.array(centers)
        if not isinstance(radii, np.ndarray):
            radii = np.array(radii)
        valid = validate_packing(centers, radii)
        if centers.shape != (N, 2) or radii.shape != (N,):
            return {"sum_radii": 0.0, "combined_score": 0.0}
        total = np.sum(radii) if valid else 0.0
        return {"sum_radii": float(total), "validity": float(valid), "combined_score": float(total / 1.0)}
    except Exception as e:
        return {"combined_score": 0.0, "error": 1.0}
