#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `dpf inspect`, and one .dpf file where CFG WEIGHTS would stand.
source tests/e2e/lib.sh
fashion 100
cd "$WORK" || exit 2

printf '%s\n' '[net]' width=28 height=28 channels=3 batch=1 '[convolutional]' filters=4 size=3 stride=2 activation=leaky \
    '[convolutional]' filters=10 size=1 activation=linear '[avgpool]' '[softmax]' >net.cfg
# 0.2.5, 7 seen, 4 + 4*27 + 10 + 10*4 floats: the fourth filter is 0, every fourth weight of the others
{
    printf '\0\0\0\0\2\0\0\0\5\0\0\0\7\0\0\0\0\0\0\0'
    for ((i = 0; i < 162; i++)); do
        if ((i < 4 || i >= 112 || (i < 85 && i % 4))); then printf '\0\0\x80\x3e'; else printf '\0\0\0\0'; fi
    done
} >net.weights

passes "inspect" "$DPF" dpf inspect net.weights net.cfg
prints "one line a layer" '^ *0 +conv +4x3x3x3 +yes +108 +60 +55\.56 +75\.00 +75\.00 +1/4 '
prints "the second" '^ *1 +conv +10x4x1x1 +yes +40 +40 +100\.00 +100\.00 +100\.00 +0/10 '
prints "totals" '^ +prunable +148 +100 +67\.57 '
prints "all parameters" '^all parameters: 114 of 162 kept \(70\.37 %\); net\.weights: 668 bytes$'
cp "$OUT" table
passes "the other order of the two" "$DPF" dpf inspect net.cfg net.weights
cmp -s "$OUT" table
result $? "the same table"
passes "pack" "$DPF" dpf pack net.cfg net.weights net.dpf
passes "inspect a .dpf" "$DPF" dpf inspect net.dpf
head -n 3 "$OUT" | cmp -s - <(head -n 3 table)
result $? "the same lines"
printf '\0\0\xc0\x7f' | dd of=net.weights bs=1 seek=40 conv=notrunc status=none
passes "inspect with a NaN" "$DPF" dpf inspect net.weights net.cfg
grep -q "warning: 1 weights of 'net.weights' are NaN" "$ERR"
result $? "a NaN is told"
cp net.weights $'odd "name"\\\x01\xff.weights'
passes "inspect -json" "$DPF" dpf inspect $'odd "name"\\\x01\xff.weights' net.cfg -json
prints "a NaN is null" '"mean": null'
if command -v python3 >/dev/null; then
    cp "$OUT" json
    passes "it is JSON" python3 -c '
import json
j = json.load(open("json", encoding="utf-8"))
assert j["file"] == "odd \"name\"\\\x01\ufffd.weights", j["file"]
assert [l["shape"] for l in j["layers"]] == ["4x3x3x3", "10x4x1x1"]
assert j["prunable"]["weights"] == 148 and j["layers"][0]["kept"] == 60
assert j["all"]["not_finite"] == 1'
fi

fails "inspect: weights without cfg" "'net.weights' is not a .dpf: its cfg is wanted too" "$DPF" dpf inspect net.weights
fails "inspect: .dpf and cfg" "'net.dpf' holds its own cfg: leave 'net.cfg' out" "$DPF" dpf inspect net.dpf net.cfg
fails "inspect: no file" "No such file" "$DPF" dpf inspect none.weights net.cfg
fails "inspect: other cfg" "too short for" "$DPF" dpf inspect net.weights <(sed s/filters=4/filters=5/ net.cfg)
fails "inspect: wrong flag" "did you mean '-json'" "$DPF" dpf inspect net.dpf -jsno

# one .dpf in the place of CFG WEIGHTS
data=$FASHION/fashion.data
picture=$(head -n 1 "$FASHION/test.list")
passes "unpack" "$DPF" dpf unpack net.dpf back.cfg back.weights
passes "classifier valid CFG WEIGHTS" "$DPF" classifier valid "$data" back.cfg back.weights -threads 1
cp "$OUT" valid
passes "classifier valid MODEL.dpf" "$DPF" classifier valid "$data" net.dpf -threads 1
cmp -s "$OUT" valid && grep -q "^top1 .* of 100 images" valid
result $? "the same accuracy"
for engine in dpf darknet; do
    passes "classifier valid CFG WEIGHTS -engine $engine" \
        "$DPF" classifier valid "$data" back.cfg back.weights -threads 1 -engine $engine
    cp "$OUT" valid
    passes "classifier valid MODEL.dpf -engine $engine" "$DPF" classifier valid "$data" net.dpf -threads 1 -engine $engine
    cmp -s "$OUT" valid && grep -q "^top1 .* of 100 images" valid
    result $? "the same accuracy by $engine"
done
passes "classifier predict CFG WEIGHTS IMAGE" "$DPF" classifier predict "$data" back.cfg back.weights "$picture" -t 3 -threads 1
cp "$OUT" predict
passes "classifier predict MODEL.dpf IMAGE" "$DPF" classifier predict "$data" net.dpf "$picture" -t 3 -threads 1
cmp -s "$OUT" predict && [[ $(wc -l <predict) == 3 ]]
result $? "the same classes"
fails "valid: cfg and .dpf" "'net.dpf' holds its own cfg: leave 'back.cfg' out" "$DPF" classifier valid "$data" back.cfg net.dpf -threads 1
fails "valid: .dpf and weights" "one argument too many: 'net.dpf' holds cfg and weights" \
    "$DPF" classifier valid "$data" net.dpf back.weights -threads 1
fails "valid: cfg alone" "too few arguments" "$DPF" classifier valid "$data" back.cfg -threads 1
fails "detector demo: Darknet's own program takes none" "'net.dpf' is a .dpf, and 'detector' is handed on" \
    "$DPF" detector demo "$data" net.dpf
head -c 300 net.dpf >cut.dpf
fails "valid: a damaged .dpf" "cut.dpf: cut off" "$DPF" classifier valid "$data" cut.dpf -threads 1
finish
