#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The system's own Darknet reads what we wrote: it loads a pruned .weights file and
# names the same class as we do on each of 500 test pictures.
source tests/e2e/lib.sh
fashion 500
cd "$WORK" || exit 2
PEER=/usr/bin/darknet

if [[ ! -x $PEER ]]; then
    echo "ok 1 - # SKIP no $PEER"
    echo "1..1"
    exit 0
fi

mkdir -p backup
sed "s|^backup.*|backup = backup|" "$FASHION/fashion.data" >fashion.data
printf '%s\n' '[net]' batch=50 subdivisions=1 width=28 height=28 channels=3 learning_rate=0.05 momentum=0.9 \
    policy=poly power=1 decay=0.0005 max_batches=240 '[convolutional]' batch_normalize=1 filters=16 size=3 stride=2 pad=1 \
    activation=leaky '[convolutional]' batch_normalize=1 filters=32 size=3 stride=1 pad=1 activation=relu \
    '[convolutional]' batch_normalize=1 filters=32 size=3 stride=1 pad=1 activation=linear '[shortcut]' from=-2 \
    activation=relu '[maxpool]' size=2 stride=2 '[convolutional]' filters=10 size=1 stride=1 activation=linear \
    '[avgpool]' '[softmax]' groups=1 >plain.cfg
{ cat plain.cfg; printf '%s\n' '[dpf]' sparsity=0.85; } >peer.cfg
passes "train a pruned model" "$DPF" classifier train fashion.data peer.cfg -seed 3 -novalid

# Both read names of pictures from standard input and print the best class of each.
ask() { # ask PROGRAM CFG: "class" a line
    "$1" classifier predict fashion.data "$2" backup/peer_final.weights -t 1 <"$FASHION/test.list" 2>/dev/null |
        grep -oE '[0-9.]+%: .*' | sed 's/.*%: //'
}
ask "$DPF" peer.cfg >ours
ask "$PEER" plain.cfg >theirs
is "we answer 500 times" "$(wc -l <ours)" = 500
is "Darknet answers 500 times" "$(wc -l <theirs)" = 500
is "the same class each time" "$(paste ours theirs | awk -F'\t' '$1 != $2' | wc -l)" = 0
is "and not always the same one" "$(sort -u ours | wc -l)" -ge 5

finish
