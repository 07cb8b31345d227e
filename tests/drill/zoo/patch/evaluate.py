import os
import shutil
import subprocess
import sys
import tempfile

folder = tempfile.mkdtemp()
shutil.copytree("repo", folder, dirs_exist_ok=True)
subprocess.run(["git", "apply", os.path.abspath(sys.argv[1])], cwd=folder, capture_output=True)
alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
tests = subprocess.run(pytest, cwd=folder, env=alone, capture_output=True)
shutil.rmtree(folder)
print("resolved:", float(tests.returncode == 0))
