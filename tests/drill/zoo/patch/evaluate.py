import os
import shutil
import subprocess
import sys
import tempfile

folder = tempfile.mkdtemp()
shutil.copytree("repo", folder, dirs_exist_ok=True)
subprocess.run(["git", "apply", os.path.abspath(sys.argv[1])], cwd=folder, capture_output=True)
tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True)
shutil.rmtree(folder)
print("resolved:", float(tests.returncode == 0))
