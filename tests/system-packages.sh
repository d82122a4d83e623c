#!/bin/sh
# Installs the servers and the browser that the integration and browser tests drive, where this user may.
# Without them those tests skip with the reason; under CI=true they fail instead.
set -eu

missing=""
command -v redis-server >/dev/null || missing="$missing redis-server"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$missing postgresql"
command -v chromium >/dev/null || missing="$missing chromium"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "not installed, and no apt-get to install them:$missing" >&2
    exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then as_root="sudo -n"; else
        echo "some tests will be skipped; to have them all: apt-get install$missing" >&2
        exit 0
    fi
fi
echo "installing for the tests:$missing"
$as_root apt-get update -qq
# The tests start servers of their own: the system's are not to be started by the installation.
# shellcheck disable=SC2086  # a list of package names
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
