#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The figures of the README, each program in turn; called by `make bench`.
#
#   ranking    a mask update of 60 million weights
#   kernels    sparse convolutions against oneDNN and OpenBLAS, shape by shape, 1 and 2 threads
#   training   iterations of ResNet-20 against unhooked libdarknet, in one interleaved run
#   networks   whole networks, dense and sparse, against libdarknet's forward pass, likewise
#
# Results also go to $BUILD/bench/*.txt. Run it on an idle machine; the ratios hold
# elsewhere, the times do not.
set -eu
: "${BUILD:=build/release}"

grep -m1 'model name' /proc/cpuinfo | sed 's/.*: /CPU: /' || true
echo "cores: $(nproc), load: $(cut -d' ' -f1 /proc/loadavg), OPENBLAS_CORETYPE: ${OPENBLAS_CORETYPE:-not set}"

# Threads that spin for long starve each other on a busy machine; ./darknet sets this itself.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}
echo
"$BUILD/bench/rank" | tee "$BUILD/bench/rank.txt"
for threads in 1 2; do
    csv=$BUILD/bench/kernels-$threads.csv
    echo
    "$BUILD/bench/kernels" -t "$threads" -n "${MS:-600}" > "$csv"
    grep '^#' "$csv"
    "$BUILD/bench/plot" -labels 3 -split set -rows -unit "times" -columns "over direct,over winograd" \
        -title "Sparse over dense convolutions, $threads threads" "$csv" "${csv%.csv}.html"
done
echo
"$BUILD/bench/train" cfg/resnet20.cfg "${ROUNDS:-5}" | tee "$BUILD/bench/train.txt"
echo
stock=/usr/share/darknet/cfg
networks=(bench/yolov4-tiny.cfg)
for cfg in yolov3-tiny yolov2-tiny darknet19 resnet50; do
    if [[ -f $stock/$cfg.cfg ]]; then networks+=("$stock/$cfg.cfg"); fi
done
"$BUILD/bench/networks" "${ROUNDS:-5}" "${networks[@]}" | tee "$BUILD/bench/networks.csv"
"$BUILD/bench/plot" -labels 4 -split network -columns ms -unit ms -title "Whole networks" -log \
    "$BUILD/bench/networks.csv" "$BUILD/bench/networks.html"
