#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The ordinary life of a classifier: train, files, resume, signals, valid, predict;
# and verbs that belong to Darknet's own program.
source tests/e2e/lib.sh
fashion 200
cd "$WORK" || exit 2

mkdir -p backup
sed "s|^backup.*|backup = backup|" "$FASHION/fashion.data" >fashion.data
tiny() { # tiny MAX_BATCHES [MORE...]
    local most=$1
    shift
    printf '%s\n' '[net]' batch=20 subdivisions=1 width=28 height=28 channels=3 learning_rate=0.05 momentum=0.9 \
        "max_batches=$most" '[convolutional]' batch_normalize=1 filters=8 size=3 stride=2 pad=1 activation=relu \
        '[convolutional]' batch_normalize=1 filters=16 size=3 stride=2 pad=1 activation=relu '[avgpool]' \
        '[connected]' output=10 activation=linear '[softmax]' groups=1 "$@" >tiny.cfg
}
# shellcheck disable=SC2317 # called through passes
train() { "$DPF" classifier train fashion.data tiny.cfg "$@"; }

# A whole training
tiny 40 '[dpf]' sparsity=0.8
passes "train" train -seed 7
prints "Darknet's line for an iteration, with sparsity" \
    '^40, 4\.000: [0-9.]+, [0-9.]+ avg, 0\.050000 rate, [0-9.]+ seconds, 800 images, 80\.[0-9] % sparse$'
prints "summary" 'weights kept +274 of 1368 prunable: 79.97 % sparse' # 1368 - round(0.8 * 1368)
is "the score is the last line" "$(tail -n 1 "$OUT" | grep -cE '^top1 [0-9.]+ % top[0-9]+ [0-9.]+ % of 200 images$')" = 1
for file in tiny_final.weights tiny_last.weights tiny_last.state tiny_log.csv tiny_report.html; do
    is "$file is written" -s backup/$file
done
is "nothing else is left in the folder" "$(find backup -type f | wc -l)" = 5
is "header of the log" "$(head -n 1 backup/tiny_log.csv)" = \
    "iteration,loss,avg_loss,rate,sparsity,images_per_s,flips,revived,score"
is "a line an iteration in the log" "$(wc -l <backup/tiny_log.csv)" = 41
is "the pruned model is not the dense one" "$(cmp -s backup/tiny_final.weights backup/tiny_last.weights; echo $?)" = 1
fails "-kernels of another word" '-kernels fast is not known \(allowed: auto, dense\)' train -kernels fast

# The same again, and with another seed
mv backup first && mkdir backup
passes "train again" train -seed 7 -novalid -nogpu -gpus 0
is "one seed, one model: final" "$(cmp first/tiny_final.weights backup/tiny_final.weights && echo same)" = same
is "one seed, one model: last" "$(cmp first/tiny_last.weights backup/tiny_last.weights && echo same)" = same
passes "train, one thread" train -seed 7 -novalid -threads 1
is "the number of threads does not matter to the order of pictures: same first loss" \
    "$(sed -n 2p backup/tiny_log.csv | cut -d, -f2 | cut -c1-5)" = "$(sed -n 2p first/tiny_log.csv | cut -d, -f2 | cut -c1-5)"
passes "train with another seed" train -seed 8 -novalid
is "another seed, another model" "$(cmp -s first/tiny_last.weights backup/tiny_last.weights; echo $?)" = 1
passes "no seed" train -novalid
prints "a seed is chosen and printed" '^Seed: [0-9]+'

# Going on
tiny 60 '[dpf]' sparsity=0.8
passes "go on" train backup/tiny_last.weights -novalid
prints "says where it goes on" '^Going on at iteration 40 of 60'
is "the log goes on" "$(tail -n 1 backup/tiny_log.csv | cut -d, -f1) $(wc -l <backup/tiny_log.csv)" = "60 61"
passes "start again with these weights" train backup/tiny_last.weights -clear -novalid
is "the log starts again" "$(sed -n 2p backup/tiny_log.csv | cut -d, -f1)" = 1

# Some pictures are bad
sed 3q "$FASHION/train.list" >some.list
head -n 40 "$FASHION/train.list" | tail -n 37 >>some.list
mkdir -p broken
head -c 200 "$(sed -n 1p some.list)" >broken/1_bag.png
echo text >broken/2_coat.png
{ cat some.list; echo "$WORK/broken/1_bag.png"; echo "$WORK/broken/2_coat.png"; echo "$WORK/broken/3_coat.png"; } >mixed.list
sed "s|^train.*|train = mixed.list|; s|^valid.*|valid = mixed.list|" fashion.data >mixed.data
passes "bad pictures are passed over" "$DPF" classifier train mixed.data tiny.cfg -seed 1
is "and counted" "$(grep -c '3 of 43 images cannot be used' "$ERR")" -ge 1
is "each named once by the training" "$(grep -c "mixed.list:4[123]: " "$ERR")" = 6 # once by training, once by scoring
prints "the score is of the others" 'of 40 images$'

# Signals
tiny 100000 '[dpf]' sparsity=0.8
for case in "INT 130 Ctrl-C" "TERM 143 SIGTERM" "HUP 129 SIGHUP"; do
    read -r signal expected word <<<"$case"
    rm -f backup/tiny_final.weights
    echo old >backup/tiny_last.weights
    rm -f out
    "$DPF" classifier train fashion.data tiny.cfg >out 2>err </dev/null &
    job=$!
    for _ in $(seq 1200); do grep -q '^3, ' out 2>/dev/null && break; sleep 0.05; done
    kill -s "$signal" $job
    wait $job
    status=$?
    is "$signal: exit status" "$status" = "$expected"
    is "$signal: says what to do" "$(grep -c "stopped by $word at iteration .*to go on: .*tiny_last.weights" err)" = 1
    is "$signal: dense weights are saved" "$(wc -c <backup/tiny_last.weights)" -gt 100
    is "$signal: no final model" ! -e backup/tiny_final.weights
    is "$signal: report" -s backup/tiny_report.html
done

# Scoring and predicting
passes "valid" "$DPF" classifier valid fashion.data tiny.cfg first/tiny_final.weights
prints "its line" '^top1 [0-9]+\.[0-9][0-9] % top2 [0-9]+\.[0-9][0-9] % of 200 images$'
sed '/^top/d' fashion.data >plain.data
passes "valid without top" "$DPF" classifier valid plain.data tiny.cfg first/tiny_final.weights
prints "top5 then" '^top1 [0-9.]+ % top5 [0-9.]+ % of 200 images$'
picture=$(head -n 1 "$FASHION/test.list")
passes "predict" "$DPF" classifier predict fashion.data tiny.cfg first/tiny_final.weights "$picture" -t 3
is "three classes" "$(grep -cE '^ *[0-9]+\.[0-9][0-9]%: ' "$OUT")" = 3
printf '%s\nnothing.png\n%s\n' "$picture" "$picture" >asked
status=0
"$DPF" classifier predict fashion.data tiny.cfg first/tiny_final.weights <asked >out 2>err || status=$?
is "predict asks" "$(grep -o 'Enter Image Path: ' out | wc -l)" = 4
is "predict answers" "$status $(grep -cE '[0-9]%: ' out)" = "0 4"
fails "predict of a bad picture" "'broken/2_coat.png' is not a picture" "$DPF" classifier predict fashion.data tiny.cfg \
    first/tiny_final.weights broken/2_coat.png

# Other verbs
passes "help" "$DPF" -h
prints "help names the verbs" 'classifier train DATA CFG'
passes "version" "$DPF" version
fails "no verb" 'classifier train' "$DPF"
fails "unknown verb" "unknown verb 'clasifier'; did you mean 'classifier'" "$DPF" clasifier
printf '#!/bin/sh\necho "passed on: $*"\nexit 5\n' >other && chmod +x other
run env DARKNET_PROGRAM=./other "$DPF" detect a b -thresh .3
is "verbs of Darknet are passed on" "$status $(cat "$OUT")" = "5 passed on: detect a b -thresh .3"
run env DARKNET_PROGRAM=./other "$DPF" classifier csv a b
is "verbs of its classifier too" "$status $(cat "$OUT")" = "5 passed on: classifier csv a b"
fails "no Darknet" "'./nothing' cannot be started: No such file" env DARKNET_PROGRAM=./nothing "$DPF" detect
fails "it does not start itself" "that is this program itself" env "DARKNET_PROGRAM=$DPF" "$DPF" detect
printf '#!/bin/sh\nexec "%s" "$@"\n' "$DPF" >loop && chmod +x loop
fails "nor in a circle" "came back here" env DARKNET_PROGRAM=./loop "$DPF" detect

finish
