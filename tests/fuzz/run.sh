#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs every libFuzzer target for T seconds, starting from its corpus. New inputs
# stay in the build folder; what crashes lies in $BUILD/crashes. A crash fails.
#
#   ONLY=cfg,lists   these targets alone
#   HANG=60          seconds after which an input counts as endless: more where the
#                    fuzzers get little of the processors, or are paused
set -u

BUILD=${BUILD:?}
T=${T:-60}
HANG=${HANG:-10}
targets=0
bad=0
mkdir -p "$BUILD/crashes"
for source in tests/fuzz/fuzz_*.c; do
    [[ -e $source ]] || continue
    name=$(basename "$source" .c)
    [[ -z ${ONLY:-} || ,$ONLY, == *,"${name#fuzz_}",* ]] || continue
    grown=$BUILD/corpus/${name#fuzz_}
    mkdir -p "$grown"
    targets=$((targets + 1))
    dictionary=tests/fuzz/${name#fuzz_}.dict
    if "$BUILD/tests/$name" -max_total_time="$T" -timeout="$HANG" -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$BUILD/crashes/$name-" ${dictionary:+$([[ -f $dictionary ]] && echo "-dict=$dictionary")} \
        "$grown" "tests/fuzz/corpus/${name#fuzz_}" >"$BUILD/$name.log" 2>&1; then
        echo "ok   $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$BUILD/$name.log") runs"
    else
        bad=$((bad + 1))
        echo "FAIL $name: see $BUILD/$name.log"
        tail -n 25 "$BUILD/$name.log"
    fi
done
echo "$targets targets, $T s each, $bad failed"
((targets > 0 && bad == 0))
