#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The ordinary life of a detector on a small set made here: train, score, look at
# pictures, result files; and label files that are not as they should be.
source tests/e2e/lib.sh
pieces 200
top=$PWD
cd "$WORK" || exit 2

mkdir -p backup
sed "s|^backup.*|backup = backup|" "$PIECES/pieces.data" >pieces.data
tiny() { # tiny MAX_BATCHES RANDOM [MORE...]
    local most=$1 random=$2 filters
    shift 2
    printf '%s\n' '[net]' batch=16 subdivisions=2 width=96 height=96 channels=3 learning_rate=0.002 momentum=0.9 \
        decay=0.0005 burn_in=20 "max_batches=$most" hue=.05 saturation=1.2 exposure=1.2 >tiny.cfg
    for filters in 8 16 32; do
        printf '%s\n' '[convolutional]' batch_normalize=1 "filters=$filters" size=3 stride=2 pad=1 activation=leaky >>tiny.cfg
    done
    printf '%s\n' '[convolutional]' batch_normalize=1 filters=32 size=3 stride=1 pad=1 activation=leaky '[convolutional]' \
        filters=16 size=1 stride=1 pad=1 activation=linear '[yolo]' mask=0,1 anchors=24,26,38,38 classes=3 num=2 jitter=.1 \
        ignore_thresh=.6 truth_thresh=1 "random=$random" "$@" >>tiny.cfg
}
# shellcheck disable=SC2317 # called through passes
train() { "$DPF" detector train pieces.data tiny.cfg "$@"; }
# above VALUE: the last line of the last command is a mAP of more than that
above() { tail -n 1 "$OUT" | awk -v least="$1" '/^mAP@0\.50 = [0-9.]+ %$/ && $3 > least { found = 1 } END { exit !found }'; }

# Training
tiny 120 0 '[dpf]' sparsity=0.6 end=60
passes "train" train -seed 1 -map
above 30
result $? "it learns: mAP above 30 %"
cp "$OUT" train.out
is "Darknet's lines of the detection layer" "$(grep -cE '^Region 5 Avg IOU: ' "$OUT")" = 240 # 2 of 120 iterations
is "the score during training, with the best" "$(grep -cE '^mAP@0.50 = [0-9.]+ % at iteration 1[02]0, ' "$OUT")" = 2
for file in final.weights last.weights last.state best.weights log.csv report.html; do is "tiny_$file is written" -s "backup/tiny_$file"; done
is "nothing else is left in the folder" "$(find backup -type f | wc -l)" = 6
is "scores are in the log" "$(awk -F, 'NR > 1 && $9 != "" { n++ } END { print n }' backup/tiny_log.csv)" = 2
is "and in the report" "$(grep -c 'mAP@0.50' backup/tiny_report.html)" -ge 1
mv backup first && mkdir backup
passes "train again" train -seed 1 -novalid
is "one seed, one model" "$(cmp first/tiny_final.weights backup/tiny_final.weights && echo same)" = same
tiny 12 0 '[dpf]' sparsity=0.6 end=6
passes "another seed" train -seed 2 -novalid
mv backup/tiny_last.weights other.weights
passes "the first seed, shortly" train -seed 1 -novalid
is "another seed, another model" "$(cmp -s other.weights backup/tiny_last.weights; echo $?)" = 1
sed '/^\[dpf\]/,$d' tiny.cfg >plain.cfg
printf '%s\n' '[dpf]' sparsity=0.6 end=6 >tiny.dpf.cfg
passes "the section from a file of its own" "$DPF" detector train pieces.data plain.cfg -dpf tiny.dpf.cfg -seed 1 -novalid
is "gives the same model" "$(cmp backup/plain_final.weights backup/tiny_final.weights && echo same)" = same

# Scoring
tiny 120 0 '[dpf]' sparsity=0.6 end=60
map() { "$DPF" detector map pieces.data tiny.cfg first/tiny_final.weights "$@"; }
passes "map" map
is "the same score as at the end of the training" "$(tail -n 1 "$OUT")" = "$(tail -n 1 train.out)"
is "a line a class" "$(grep -cE '^ +[012]  (trouser|bag|ankle boot) ' "$OUT")" = 3
passes "map at another IoU" map -iou_thresh 0.75
prints "its last line" '^mAP@0\.75 = [0-9.]+ %$'
passes "map at 11 points" map -points 11
prints "says so" 'precision at 11 recalls'
passes "map with letterbox" map -letter_box
is "square pictures need none" "$(tail -n 1 "$OUT")" = "$(tail -n 1 train.out)"
fails "map at 12 points" '-points 12: 0 .*11 or 101' map -points 12
fails "a threshold above 1" "-thresh '2': a number from 0 to 1" map -thresh 2

# Looking at pictures
picture=$(head -n 1 "$PIECES/test.list")
predict() { "$DPF" detector test pieces.data tiny.cfg first/tiny_final.weights "$@"; }
passes "test" predict "$picture" -thresh 0.2
is "says what it finds" "$(grep -cE '^(trouser|bag|ankle boot): [0-9]+%$' "$OUT")" -ge 1
is "draws into predictions.jpg" "$(head -c 2 predictions.jpg | od -An -tx1 | tr -d ' ')" = ffd8
passes "test with another file" predict "$picture" -thresh 0.2 -out seen.png
is "a PNG" "$(head -c 4 seen.png | tail -c 3)" = PNG
passes "nothing is found" predict "$picture" -thresh 1 -out empty.png
is "what is found is drawn" "$(cmp -s seen.png empty.png; echo $?)" = 1
printf '%s\nnothing.png\n%s\n' "$picture" "$picture" >asked
status=0
"$DPF" detector test pieces.data tiny.cfg first/tiny_final.weights <asked >out 2>err || status=$?
is "test asks" "$(grep -o 'Enter Image Path: ' out | wc -l)" = 4
is "test answers" "$status $(grep -c 'Predicted in' out) $(grep -c "'nothing.png' cannot be read" err)" = "0 2 1"
fails "a picture that is none" "'tiny.cfg' is not a picture" predict tiny.cfg
fails "a file that cannot be written" "No such file" predict "$picture" -out no/where
printf 'trouser\nbag\n' >two.names
sed 's/^names.*/names = two.names/' pieces.data >two.data
fails "names that are too few" "two.names: has 2 lines, but 'tiny.cfg' finds 3 classes" "$DPF" detector test two.data \
    tiny.cfg first/tiny_final.weights "$picture"

# Result files
fails "valid without its folder" "results folder 'results': No such file" "$DPF" detector valid pieces.data tiny.cfg first/tiny_final.weights
mkdir results
passes "valid, VOC" "$DPF" detector valid pieces.data tiny.cfg first/tiny_final.weights
is "a file a class" "$(find results -name 'comp4_det_test_*.txt' | wc -l)" = 3
is "its lines" "$(cat results/*.txt | grep -cvE '^test[0-9]{5} 0\.[0-9]{6} [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+$')" = 0
lines=$(cat results/*.txt | wc -l)
if [[ -x /usr/bin/darknet ]]; then
    mkdir -p data theirs && ln -sfn /usr/share/darknet/data/labels data/labels
    sed '/^\[dpf\]/,$d' tiny.cfg >plain.cfg
    sed '$a results = theirs' pieces.data >theirs.data
    /usr/bin/darknet detector valid theirs.data plain.cfg first/tiny_final.weights >/dev/null 2>&1 </dev/null
    others=$(cat theirs/*.txt | wc -l)
    # a probability or an overlap may sit on a threshold, so not to the last box
    is "as many boxes as Darknet's own program, to 1 %" $((others * 99)) -le $((lines * 100)) -a $((lines * 99)) -le $((others * 100))
fi
sed '$a eval = coco' pieces.data >coco.data
passes "valid, COCO" "$DPF" detector valid coco.data tiny.cfg first/tiny_final.weights -out mine
is "one entry a box" "$(grep -c '"score":' results/mine.json)" = "$lines"
is "the last entry has no comma" "$(tail -n 2 results/mine.json | tr -d '\n' | tail -c 2)" = "}]"
sed '$a eval = imagenet' pieces.data >imagenet.data
passes "valid, ImageNet" "$DPF" detector valid imagenet.data tiny.cfg first/tiny_final.weights
is "its lines" "$(grep -cE '^[0-9]+ [123] 0\.' results/imagenet-detection.txt)" = "$lines"
sed '$a eval = other' pieces.data >other.data
fails "an unknown kind" "eval=other: voc, coco or imagenet" "$DPF" detector valid other.data tiny.cfg first/tiny_final.weights
passes "recall" "$DPF" detector recall pieces.data tiny.cfg first/tiny_final.weights
prints "its last line" '^recall [0-9.]+ % of [0-9]+ objects, average IoU [0-9.]+ %, [0-9.]+ boxes an image, 200 images$'
is "Darknet's line a picture" "$(grep -cE '^ +[0-9]+ +[0-9]+ +[0-9]+.RPs/Img: [0-9.]+.IOU: [0-9.]+%.Recall:[0-9.]+%$' "$ERR")" = 200
last=$(tail -n 1 "$OUT")

# Both engines: the same boxes, so the same figures
figures() { # figures VERB [ARGUMENTS...]: the last line printed, by each engine
    for engine in darknet dpf; do
        passes "$1 -engine $engine" "$DPF" detector "$@" -engine $engine
        tail -n 1 "$OUT" >"by.$engine"
        cp "$OUT" "all.$engine"
    done
}
model="pieces.data tiny.cfg first/tiny_final.weights"
# shellcheck disable=SC2086 # words
figures map $model
is "map: the same" "$(cat by.dpf)" = "$(cat by.darknet)"
is "with every class" "$(diff all.dpf all.darknet && echo same)" = same
# shellcheck disable=SC2086
figures map $model -letter_box
is "map with letterbox: the same" "$(cat by.dpf)" = "$(cat by.darknet)"
# shellcheck disable=SC2086
figures recall $model
is "recall: the same" "$(cat by.dpf)" = "$(cat by.darknet)"
# shellcheck disable=SC2086
figures test $model "$picture" -thresh 0.2
is "test: the same" "$(grep '%$' all.dpf)" = "$(grep '%$' all.darknet)"
# shellcheck disable=SC2086
figures valid $model
is "valid: the same, but for a box on the threshold" "$(awk '{ print ($1 - '"$lines"') ^ 2 <= 4 }' by.dpf)" = 1
# shellcheck disable=SC2086
fails "an engine that is none" "-engine gpu is not known" "$DPF" detector map $model -engine gpu

# One .dpf in place of cfg and weights
"$DPF" dpf pack tiny.cfg first/tiny_final.weights tiny.dpf >/dev/null
passes "recall of a .dpf" "$DPF" detector recall pieces.data tiny.dpf
is "is the same" "$(tail -n 1 "$OUT")" = "$last"
passes "test with a .dpf" "$DPF" detector test pieces.data tiny.dpf "$picture" -thresh 0.2 -out packed.png
is "draws the same" "$(cmp seen.png packed.png && echo same)" = same

# A dense model pruned at once: what it says is what `detector map` says
head -n 50 "$PIECES/test.list" >few.list
sed 's/^valid.*/valid = few.list/' pieces.data >few.data
score() { sed -n "s/^$1 *mAP@0.50 *//p" convert.out; }
last() { tail -n 1 "$OUT" | sed -n 's/^mAP@0.50 = //p'; }
passes "convert" "$DPF" dpf convert plain.cfg first/tiny_last.weights half.dpf -sparsity 0.5 -data few.data -recalibrate 64 -threads 1
cp "$OUT" convert.out
prints "convert: pictures" '^batch-norm statistics of 64 training images$'
passes "map of the dense model" "$DPF" detector map few.data plain.cfg first/tiny_last.weights -threads 1
is "before pruning" "$(score 'before pruning')" = "$(last)"
passes "map of the .dpf" "$DPF" detector map few.data half.dpf -threads 1
is "after re-estimation" "$(score 'after re-estimation')" = "$(last)"
passes "convert without pictures" "$DPF" dpf convert plain.cfg first/tiny_last.weights half.weights -sparsity 0.5
passes "map of the .weights" "$DPF" detector map few.data plain.cfg half.weights -threads 1
is "after pruning" "$(score 'after pruning')" = "$(last)"
is "re-estimation brings mAP back" "$(score 'after re-estimation' | cut -d. -f1)" -gt "$(score 'after pruning' | cut -d. -f1)"
passes "sensitivity" "$DPF" dpf sensitivity few.data plain.cfg first/tiny_last.weights -recalibrate 16 -threads 1
prints "sensitivity: a line for each layer" '^ *3 +32x32x3x3 +9,216 +([0-9.]+ +){5}sparsity=0\.[0-9]+ +36$'
prints "sensitivity: of what" "^mAP@0.50 in % of 50 images .* of 16 training images for each \(with its own, dense: $(score 'before pruning')\)$"
fails "sensitivity: -images" "-images is for classifiers" "$DPF" dpf sensitivity few.data plain.cfg first/tiny_last.weights -images 9

# Several sizes
tiny 2 1
passes "train with random=1" train -seed 3 -novalid
is "the largest size for the last iterations" "$(grep -A 1 Resizing "$OUT" | tail -n 1)" = 608
cp backup/tiny_final.weights sizes.weights
passes "again" train -seed 3 -novalid
is "is the same" "$(cmp sizes.weights backup/tiny_final.weights && echo same)" = same

# Labels that are not as they should be: a copy with relative paths
tiny 6 0
mkdir -p some/images some/labels
for i in 0 1 2 3 4 5 6 7; do
    cp "$PIECES/images/train0000$i.png" some/images/
    cp "$PIECES/labels/train0000$i.txt" some/labels/
    echo "some/images/train0000$i.png"
done >some.list
sed "s|^train.*|train = some.list|; s|^valid.*|valid = some.list|" pieces.data >some.data
echo "3 .5 .5 .1 .1" >>some/labels/train00001.txt
echo "0 .5 .5 .1" >some/labels/train00002.txt
printf '0 .5 .5 .1 .1\n0 1.5 .5 .1 .1\n' >some/labels/train00003.txt
rm some/labels/train00004.txt
: >some/labels/train00005.txt
passes "bad labels are passed over" "$DPF" detector train some.data tiny.cfg -seed 1
is "a class too high" "$(grep -cE "^darknet: some/labels/train00001.txt:[0-9]+: class 3, but there are 3 classes .*'some/images/train00001.png' is skipped" "$ERR")" = 2
is "a number too few" "$(grep -c "some/labels/train00002.txt:1: five numbers" "$ERR")" = 2
is "a centre outside" "$(grep -c "some/labels/train00003.txt:2: x is 1.5" "$ERR")" = 2
is "counted" "$(grep -c "3 of 8 images cannot be used" "$ERR")" -ge 1
is "no label file is no object" "$(grep -c "1 of 8 pictures have no label file ('some/images/train00004.png'" "$ERR")" -ge 1
prints "the score is of the others" '^5 images, '
rm -r some/labels
fails "no label file at all" "none of its 8 pictures has a label file; .*'some/labels/train00000.txt'" "$DPF" detector train some.data tiny.cfg

# refused NAME PATTERN COMMAND...: fails, and the folder of results is as it was.
cp -r backup kept
refused() {
    fails "$@"
    diff -r kept backup >/dev/null 2>&1
    result $? "$1: earlier files are untouched"
}
sed 's/^classes.*/classes = 4/' pieces.data >four.data
refused "classes that differ" "finds 3 classes, but 'classes' of 'four.data' is 4" "$DPF" detector train four.data tiny.cfg
sed '/^valid/d' pieces.data >novalid.data
refused "-map without a list" "-map scores the list 'valid', but the data file has none" "$DPF" detector train novalid.data tiny.cfg -map
refused "an unknown flag" "unknown flag '-maps'; did you mean '-map'" train -maps
sed 's/^jitter.*/jitter=1.5/' tiny.cfg >wild.cfg
refused "jitter that turns pictures inside out" 'wild.cfg:[0-9]+: jitter=1.5: must be' "$DPF" detector train pieces.data wild.cfg
sed 's/^random.*/max=200/' tiny.cfg >many.cfg
refused "more boxes than Darknet has room for" 'max=200 \(more than 90\) needs' "$DPF" detector train pieces.data many.cfg
tiny 6 1 && sed -i '0,/^\[yolo\]/s//[dropout]\n[yolo]/' tiny.cfg
refused "random=1 with a layer of fixed size" '\(dropout\) keeps its size, so random=1' train
printf '%s\n' '[net]' batch=2 width=8 height=8 channels=3 max_batches=3 '[connected]' output=3 '[softmax]' >class.cfg
refused "a classifier" 'class.cfg:[0-9]+: the last layer is \[softmax\]; a detector ends' "$DPF" detector train pieces.data class.cfg
refused "no verb" "'detector' wants to know" "$DPF" detector
refused "an unknown verb" "unknown verb of 'detector' 'trian'; did you mean 'train'" "$DPF" detector trian a b
cd "$top" || exit 2

finish
