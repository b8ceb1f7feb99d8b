#!/bin/sh
# Installs the EST clients and judges that registries carry. Needs root for apt-get; may be run again at any time.
# usage: conformance/install-clients.sh [VENV]    (default: target/conformance-venv)
set -eu
venv=${1:-target/conformance-venv}

packages="curl openssl gnutls-bin python3 python3-venv strongswan-pki libstrongswan-standard-plugins \
libstrongswan-extra-plugins default-jdk-headless libbcprov-java libbcpkix-java libbcutil-java libbctls-java"

missing=
for package in $packages; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    # shellcheck disable=SC2086 # one word a package
    apt-get -qq install --no-install-recommends -y $missing >/dev/null
fi

if ! "$venv/bin/python" -c 'import pkilint' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check install 'pkilint==0.13.3'
fi

if ! "$venv/bin/python" -c 'import schemathesis' 2>/dev/null; then
    "$venv/bin/pip" --quiet --disable-pip-version-check install 'schemathesis==4.32.5'
fi
