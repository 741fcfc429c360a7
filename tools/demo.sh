#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Called by `make demo`: trains cfg/fashion.cfg on Fashion-MNIST, dense and with its
# [dpf] section, for seeds 1 to SEEDS, and prints what came out. Each training has a
# folder of its own under build/demo, with its weights, log and report.
set -eu
cd "$(dirname "$0")/.."

seeds=${SEEDS:-1}
data=build/data/fashion/fashion.data
cfg=cfg/fashion.cfg
out=build/demo
case $seeds in '' | *[!0-9]* | 0*)
    echo "demo: SEEDS is a number from 1 up, not '$seeds'" >&2
    exit 2
    ;;
esac
begin=$(date +%s)

# train KIND SEED FLAG...: top-1 to KIND-SEED/top1, everything else beside it.
train() {
    local kind=$1 seed=$2 folder=$out/$1-$2
    shift 2
    rm -rf "$folder"
    mkdir -p "$folder"
    sed "s|^backup.*|backup = $folder|" "$data" >"$folder/fashion.data"
    echo
    echo "== $kind, seed $seed: ./darknet classifier train $folder/fashion.data $cfg -seed $seed $*"
    if [ -t 1 ]; then # a progress bar is for people; its lines go to a file otherwise
        ./darknet classifier train "$folder/fashion.data" "$cfg" -seed "$seed" "$@"
    elif ! ./darknet classifier train "$folder/fashion.data" "$cfg" -seed "$seed" "$@" >"$folder/train.log" 2>&1; then
        tail -n 20 "$folder/train.log" >&2
        echo "demo: the training failed; all it said is in $folder/train.log" >&2
        exit 1
    fi
    ./darknet classifier valid "$folder/fashion.data" "$cfg" "$folder/fashion_final.weights" >"$folder/valid.log" 2>&1 || {
        tail -n 20 "$folder/valid.log" >&2
        exit 1
    }
    tail -n 1 "$folder/valid.log"
    sed -n 's/^top1 \([0-9.]*\) .*/\1/p' "$folder/valid.log" | tail -n 1 >"$folder/top1"
    [ -s "$folder/top1" ] || {
        echo "demo: no accuracy in $folder/valid.log" >&2
        exit 1
    }
}

for seed in $(seq "$seeds"); do
    train dense "$seed" -dense
    train dpf "$seed"
done

# The share of prunable weights that are gone, as the log's last line says it.
gone=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "sparsity") c = i } END { if (c) print $c }' "$out/dpf-1/fashion_log.csv")

# row TITLE KIND GONE REFERENCE: one line of the table, from the KIND-SEED/top1 files.
row() {
    local tops
    tops=$(for seed in $(seq "$seeds"); do cat "$out/$2-$seed/top1"; done)
    # shellcheck disable=SC2086 # one word a seed
    printf '%s\n' $tops | awk -v title="$1" -v gone="$3" -v reference="$4" -v file="$out/$2-1/fashion_final.weights" '
        { sum += $1; list = list sprintf("%8.2f", $1) }
        END {
            mean = sum / NR
            drop = reference == "" ? "       -" : sprintf("%8.2f", reference - mean)
            printf "%-12s%s %8.2f %s %13.1f %%   %s\n", title, list, mean, drop, 100 * (1 - gone), file
        }'
}
mean() {
    for seed in $(seq "$seeds"); do cat "$out/$1-$seed/top1"; done | awk '{ s += $1 } END { printf "%.4f", s / NR }'
}

echo
echo "Fashion-MNIST, top-1 in % on 10,000 test pictures, after $(($(date +%s) - begin)) s"
echo
printf '%-12s%s %8s %8s %15s   %s\n' "" "$(for seed in $(seq "$seeds"); do printf '%8s' "seed $seed"; done)" mean drop "weights kept" file
row dense dense 0 ""
row "DPF $(awk "BEGIN { printf \"%.0f\", 100 * $gone }") %" dpf "$gone" "$(mean dense)"
echo
echo "Reports, one page each, for any browser:"
for seed in $(seq "$seeds"); do
    echo "    $PWD/$out/dpf-$seed/fashion_report.html"
done
