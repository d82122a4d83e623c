#!/bin/sh
# Installs the servers and the browser that the integration and browser tests drive, where this user may.
# Never fails: tests without their server skip with the reason, and under CI=true they fail with it.
set -u

if command -v redis-server >/dev/null; then redis=""; else redis="redis-server"; fi
if command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then postgres=""; else postgres="postgresql"; fi
if command -v chromium >/dev/null; then chromium=""; else chromium="chromium"; fi
[ -n "$redis$postgres$chromium" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "not installed, and no apt-get to install them: $redis $postgres $chromium" >&2
    exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then as_root="sudo -n"; else
        echo "some tests will be skipped; to have them all: apt-get install $redis $postgres $chromium" >&2
        exit 0
    fi
fi
$as_root apt-get update -qq || echo "the package lists could not be renewed" >&2
# One by one: what one system lacks must not keep the others out. RUNLEVEL=1 because the tests start servers of
# their own; the system's are not to be started by the installation.
for package in $redis $postgres $chromium; do
    echo "installing for the tests: $package"
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "could not install $package" >&2
done
exit 0
