#!/usr/bin/env bash
# Runs every fuzz target for a while and stops at the first crash: fuzz/smoke.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?seconds for each target}
version=0.13.2

# The sanitizer's flags are nightly's. Stable has the same compiler and takes them when it is told to.
toolchain=${FUZZ_TOOLCHAIN:-}
if [ -z "$toolchain" ] && cargo +nightly --version > /dev/null 2>&1; then toolchain=nightly; fi
if [ "$toolchain" = nightly ]; then cargo=(cargo +nightly); else cargo=(cargo); export RUSTC_BOOTSTRAP=1; fi
"${cargo[@]}" --version

if ! cargo fuzz --version > /dev/null 2>&1; then
    env -u RUSTC_BOOTSTRAP cargo install cargo-fuzz --locked --version "$version"
fi

# Read, never written to: what a run finds goes into fuzz/corpus, which git does not keep.
seeds() {
    case $1 in
        certification_request | certs_only | cmc_request | csr_attributes | enroll_decision | ocsp_request) echo asn1/tests/vectors tests/bodies ;;
        transfer) echo tests/bodies ;;
    esac
    # A request that one target decodes is a request to the whole decision as well.
    if [ "$1" = enroll_decision ]; then echo fuzz/seeds/certification_request; fi
    if [ -d "fuzz/seeds/$1" ]; then echo "fuzz/seeds/$1"; fi
}

# Longer inputs make the decision slower and say nothing that shorter ones do not.
limits() {
    case $1 in enroll_decision | cmc_request) echo -max_len=2048 ;; esac
}

# cargo-fuzz takes no --locked: a lockfile that does not fit is told here.
"${cargo[@]}" fetch --locked --manifest-path fuzz/Cargo.toml
"${cargo[@]}" fuzz build

log=$(mktemp)
trap 'rm -f "$log"' EXIT
targets=$("${cargo[@]}" fuzz list)
for target in $targets; do
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    # Leaks are no faults of safe code, and looking for them takes half of the time. Ten seconds for one input are a hang.
    # shellcheck disable=SC2046
    if ! "${cargo[@]}" fuzz run "$target" "$corpus" $(seeds "$target") -- \
        $(limits "$target") -max_total_time="$seconds" -detect_leaks=0 -timeout=10 -print_final_stats=1 \
        > "$log" 2>&1; then
        tail -n 80 "$log"
        echo "$target: FAILED, the input is in fuzz/artifacts/$target"
        exit 1
    fi
    awk -v target="$target" '
        /^#[0-9]+\t/ { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        /^stat::number_of_executed_units:/ { executions = $2 }
        /^stat::average_exec_per_sec:/ { rate = $2 }
        END { printf "%-24s %9d executions %7d/s %6d edges\n", target, executions, rate, edges }' "$log"
done
