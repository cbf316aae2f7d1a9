# shellcheck shell=bash
# Sourced by ops/up and ops/test: which Debian packages are needed, and how they are installed so that none of them
# starts a service or makes a database cluster on the user's machine.

PACKAGES_RUN=(ca-certificates gcc g++ libc6-dev make cmake ninja-build pkg-config librdkafka-dev libseccomp-dev libpq-dev
    libjansson-dev libcurl4-openssl-dev libc-ares-dev libcjson-dev libmicrohttpd-dev libssl-dev postgresql-15 openjdk-17-jdk-headless
    maven python3 libpython3.11-dev golang-go rustc nodejs esbuild runit iproute2 procps openssl curl kcat)
PACKAGES_TEST=(libcmocka-dev clang libclang-rt-14-dev jq nginx-light qemu-system-x86 busybox-static)

packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null)" = "ii " ] || echo "$name"
    done
}

# Installs what is missing. Services of packages are held back by policy-rc.d (an existing one is honoured
# and left alone), and postgresql makes no cluster unless somebody runs one here already.
packages_install() {
    local missing made_policy=
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${#missing[@]} Debian packages: ${missing[*]}"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        made_policy=1
    fi
    if ! dpkg-query -W -f '${db:Status-Abbrev}' postgresql-common 2>/dev/null | grep -q '^ii' &&
        [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    local status=0
    quietly apt-get update || status=1
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "${missing[@]}" </dev/null 2>&1 |
        awk '/^Unpacking/ {if (++n % 50 == 0) {print "  " n " unpacked"; fflush()}}
             /^Setting up/ {if (++m % 50 == 0) {print "  " m " set up"; fflush()}}
             /^(E|W|dpkg):/ {print "  " $0; fflush()}' || true
    [ -z "$made_policy" ] || rm -f /usr/sbin/policy-rc.d
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0
    [ "$status" -eq 0 ] || fail "apt-get update did not work" "check /etc/apt/sources.list and the network, then run this again"
    fail "these packages could not be installed: ${missing[*]}" "run: apt-get install ${missing[*]}"
}
