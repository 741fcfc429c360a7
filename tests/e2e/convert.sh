#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `dpf convert` and `dpf sensitivity`: a dense model in, a pruned one out, its accuracy
# before and after, what each layer can lose; and what they refuse.
source tests/e2e/lib.sh
fashion 100
data=$FASHION/fashion.data
cd "$WORK" || exit 2

printf '%s\n' '[net]' width=28 height=28 channels=3 batch=10 max_batches=4 learning_rate=0.01 '[convolutional]' \
    batch_normalize=1 filters=4 size=3 stride=4 activation=leaky '[convolutional]' batch_normalize=1 filters=8 size=3 \
    stride=2 pad=1 activation=leaky '[convolutional]' filters=10 size=1 activation=linear '[avgpool]' '[softmax]' >net.cfg
# 4 * (27 + 4) + 8 * (36 + 4) + 10 * 9 = 534 floats of 1/4, no zeros; 40 pictures seen: iteration 4 of 4
{
    printf '\0\0\0\0\2\0\0\0\5\0\0\0\x28\0\0\0\0\0\0\0'
    for ((i = 0; i < 534; i++)); do printf '%b' "\\x$(printf %02x $((i * 37 % 251 + 1)))\0\\x80\\x3e"; done
} >net.weights
cp net.weights kept.weights
kept() { "$DPF" dpf inspect "$@" | awk '$1 == "prunable" { print $3 }'; }

# in one shot, exact: 108 + 288 + 80 = 476 prunable weights
passes "convert" "$DPF" dpf convert net.cfg net.weights out.weights -sparsity 0.75
prints "says how many" '^pruned 357 of 476 prunable weights \(75\.00 %\), one ranking over all layers$'
is "kept exactly a quarter" "$(kept out.weights net.cfg)" = 119
is "the same size" "$(stat -c %s out.weights)" = "$(stat -c %s net.weights)"
grep -q "at iteration 4, and max_batches of 'net.cfg' is 4: .* would end at once. Give -clear" "$ERR"
result $? "warns that training on would end at once"
passes "convert -scope layer" "$DPF" dpf convert net.cfg net.weights layer.weights -sparsity 0.5 -scope layer -clear
prints "each by its own ranking" '^pruned 238 of 476 .*each layer by its own ranking$'
"$DPF" dpf inspect layer.weights net.cfg | awk '$2 == "conv" && $6 * 2 != $5 { bad = 1 } END { exit bad }'
result $? "half of every layer"
cmp -s -n 12 layer.weights net.weights && [[ $(od -An -tu8 -j12 -N8 layer.weights | tr -d ' ') == 0 ]]
result $? "-clear: none seen"
cmp -s kept.weights net.weights
result $? "the dense weights are untouched"

# a section, inside or outside of the cfg; .dpf in and out
printf '[dpf]\nsparsity=0.9\nbegin=7\nend=9\n' >section
passes "convert -dpf FILE to a .dpf" "$DPF" dpf convert net.cfg net.weights out.dpf -dpf section
prints "as the section says" '^pruned 428 of 476 '
passes "verify it" "$DPF" dpf verify out.dpf
passes "convert -half" "$DPF" dpf convert net.cfg net.weights half.dpf -sparsity 0.9 -half
prints "verify says" "^half.dpf: [0-9]+ bytes"
passes "pack" "$DPF" dpf pack net.cfg net.weights net.dpf
passes "convert MODEL.dpf" "$DPF" dpf convert net.dpf fromdpf.weights -sparsity 0.75
cmp -s fromdpf.weights out.weights
result $? "the same as from cfg and weights"

# with pictures
passes "convert -data" "$DPF" dpf convert net.cfg net.weights bn.weights -sparsity 0.75 -data "$data" -recalibrate 50 -threads 1
prints "accuracy before" '^before pruning +top-1 +[0-9.]+ %$'
prints "after" '^after pruning +top-1 +[0-9.]+ %$'
prints "after re-estimation" '^after re-estimation +top-1 +[0-9.]+ %$'
prints "how many pictures" '^batch-norm statistics of 50 training images$'
after=$(sed -n 's/^after re-estimation *top-1 *//p' "$OUT")
is "the same weights are pruned" "$(kept bn.weights net.cfg)" = 119
passes "classifier valid of it" "$DPF" classifier valid "$data" net.cfg bn.weights -threads 1
is "the accuracy that was told" "$(sed -n 's/^top1 \([0-9.]* %\).*/\1/p' "$OUT")" = "$after"
passes "again" "$DPF" dpf convert net.cfg net.weights again.weights -sparsity 0.75 -data "$data" -recalibrate 50 -threads 1
cmp -s again.weights bn.weights
result $? "the same bytes"

# sensitivity
study() { "$DPF" dpf sensitivity "$data" net.cfg net.weights -images 40 -threads 1 "$@"; }
passes "sensitivity without re-estimation" study -drop 5 -recalibrate 0
prints "says what is scored" '^top-1 in % of 40 images while that layer alone is pruned; dense: [0-9.]+ %$'
prints "points" 'for 5 points; '
cp net_sensitivity.csv plain.csv
passes "sensitivity" study -drop 1 -recalibrate 50
prints "one point" 'for 1 point; '
prints "says what the statistics are of" '; batch-norm statistics of 50 training images for each \(with its own, dense: [0-9.]+ %\)$'
cmp -s plain.csv net_sensitivity.csv
is "other scores" $? = 1
cp net_sensitivity.csv first.csv
study -recalibrate 50 >"$OUT" 2>"$ERR"
cmp -s first.csv net_sensitivity.csv
result $? "again: the same scores"
grep -v '^train' "$data" >untrained.data
"$DPF" dpf sensitivity untrained.data net.cfg net.weights -images 40 -threads 1 >"$OUT" 2>"$ERR"
grep -q 'note: training list .*; without training pictures batch-norm statistics stay as they are' "$ERR" && cmp -s plain.csv net_sensitivity.csv
result $? "no training list: without re-estimation, and says so"
fails "no training list, but asked for" "^darknet: training list" "$DPF" dpf sensitivity untrained.data net.cfg net.weights -recalibrate 50
passes "sensitivity, 5 points" study -drop 5
prints "a line for each layer" '^ *1 +8x4x3x3 +288 +([0-9.]+ +){5}sparsity=0\.[0-9]+ +14$'
grep -q "^layer 2 (3 of 3): " "$ERR"
result $? "progress"
is "CSV: a row for each layer and sparsity" "$(wc -l <net_sensitivity.csv)" = 17
is "HTML" -s net_sensitivity.html

# refused
echo "an earlier file" >old.weights
fails "no sparsity" "no \[dpf\] section; give -sparsity S or -dpf FILE" "$DPF" dpf convert net.cfg net.weights old.weights
fails "sparsity 1" "at least 0 and below 1" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 1
fails "a wrong scope" "'global' or 'layer' is wanted" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 0.5 -scope all
fails "OUT is the input" "give OUT another name" "$DPF" dpf convert net.cfg net.weights net.weights -sparsity 0.5
fails "OUT in no folder" "cannot be written" "$DPF" dpf convert net.cfg net.weights none/old.weights -sparsity 0.5
fails "-half of .weights" "-half is for .dpf files" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 0.5 -half
fails "-recalibrate without pictures" "by -data DATA" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 0.5 -recalibrate 9
fails "one picture" "at least 2 pictures" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 0.5 -data "$data" -recalibrate 1 -threads 1
fails "no data file" "No such file" "$DPF" dpf convert net.cfg net.weights old.weights -sparsity 0.5 -data none.data
cp out.weights run_final.weights
cp net.weights run_last.weights
fails "pruned weights beside dense ones" "run_final.weights' is pruned already .* dense weights are in 'run_last.weights'" \
    "$DPF" dpf convert net.cfg run_final.weights old.weights -sparsity 0.9
is "the earlier file is untouched" "$(cat old.weights)" = "an earlier file"
rm run_last.weights
passes "pruned weights alone" "$DPF" dpf convert net.cfg run_final.weights more.weights -sparsity 0.9
grep -q "note: 75.00 % of the prunable weights of 'run_final.weights' are 0 already" "$ERR"
result $? "says so"
fails "sensitivity: a wrong drop" "-drop 'x'" "$DPF" dpf sensitivity "$data" net.cfg net.weights -drop x
fails "sensitivity: no weights" "too few arguments" "$DPF" dpf sensitivity "$data" net.cfg
finish
