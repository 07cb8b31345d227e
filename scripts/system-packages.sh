#!/bin/sh
# Sees to it that git and bubblewrap are there, using the system's package manager where that needs no
# password; else says in one line what is missing and what follows. Never fails: without bubblewrap
# Festina goes on at a lower sandbox level and calls its verdicts provisional (T-2).
#
# With `browser` as its word it looks for chromium alone, which slow tests of the pages drive; without it they are skipped.
set -u

wanted=${1:-sandbox}

missing() {
    list=""
    if [ "$wanted" = browser ]; then
        [ -n "${FESTINA_CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1 ||
            command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || list="chromium"
        echo "$list"
        return
    fi
    command -v git >/dev/null 2>&1 || list="git"
    command -v bwrap >/dev/null 2>&1 || list="$list bubblewrap"
    echo "$list" | sed 's/^ *//'
}

need=$(missing)
[ -n "$need" ] || exit 0

limit=""
command -v timeout >/dev/null 2>&1 && limit="timeout 300"

as_root() {
    if [ "$(id -u)" = 0 ]; then
        $limit "$@"
    else
        $limit sudo -n "$@"
    fi
}

can_install() {
    [ -z "${FESTINA_NO_SYSTEM_PACKAGES:-}" ] || return 1
    [ "$(id -u)" = 0 ] || sudo -n true >/dev/null 2>&1
}

install_them() { # the words of $need are package names everywhere
    # shellcheck disable=SC2086
    if command -v apt-get >/dev/null 2>&1; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $need ||
            { as_root apt-get update &&
                as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $need; }
    elif command -v dnf >/dev/null 2>&1; then
        as_root dnf install -y $need
    elif command -v apk >/dev/null 2>&1; then
        as_root apk add --no-cache $need
    elif command -v pacman >/dev/null 2>&1; then
        as_root pacman -S --noconfirm --needed $need
    elif command -v zypper >/dev/null 2>&1; then
        as_root zypper --non-interactive install $need
    else
        return 1
    fi
}

if can_install; then
    echo "installing $need with the system's package manager: up to a minute without a word" >&2
    install_them </dev/null >/dev/null 2>&1
    need=$(missing)
fi

case "$need" in
    "") ;;
    chromium) echo "no browser here, and none could be installed: the pages' browser tests are skipped" >&2 ;;
    bubblewrap) echo "bubblewrap is missing and could not be installed here: candidates run at sandbox level L0 (limits only), and verdicts are provisional; install the package 'bubblewrap' for L2 or L3" >&2 ;;
    *) echo "missing and not installable here: $need. Festina needs git; without bubblewrap candidates run at sandbox level L0 and verdicts are provisional" >&2 ;;
esac
exit 0
