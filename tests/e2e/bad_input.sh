#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Bad input to `classifier train`: each a clear message, exit status 1, and the
# files of an earlier run exactly as they were, with nothing beside them.
source tests/e2e/lib.sh
fashion 200
cd "$WORK" || exit 2

# A data set in relative paths, so that messages are short: data.txt, train.list, labels.list, backup/.
mkdir -p backup good
for class in bag coat; do
    for i in 1 2 3 4 5 6 7 8; do
        file=$(grep "_$class\." "$FASHION/train.list" | sed -n "${i}p")
        cp "$file" "good/${i}_$class.png"
    done
done
ls good/*.png >train.list
printf '%s\n' _bag. _coat. >labels.list
data() { printf '%s\n' "classes=2" "train=train.list" "labels=labels.list" "backup=backup" "$@" >data.txt; }
cfg() { # cfg [NET_LINE...] -- [MORE_LINE...]: a tiny network
    local net=() seen=0 more=()
    for word in "$@"; do
        if [[ $word == -- ]]; then seen=1; elif ((seen)); then more+=("$word"); else net+=("$word"); fi
    done
    printf '%s\n' '[net]' batch=8 subdivisions=1 width=28 height=28 channels=3 learning_rate=0.01 max_batches=6 \
        "${net[@]}" '[convolutional]' batch_normalize=1 filters=4 size=3 stride=2 pad=1 activation=relu '[avgpool]' \
        '[connected]' output=2 activation=linear '[softmax]' groups=1 "${more[@]}" >tiny.cfg
}
for suffix in final.weights last.weights log.csv report.html; do echo "an earlier run's $suffix" >"backup/tiny_$suffix"; done
cp -r backup kept
# shellcheck disable=SC2317 # called through refused
train() { "$DPF" classifier train data.txt tiny.cfg "$@"; }

# refused NAME PATTERN COMMAND...: fails, and the folder of results is as it was.
refused() {
    fails "$@"
    diff -r kept backup >"$WORK/out" 2>&1
    result $? "$1: earlier files are untouched"
}

# Commands
data && cfg
refused "no data file given" "too few arguments.*usage" "$DPF" classifier train
refused "a word too many" "'what' is one argument too many" train x.weights what
refused "unknown flag" "unknown flag '-sead'; did you mean '-seed'" train -sead 3
refused "two dashes" "unknown flag '--clear'; did you mean '-clear'" train --clear
refused "seed is no number" "-seed '12x': a whole number" train -seed 12x
refused "seed is negative" "-seed '-3': a whole number" train -seed -3
refused "seed without a value" "-seed needs a value" train -seed
refused "no threads" "-threads '0'" train -threads 0
refused "unknown verb" "unknown verb of 'classifier' 'trian'; did you mean 'train'" "$DPF" classifier trian data.txt tiny.cfg

# Data file
refused "data file missing" "nothing.data.*No such file" "$DPF" classifier train nothing.data tiny.cfg
refused "data file is a folder" "good.*folder" "$DPF" classifier train good tiny.cfg
head -c 3000 /dev/urandom >random.data
refused "data file is binary" "random.data" "$DPF" classifier train random.data tiny.cfg
refused "data file and cfg swapped" "tiny.cfg" "$DPF" classifier train tiny.cfg data.txt
data "classes=0" && sed -i 1d data.txt
refused "no classes" "data.txt:[0-9]+: .*classes.*0" train
data "classes=many" && sed -i 1d data.txt
refused "classes is no number" "data.txt:[0-9]+: .*classes.*many" train
data "tree=some.tree"
refused "word trees" "data.txt:5: 'tree=some.tree' is not supported" train

# Lists
data && sed -i 's/train.list/nothing.list/' data.txt
refused "list missing" "training list 'nothing.list': No such file" train
data && sed -i 's/train=train.list/train=good/' data.txt
refused "list is a folder" "training list 'good': is a folder" train
data && sed -i 's/train=train.list/train=random.data/' data.txt
refused "list is binary" "training list 'random.data': is a binary file" train
: >empty.list
data && sed -i 's/train.list/empty.list/' data.txt
refused "list is empty" "training list 'empty.list': is empty" train
{ head -n 3 train.list; echo; tail -n 3 train.list; } >hole.list
data && sed -i 's/train.list/hole.list/' data.txt
refused "list with an empty line" "hole.list:4: an empty line" train
data "valid=nothing.list"
refused "validation list missing, found before training" "validation list 'nothing.list': No such file" train

# Labels
data && sed -i 's/labels.list/nothing.list/' data.txt
refused "labels missing" "label list 'nothing.list': No such file" train
data && sed -i 's/classes=2/classes=3/' data.txt
refused "fewer labels than classes" "labels.list: has 2 lines, but 'classes' of 'data.txt' is 3" train
printf '%s\n' _bag. '' _coat. >labels3.list
data && sed -i 's/classes=2/classes=3/; s/labels.list/labels3.list/' data.txt
refused "an empty label" "labels3.list:2: an empty line" train
printf '%s\n' _bag. _coat. _dress. >labels3.list
refused "classes and outputs differ" "tiny.cfg' has 2 outputs, but 'classes' of 'data.txt' is 3" train
printf '%s\n' _bag. _dress. >labels2.list
data && sed -i 's/labels.list/labels2.list/' data.txt
refused "a path without a label" "train.list:2: no label of 'labels2.list' occurs in the path 'good/1_coat.png'" train
printf '%s\n' coat at. >labels2.list
sed 's/.*/&/' train.list | grep coat >coat.list
data && sed -i 's/labels.list/labels2.list/; s/train.list/coat.list/' data.txt
printf '%s\n' coat oat >labels2.list
refused "a path with two labels" "coat.list:1: 2 labels of 'labels2.list' occur in the path 'good/1_coat.png': 'coat' \(line 1\) and 'oat' \(line 2\)" train

# Folder of results
data && sed -i 's/backup=backup/backup=nowhere/' data.txt
refused "results folder missing" "backup folder 'nowhere': No such file" train
data && sed -i 's/backup=backup/backup=train.list/' data.txt
refused "results folder is a file" "backup folder 'train.list': is not a folder" train
data && sed -i 's|backup=backup|backup=/proc|' data.txt
refused "results folder takes no files" "backup folder '/proc': no file can be made" train
data
refused "disk full (by a size limit)" "backup folder 'backup': a file of .* cannot be written: File too large" \
    bash -c "ulimit -f 1; '$DPF' classifier train data.txt tiny.cfg"
if unshare -rm true 2>/dev/null; then
    mkdir -p small
    data && sed -i 's|backup=backup|backup=small|' data.txt
    refused "disk full" "backup folder 'small': .*No space left" unshare -rm bash -c \
        "mount -t tmpfs -o size=16k none small && '$DPF' classifier train data.txt tiny.cfg"
    refused "results folder is read-only" "backup folder 'small': .*Read-only" unshare -rm bash -c \
        "mount -t tmpfs -o ro none small && '$DPF' classifier train data.txt tiny.cfg"
fi

# Unreadable files; root reads everything, unless it gives that power up
if ((EUID == 0)); then limited=(setpriv '--bounding-set=-dac_override,-dac_read_search'); else limited=(); fi
if "${limited[@]}" true 2>/dev/null; then
    data
    cp train.list secret.list && chmod 0 secret.list
    sed -i 's/train.list/secret.list/' data.txt
    refused "list unreadable" "training list 'secret.list': Permission denied" "${limited[@]}" "$DPF" classifier train \
        data.txt tiny.cfg
    data && cp tiny.cfg secret.cfg && chmod 0 secret.cfg
    refused "cfg unreadable" "secret.cfg.*Permission denied" "${limited[@]}" "$DPF" classifier train data.txt secret.cfg
    data && cp data.txt secret.data && chmod 0 secret.data
    refused "data file unreadable" "secret.data.*Permission denied" "${limited[@]}" "$DPF" classifier train secret.data \
        tiny.cfg
    mkdir -p shut && chmod 555 shut
    data && sed -i 's|backup=backup|backup=shut|' data.txt
    refused "results folder without permission" "backup folder 'shut': .*Permission denied" "${limited[@]}" "$DPF" \
        classifier train data.txt tiny.cfg
fi

# Pictures: all bad
mkdir -p bad
echo "no picture" >bad/1_bag.png
: >bad/2_bag.png
head -c 300 good/1_coat.png >bad/3_coat.png
mkdir -p bad/4_coat.png
printf '%s\n' bad/1_bag.png bad/2_bag.png bad/3_coat.png bad/4_coat.png bad/5_coat.png >bad.list
data && sed -i 's/train.list/bad.list/' data.txt
refused "no good picture at all" "bad.list: none of its 5 images can be used" train
run train
for expected in "bad.list:1: 'bad/1_bag.png' is not a picture" "bad.list:2: 'bad/2_bag.png' is empty" \
    "bad.list:3: 'bad/3_coat.png' is truncated" "bad.list:4: 'bad/4_coat.png' is a folder" \
    "bad.list:5: 'bad/5_coat.png' cannot be read: No such file"; do
    is "named once: $expected" "$(grep -cF "$expected" "$ERR")" = 1
done

# cfg
data
refused "cfg missing" "nothing.cfg.*No such file" "$DPF" classifier train data.txt nothing.cfg
refused "cfg is a folder" "good.*folder" "$DPF" classifier train data.txt good
refused "cfg is binary" "random.data" "$DPF" classifier train data.txt random.data
: >empty.cfg
refused "cfg is empty" "empty.cfg" "$DPF" classifier train data.txt empty.cfg
sed 1,8d tiny.cfg >headless.cfg
refused "cfg without [net]" "headless.cfg.*net" "$DPF" classifier train data.txt headless.cfg
cfg -- '[dpf]' sparsity=0.5 '[dpf]' sparsity=0.5
refused "two [dpf] sections" "tiny.cfg:[0-9]+: .*dpf" train
cfg -- '[dpf]' sparsty=0.5
refused "misspelt key" "tiny.cfg:[0-9]+: .*sparsty.*sparsity" train
for value in 1.2 -1 abc; do
    cfg -- '[dpf]' "sparsity=$value"
    refused "sparsity=$value" "tiny.cfg:[0-9]+: .*sparsity.*$value" train
done
cfg -- '[dpf]' sparsity=0.9 min_density=0.5
refused "a target that min_density puts out of reach" "tiny.cfg:[0-9]+: \[dpf\] .*min_density" train
cfg -- '[dpf]' sparsity=0.5
sed -i 's/filters=4/filters=4\nprun=0/' tiny.cfg
refused "misspelt key of a layer" "tiny.cfg:[0-9]+: .*prun.*did you mean 'prune'" train
cfg
sed -i 's/channels=3/channels=1/' tiny.cfg
refused "pictures of one channel" "tiny.cfg:[0-9]+: \[net\] channels=1: must be 3" train
data valid=train.list
fails "pictures of one channel, scored" "tiny.cfg:[0-9]+: \[net\] channels=1: must be 3" \
    "$DPF" classifier valid data.txt tiny.cfg nothing.weights
data && cfg
sed -i 's/height=28/height=20/' tiny.cfg
refused "pictures that are not square" "tiny.cfg.*width=28 and height=20: must be equal" train
cfg -- '[nonsense]' size=3
refused "a layer that Darknet cannot build" "tiny.cfg:[0-9]+: .*nonsense" train
cfg
refused "[dpf] file missing" "nothing.dpf.*No such file" train -dpf nothing.dpf

# Weights
mkdir -p scratch
data && sed -i 's/backup=backup/backup=scratch/' data.txt
passes "a training to take weights from" "$DPF" classifier train data.txt tiny.cfg -seed 1
data
weights=scratch/tiny_last.weights
refused "weights missing" "nothing.weights.*No such file" train nothing.weights
"$DPF" dpf pack tiny.cfg "$weights" whole.dpf >/dev/null
refused ".dpf of a finished training" "'whole.dpf' is at iteration 6 and max_batches of 'whole.dpf' is 6.*-clear" "$DPF" classifier \
    train data.txt whole.dpf
refused "a .dpf as weights" "'whole.dpf' holds its own cfg: leave 'tiny.cfg' out, or .*dpf unpack" train whole.dpf
cp "$weights" ended.weights # without the state that stands beside them
refused "weights of a finished training" "'ended.weights' is at iteration 6 and max_batches of 'tiny.cfg' is 6.*-clear" \
    train ended.weights
head -c -7 "$weights" >short.weights
refused "weights too short" "short.weights" train short.weights -clear
{ cat "$weights"; printf 12345678; } >long.weights
refused "weights too long" "long.weights" train long.weights -clear
: >none.weights
refused "weights empty" "none.weights" train none.weights -clear
{ printf '\377\377\377\377'; tail -c +5 "$weights"; } >head.weights
refused "weights with a bad header" "head.weights" train head.weights -clear
refused "weights are a folder" "good" train good -clear
sed -i 's/filters=4/filters=5/' tiny.cfg
refused "weights of another cfg" "tiny_last.weights" train "$weights" -clear

# Numbers that run away
cfg learning_rate=1e9 momentum=0.9
sed -i '0,/learning_rate=0.01/{/learning_rate=0.01/d}' tiny.cfg
fails "weights that are not numbers" "training diverged at iteration [0-9]+: (layer|the loss)" train -seed 1
for file in final last; do # the log is this run's own by now
    is "good $file weights are kept" "$(cmp kept/tiny_$file.weights backup/tiny_$file.weights && echo same)" = same
done

finish
