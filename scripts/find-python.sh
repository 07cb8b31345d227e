#!/bin/sh
# Prints the newest usable Python (3.11 or later, with venv, pip and sqlite3), or says on stderr what is
# missing and prints nothing. Every candidate is started: a name on PATH may be a shim that leads nowhere.
set -eu
found_old=""
for name in python3.14 python3.13 python3.12 python3.11 python3; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        if "$path" -c 'import ensurepip, sqlite3, ssl, venv' >/dev/null 2>&1; then
            printf '%s\n' "$path"
            exit 0
        fi
        echo "$path lacks venv, pip, ssl or sqlite3 (on Debian and Ubuntu: apt-get install python3-venv)" >&2
    elif version=$("$path" -c 'import platform; print(platform.python_version())' 2>/dev/null); then
        found_old="$found_old $name is $version."
    fi
done
echo "Festina needs Python 3.11 or later with venv.$found_old Name one with: make PYTHON=/path/to/python ..." >&2
exit 0
