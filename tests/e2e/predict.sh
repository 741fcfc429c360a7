#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `dpf predict` and `dpf bench`.
source tests/e2e/lib.sh
fashion 40
PICTURE=$(head -n 1 "$FASHION/test.list")
cd "$WORK" || exit 2

printf '%s\n' '[net]' width=28 height=28 channels=3 '[convolutional]' filters=20 size=3 stride=2 activation=leaky \
    '[convolutional]' filters=16 size=1 activation=linear '[yolo]' mask=0,1 anchors=4,4,9,9 classes=3 num=2 >boxes.cfg
printf '%s\n' '[net]' width=28 height=28 channels=3 '[convolutional]' filters=10 size=3 stride=2 activation=leaky \
    '[avgpool]' '[softmax]' >classes.cfg
# 0.2.0, 0 seen, then floats between 0.008 and 0.016, every third of them negative
weights() { # COUNT FILE
    {
        printf '\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
        for ((i = 0; i < $1; i++)); do
            printf -v float '\\x%02x\\x80\\x%02x\\x%s' $((i * 37 % 256)) $((i * i * 73 % 128)) "$((i % 3 ? 3 : 0))c"
            printf '%b' "${float/x0c/xbc}"
        done
    } >"$2"
}
weights 896 boxes.weights
weights 280 classes.weights
printf '%s\n' zero one two 'a "third"' >names

passes "predict: a detector" "$DPF" dpf predict boxes.cfg boxes.weights "$PICTURE" -thresh 0.2
prints "predict: boxes in pixels" "^class [0-2]: [0-9]+%  left -?[0-9]+ top -?[0-9]+ width [0-9]+ height [0-9]+"
passes "predict: JSON" "$DPF" dpf predict boxes.cfg boxes.weights "$PICTURE" "$PICTURE" -thresh 0.2 -json -names names
python3 -c '
import json, sys
pictures = json.load(open(sys.argv[1]))
assert len(pictures) == 2 and pictures[0]["width"] == 28 and pictures[0]["objects"] == pictures[1]["objects"]
assert {o["name"] for o in pictures[0]["objects"]} <= {"zero", "one", "two"}' "$OUT" 2>"$ERR"
result $? "predict: the JSON is JSON, and says the same twice"
passes "predict: drawn" "$DPF" dpf predict boxes.cfg boxes.weights "$PICTURE" -thresh 0.2 -out drawn
is "a JPEG" "$(head -c 2 drawn.jpg | od -An -tx1 | tr -d ' ')" = ffd8
passes "predict: nothing is found" "$DPF" dpf predict boxes.cfg boxes.weights "$PICTURE" -thresh 1 -out empty.png
passes "predict: two pictures drawn" "$DPF" dpf predict boxes.cfg boxes.weights "$PICTURE" "$PICTURE" -thresh 0.2 -out two.png
is "numbered, and the same" "$(cmp two-1.png two-2.png && echo same)" = same
is "what is found is drawn" "$(cmp -s two-1.png empty.png; echo $?)" = 1
fails "predict: a classifier has no boxes" "the network is no detector" "$DPF" dpf predict classes.cfg classes.weights \
    "$PICTURE" -out drawn
passes "predict: a classifier" "$DPF" dpf predict classes.cfg classes.weights "$PICTURE" -top 3 -names names
is "predict: three classes" "$(grep -cE '^ *[0-9.]+%: ' "$OUT")" = 3
cp "$OUT" before
passes "pack" "$DPF" dpf pack classes.cfg classes.weights classes.dpf
passes "predict: a .dpf" "$DPF" dpf predict classes.dpf "$PICTURE" -top 3 -names names
cp "$OUT" after
passes "predict: the same from a .dpf" cmp before after

for engine in darknet dpf; do
    passes "valid: -engine $engine" "$DPF" classifier valid "$FASHION/fashion.data" classes.cfg classes.weights \
        -engine $engine
    cp "$OUT" valid.$engine
done
passes "valid: both engines agree" cmp valid.darknet valid.dpf
is "valid: a score" "$(grep -c '^top1 [0-9.]* % top2 [0-9.]* % of 40 images$' valid.dpf)" = 1
fails "valid: wrong engine" "-engine gpu is not known" "$DPF" classifier valid "$FASHION/fashion.data" classes.cfg \
    classes.weights -engine gpu

fails "predict: no picture" "no picture; usage" "$DPF" dpf predict classes.cfg classes.weights
fails "predict: wrong fit" "-fit wide is not known" "$DPF" dpf predict classes.dpf "$PICTURE" -fit wide
echo junk >junk.png
fails "predict: a file that is no picture" "junk.png' is not a picture" "$DPF" dpf predict classes.dpf junk.png "$PICTURE"
prints "predict: the other picture is looked at" "^ *[0-9.]+%: "
fails "predict: weights of another cfg" "too long" "$DPF" dpf predict classes.cfg boxes.weights "$PICTURE"
printf '%s\n' '[net]' width=8 height=8 channels=3 '[rnn]' output=4 >rnn.cfg
fails "bench: a layer that it cannot run" "rnn.cfg:5: layer 0 \(rnn\)" "$DPF" dpf bench rnn.cfg

passes "bench: random weights" "$DPF" dpf bench boxes.cfg -sparsity 0.9 -threads 1 -per-layer -seconds 1
prints "bench: minimum and median" "^ms a run: minimum [0-9.]+, median [0-9.]+"
prints "bench: says what runs" "^ +1 convolutional .*(OpenBLAS|oneDNN|sparse)"
passes "bench: kernels measured, one ranking" "$DPF" dpf bench boxes.cfg -sparsity 0.9 -scope global -tune -threads 1 \
    -per-layer -seconds 1
prints "bench: says what it measured" "% of weights; ms measured: sparse [0-9.]+, (direct|OpenBLAS) [0-9.]+"
passes "bench: dense kernels" "$DPF" dpf bench boxes.cfg -kernels dense -threads 1 -seconds 1
fails "bench: no such scope" "-scope 'all': 'layer' or 'global' is wanted" "$DPF" dpf bench boxes.cfg -scope all
fails "bench: no such kernels" "-kernels gpu is not known .allowed: auto, dense, sparse" "$DPF" dpf bench boxes.cfg \
    -kernels gpu
passes "bench: a .dpf" "$DPF" dpf bench classes.dpf -seconds 1
fails "bench: weights for a .dpf" "has its own weights" "$DPF" dpf bench classes.dpf classes.weights
fails "bench: sparsity 1" "sparsity=1" "$DPF" dpf bench boxes.cfg -sparsity 1
finish
