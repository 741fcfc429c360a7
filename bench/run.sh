#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The figures of the README, each program in turn; called by `make bench`.
#
#   ranking    a mask update of 60 million weights
#   kernels    sparse convolutions against oneDNN and OpenBLAS, shape by shape, 1 and 2 threads
#   depthwise  depthwise convolutions against oneDNN and the sparse kernel, likewise
#   training   iterations of ResNet-20, dense and at several sparsities, against unhooked
#              libdarknet; and of a YOLO; each in one interleaved run, with a chart
#   networks   whole networks, dense and sparse, against libdarknet's forward pass, likewise
#
# Results also go to $BUILD/bench, *.txt, *.csv and *.html. Run it on an idle machine; the ratios hold
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
    csv=$BUILD/bench/depthwise-$threads.csv
    "$BUILD/bench/depthwise" -t "$threads" > "$csv"
    grep '^#' "$csv"
done
echo
# Masks of a real training: which layers stay denser than the mean decides much.
data=build/data/fashion/fashion.data masks=$BUILD/bench/masks
mkdir -p "$masks"
if [ ! -f "$masks/short_last.weights" ]; then
    echo "a short training on Fashion-MNIST, for real masks ..."
    sed "s|^backup.*|backup = $masks|" "$data" >"$masks/fashion.data"
    sed -e 's/^max_batches=.*/max_batches=400/' -e 's/^burn_in=.*/burn_in=100/' cfg/resnet20.cfg >"$masks/short.cfg"
    "$BUILD/darknet" classifier train "$masks/fashion.data" "$masks/short.cfg" -seed 1 -novalid >"$masks/train.log" 2>&1
fi
"$BUILD/bench/train" -r "${ROUNDS:-8}" -w "$masks/short_last.weights" -o "$BUILD/bench/train.csv" cfg/resnet20.cfg |
    tee "$BUILD/bench/train.txt"
echo
"$BUILD/bench/train" -d -r 3 -i 2 -o "$BUILD/bench/train-yolo.csv" cfg/bccd.cfg | tee -a "$BUILD/bench/train.txt"
for name in train train-yolo; do
    "$BUILD/bench/plot" -title "An iteration of training" -labels 1 -columns "forward ms,backward ms,update ms" -rows -unit ms \
        "$BUILD/bench/$name.csv" "$BUILD/bench/$name.html"
done
echo
stock=/usr/share/darknet/cfg
networks=(bench/yolov4-tiny.cfg)
for cfg in yolov3-tiny yolov2-tiny darknet19 resnet50; do
    if [[ -f $stock/$cfg.cfg ]]; then networks+=("$stock/$cfg.cfg"); fi
done
"$BUILD/bench/networks" "${ROUNDS:-5}" "${networks[@]}" | tee "$BUILD/bench/networks.csv"
"$BUILD/bench/plot" -labels 4 -split network -columns ms -unit ms -title "Whole networks" -log \
    "$BUILD/bench/networks.csv" "$BUILD/bench/networks.html"
