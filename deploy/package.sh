#!/bin/sh
# Builds the Debian package, debian/estd_VERSION_ARCH.deb in the target folder. It needs cargo-deb: cargo install cargo-deb --locked
set -eu
cd "$(dirname "$0")/.."
release=${CARGO_TARGET_DIR:-target}/release
cargo build --release --locked
# Manual pages and completions are made by the program itself, so that they tell of this version.
made=$release/package
rm -rf "$made"
mkdir -p "$made"
"$release/estd" man "$made/man"
gzip -9n "$made"/man/*
for shell in bash zsh fish; do
    "$release/estd" completions "$shell" > "$made/estd.$shell"
done
gzip -9nc CHANGELOG.md > "$made/changelog.gz"
version=$("$release/estd" --version | cut -d ' ' -f 2)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
printf 'estd (%s-1) unstable; urgency=medium\n\n  * What is new stands in changelog.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -R)" | gzip -9n > "$made/changelog.Debian.gz"
cargo deb --no-build --locked "$@"
