#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Cfgs and data files that were not made for this Darknet, or on another system: what is
# refused, what -force and a warning let through, and what must simply work.
source tests/e2e/lib.sh
fashion 200
cd "$WORK" || exit 2

mkdir -p backup good 'with blank'
for class in bag coat; do
    for i in 1 2 3 4; do
        file=$(grep "_$class\." "$FASHION/train.list" | sed -n "${i}p")
        cp "$file" "good/${i}_$class.png"
    done
done
ls good/*.png >train.list
cp train.list 'with blank/train.list'
printf '%s\n' _bag. _coat. >labels.list
data() { printf '%s\n' "classes=2" "train=train.list" "valid=train.list" "labels=labels.list" "backup=backup" "$@" >data.txt; }
cfg() { # cfg NET_LINE CONV_LINE [MORE_LINE...]
    printf '%s\n' '[net]' batch=8 width=28 height=28 channels=3 learning_rate=0.01 max_batches=2 "$1" '[convolutional]' \
        batch_normalize=1 filters=4 size=3 stride=2 pad=1 activation=relu "$2" "${@:3}" '[avgpool]' '[connected]' output=2 \
        activation=linear '[softmax]' groups=1 >tiny.cfg
}
train() { "$DPF" classifier train data.txt tiny.cfg -novalid -seed 1 "$@"; }
says() { # says NAME PATTERN: the last command said so on standard error
    grep -qE -- "$2" "$ERR"
    result $? "$1"
}
silent() { # silent NAME PATTERN
    ! grep -qE -- "$2" "$ERR"
    result $? "$1"
}

# Options of AlexeyAB's fork
data
cfg mosaic=1 ''
fails "an option that changes training" "tiny.cfg:8: \[net\] mosaic=1 .* needs AlexeyAB's fork in training; .*-force" train
is "and nothing was written" -z "$(ls backup)"
passes "-force trains without it" train -force
says "and says so" "warning: tiny.cfg:8: \[net\] mosaic=1 .*trains without it"
passes "valid does not mind it" "$DPF" classifier valid data.txt tiny.cfg backup/tiny_final.weights
silent "and does not mention it" mosaic
passes "valid takes -force too" "$DPF" classifier valid data.txt tiny.cfg backup/tiny_final.weights -force
cfg '' dilation=2
fails "an option that changes the result" "tiny.cfg:16: layer 0: \[convolutional\] dilation=2 .*needs AlexeyAB's fork" train
fails "-force does not help there" "dilation=2 .*this Darknet does not know it$" train -force
fails "valid refuses it" "dilation=2" "$DPF" classifier valid data.txt tiny.cfg backup/tiny_final.weights
fails "predict refuses it" "dilation=2" "$DPF" classifier predict data.txt tiny.cfg backup/tiny_final.weights good/1_bag.png
cfg '' '' '[route]' layers=-1 groups=2
fails "route in groups" "layer 1: \[route\] groups=2 " train -force

# Slips
cfg '' fliters=8
passes "a misspelt key of a cfg" train
says "is warned about" "warning: tiny.cfg:16: layer 0: .*fliters=8: no Darknet reads this key; did you mean 'filters'\?"
cfg batch=4 ''
passes "a key that stands twice" train
says "is warned about" "warning: tiny.cfg:8: \[net\] batch=4 does not count: Darknet takes the first, 8 in line 2"
cfg '' '' '[connected]' outputs=3 activation=linear
passes "a misspelt size" train
cfg '' ''
data validd=x train=other.list
passes "odd keys of a data file" train
says "an unknown one" "warning: data.txt:6: unknown key 'validd' is skipped; did you mean 'valid'\?"
says "one that stands twice" "warning: data.txt:7: 'train=other.list' does not count: Darknet takes the first, 'train.list' in line 2"

# Files as other systems and editors write them
data
sed -i 's/$/\r/' data.txt tiny.cfg
for list in train.list labels.list; do sed -i '1s/^/\xef\xbb\xbf/; s/$/\r/' $list; done
sed -i '1s/^/\xef\xbb\xbf/' data.txt tiny.cfg
passes "line ends of Windows and byte order marks" train
silent "no warning" warning
printf '# mine\n; too\n\n classes\t= 2  \n\ttrain =  train.list\t\nlabels=labels.list\n\nbackup=backup/\n' >data.txt
passes "blanks, tabs, comments" train
silent "no warning" warning
sed -i 's/max_batches=2/max_batches=2 # short/' tiny.cfg
passes "a comment behind a number" train
data
sed -i 's/train=.*/train = with blank\/train.list/' data.txt
fails "a path with a blank" "data.txt:2: 'train=with blank/train.list' has a blank in it; .* there is no 'withblank/train.list'" train
mkdir -p withblank && cp train.list withblank/train.list
passes "that Darknet would find without it" train
data
sed -i 's/train=train.list/train=train.list # all of them/' data.txt
fails "a comment behind a path" "data.txt:2: 'train=train.list#allofthem' is no file; if this ends in a comment" train
finish
