#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The figures of the README, each program in turn; called by `make bench`.
#
#   ranking    a mask update of 60 million weights
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
